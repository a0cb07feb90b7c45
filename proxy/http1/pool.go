package http1

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// Dialed is a new connection to the next hop, ready for HTTP.
type Dialed struct {
	// Conn is owned by the pool from now on. If it wraps another connection
	// it has a NetConn method, as *tls.Conn does.
	Conn net.Conn
	// RetireAt is when to stop using it, such as shortly before a certificate
	// of the connection expires; zero: never.
	RetireAt time.Time
	// CleanCloseMeansUnprocessed: the other end is one of us and ends a
	// connection with TLS close_notify only when it has begun no request on
	// it. A request that meets such an end may be sent again, whatever its
	// method.
	CleanCloseMeansUnprocessed bool
	// FromSidecar: the other end is one of us, so that the x-outrider-decision
	// of its refusals can be believed and is passed on. From anybody else it is
	// stripped like all that begins with x-outrider-.
	FromSidecar bool
}

// PoolOptions configure a [Pool].
type PoolOptions struct {
	ClientOptions
	// Dial makes a connection. ctx carries the connect timeout; required.
	Dial func(ctx context.Context) (Dialed, error)
}

// A Pool keeps the connections to one next hop that are reached with one
// identity. Its methods may be called from any goroutine.
type Pool struct {
	opts PoolOptions

	mu   sync.Mutex
	idle []*ClientConn // the most recently used last
	all  map[*ClientConn]struct{}
	open int // dialed and dialing
	shut bool
}

// NewPool returns an empty pool.
func NewPool(opts PoolOptions) *Pool {
	return &Pool{opts: opts, all: make(map[*ClientConn]struct{})}
}

// Get returns an unused connection, or dials one. It never waits for one in use:
// a destination at its limit answers [message.ErrUpstreamLimit] at once.
func (p *Pool) Get(ctx context.Context, now time.Time) (*ClientConn, error) {
	for {
		c, err := p.take()
		if err != nil {
			return nil, err
		}
		if c == nil {
			return p.dial(ctx)
		}
		if c.usable(now) {
			c.reused = true
			return c, nil
		}
		c.Close()
	}
}

// Fresh dials a connection, for the retry of a request that met a stale one.
func (p *Pool) Fresh(ctx context.Context) (*ClientConn, error) {
	p.mu.Lock()
	if err := p.reserve(); err != nil {
		p.mu.Unlock()
		return nil, err
	}
	p.mu.Unlock()
	return p.dial(ctx)
}

// take pops an idle connection, or reserves a place for a new one.
func (p *Pool) take() (*ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return nil, message.ErrPoolClosed
	}
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		return c, nil
	}
	return nil, p.reserve()
}

// reserve needs p.mu.
func (p *Pool) reserve() error {
	switch {
	case p.shut:
		return message.ErrPoolClosed
	case p.open >= p.opts.Limits.UpstreamConnections:
		return message.ErrUpstreamLimit
	}
	p.open++
	return nil
}

// dial fills a reserved place.
func (p *Pool) dial(ctx context.Context) (*ClientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Limits.UpstreamConnectTimeout)
	defer cancel()
	var c *ClientConn
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if c == nil { // for an error, or a panic on its way through
			p.open--
			return
		}
		p.all[c] = struct{}{}
	}()
	d, err := p.opts.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c = newClientConn(d, &p.opts.ClientOptions, p)
	return c, nil
}

// put keeps a connection for the next exchange.
func (p *Pool) put(c *ClientConn) {
	p.mu.Lock()
	_, open := p.all[c] // CloseIf may have ended it under its exchange
	keep := open && !p.shut && len(p.idle) < p.opts.Limits.UpstreamIdle
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		c.Close()
	}
}

// closed forgets a connection.
func (p *Pool) closed(c *ClientConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.all[c]; known {
		delete(p.all, c)
		p.open--
	}
}

// Sweep closes the idle connections that are past their time. The owner calls it
// every few seconds.
func (p *Pool) Sweep(now time.Time) {
	p.closeIdle(func(c *ClientConn) bool { return !c.usable(now) })
}

// CloseIf ends every connection for which end says so: idle ones here, busy ones
// under their exchange. end must not call the pool.
func (p *Pool) CloseIf(end func(net.Conn) bool) {
	p.closeIdle(func(c *ClientConn) bool { return end(c.net) })
	p.mu.Lock()
	var doomed []*ClientConn
	for c := range p.all {
		if end(c.net) {
			doomed = append(doomed, c)
		}
	}
	p.mu.Unlock()
	for _, c := range doomed {
		c.Close()
	}
}

func (p *Pool) closeIdle(end func(*ClientConn) bool) {
	p.mu.Lock()
	kept := p.idle[:0]
	var doomed []*ClientConn
	for _, c := range p.idle {
		if end(c) {
			doomed = append(doomed, c)
		} else {
			kept = append(kept, c)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	p.mu.Unlock()
	for _, c := range doomed {
		c.Close()
	}
}

// Stats counts the connections in use and idle.
func (p *Pool) Stats() (busy, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all) - len(p.idle), len(p.idle)
}

// Close closes the idle connections at once and the others when they come back.
func (p *Pool) Close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.shut = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
}
