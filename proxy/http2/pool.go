package http2

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// Dialed is a new connection to the next hop, ready for HTTP/2.
type Dialed struct {
	// Conn is owned by the pool from now on. If it wraps another connection
	// it has a NetConn method, as *tls.Conn does.
	Conn net.Conn
	// RetireAt is when to stop opening streams, such as shortly before a
	// certificate of the connection expires; zero: never.
	RetireAt time.Time
	// FromSidecar: the other end is one of us, so that the x-outrider-decision
	// of its refusals can be believed and is passed on. From anybody else it is
	// stripped like all that begins with x-outrider-.
	FromSidecar bool
	// Alone: the connection takes one stream at a time, since the connection
	// below it keeps streams apart by itself, as QUIC does, and better: what is
	// lost of one does not hold up another.
	Alone bool
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

	mu      sync.Mutex
	conns   []*ClientConn // the oldest first
	dialing *dialing      // nil when nobody dials
	shut    bool
}

// dialing is a connection that is being made, for all who wait for one.
type dialing struct {
	done chan struct{}
	err  error // valid when done is closed
}

// NewPool returns an empty pool.
func NewPool(opts PoolOptions) *Pool { return &Pool{opts: opts} }

// Get returns a connection with a place for one more exchange, which is reserved,
// or dials one. Those who find none at the same time wait for the same one. It
// never waits for a place in use: a destination at its limit answers
// [message.ErrUpstreamLimit] at once.
func (p *Pool) Get(ctx context.Context, now time.Time) (*ClientConn, error) {
	return p.get(ctx, func() *ClientConn { return p.pick(now) })
}

// Fresh returns a connection that no exchange has used, for the retry of a request
// that met a stale one.
func (p *Pool) Fresh(ctx context.Context) (*ClientConn, error) {
	return p.get(ctx, func() *ClientConn {
		now := time.Now()
		for _, c := range slices.Backward(p.conns) {
			if !c.Reused() && c.reserve(now) {
				return c
			}
		}
		return nil
	})
}

// pick needs p.mu. The oldest connection is filled first, so that what few
// requests there are share their system calls, and the others can be closed.
func (p *Pool) pick(now time.Time) *ClientConn {
	for _, c := range p.conns {
		if c.reserve(now) {
			return c
		}
	}
	return nil
}

func (p *Pool) get(ctx context.Context, pick func() *ClientConn) (*ClientConn, error) {
	for {
		p.mu.Lock()
		if p.shut {
			p.mu.Unlock()
			return nil, message.ErrPoolClosed
		}
		if c := pick(); c != nil {
			p.mu.Unlock()
			return c, nil
		}
		d := p.dialing
		if d == nil {
			if len(p.conns) >= p.opts.Limits.UpstreamConnections {
				p.mu.Unlock()
				return nil, message.ErrUpstreamLimit
			}
			d = &dialing{done: make(chan struct{})}
			p.dialing = d
			p.mu.Unlock()
			return p.dial(ctx, d)
		}
		p.mu.Unlock()
		if err := d.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// wait waits for somebody else's connection. That whoever dials was called off is
// no reason for others to give up.
func (d *dialing) wait(ctx context.Context) error {
	select {
	case <-d.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if errors.Is(d.err, context.Canceled) || errors.Is(d.err, errDialPanicked) {
		return nil
	}
	return d.err
}

// errDialPanicked: the panic itself goes its own way.
var errDialPanicked = errors.New("dialing has panicked")

// dial makes a connection, and takes the first place on it.
func (p *Pool) dial(ctx context.Context, d *dialing) (c *ClientConn, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Limits.UpstreamConnectTimeout)
	defer cancel()
	err = errDialPanicked
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		d.err = err
		p.dialing = nil
		close(d.done)
	}()
	dialed, err := p.opts.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return p.add(dialed), nil
}

// add makes a dialed connection one of the pool's. The first place on it is taken:
// a connection begins with more than one.
func (p *Pool) add(d Dialed) *ClientConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := newClientConn(d, &p.opts.ClientOptions, p)
	c.mu.Lock()
	c.reserved++
	c.mu.Unlock()
	p.conns = append(p.conns, c)
	return c
}

// closed forgets a connection.
func (p *Pool) closed(c *ClientConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = slices.DeleteFunc(p.conns, func(one *ClientConn) bool { return one == c })
}

func (p *Pool) isShut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shut
}

// doomed returns the connections for which end says so.
func (p *Pool) doomed(end func(*ClientConn) bool) []*ClientConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*ClientConn
	for _, c := range p.conns {
		if end(c) {
			all = append(all, c)
		}
	}
	return all
}

// Sweep closes the idle connections that are past their time. The owner calls it
// every few seconds.
func (p *Pool) Sweep(now time.Time) {
	closeAll(p.doomed(func(c *ClientConn) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		idle := len(c.streams)+c.reserved == 0
		return idle && (!c.usable(now) || now.Sub(c.idleSince) > c.limits.UpstreamIdleTimeout)
	}))
}

// CloseIf ends every connection for which end says so, under its exchanges. end
// must not call the pool.
func (p *Pool) CloseIf(end func(net.Conn) bool) {
	closeAll(p.doomed(func(c *ClientConn) bool { return end(c.net) }))
}

// Stats counts the connections in use and idle.
func (p *Pool) Stats() (busy, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if c.isBusy() {
			busy++
		} else {
			idle++
		}
	}
	return busy, idle
}

func (c *ClientConn) isBusy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams)+c.reserved > 0
}

// Close closes the idle connections at once and the others when their last
// exchange ends.
func (p *Pool) Close() {
	p.mu.Lock()
	p.shut = true
	p.mu.Unlock()
	closeAll(p.doomed(func(c *ClientConn) bool { return !c.isBusy() }))
}

func closeAll(doomed []*ClientConn) {
	for _, c := range doomed {
		_ = c.net.Close() // all at once; then each is waited for
	}
	for _, c := range doomed {
		c.Close()
	}
}
