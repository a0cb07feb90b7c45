package http2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// rig is a proxy in memory: clients that connect, the engine, and an application
// that is called for each connection to it.
type rig struct {
	t      testing.TB
	limits limits.Limits
	server *Server
	pool   *Pool
	// app serves one connection; it is closed afterwards.
	app func(nc net.Conn)
	// dialed is set on what Dial returns.
	dialed Dialed
	// wrap is put around the connections to the application; nil: nothing is.
	wrap func(net.Conn) net.Conn
	// segments bounds what one read of ours moves; nil for no bound.
	segments func() (most func() int)
	// handle is called for every exchange; forward if nil.
	handle func(x *Exchange)
	edits  message.Edits

	wg sync.WaitGroup
	mu sync.Mutex
	// dials counts connections to the application.
	dials int
	// failures are those of Forward, in order.
	failures []*message.Failure
	// ends are what Serve returned.
	ends []error
	// clients are the clients' ends.
	clients []*memnet.Conn
	// toApp are our ends of the connections to the application, and apps its own.
	toApp, apps []*memnet.Conn
}

const pipeBytes = 64 << 10

func newRig(t testing.TB, l limits.Limits, app func(net.Conn)) *rig {
	r := &rig{t: t, app: app, limits: l}
	buffers := new(Buffers)
	r.server = NewServer(ServerOptions{Limits: l, Buffers: buffers, AllowConnect: true})
	r.pool = NewPool(PoolOptions{ClientOptions: ClientOptions{Limits: l, Buffers: buffers}, Dial: r.dial})
	return r
}

func (r *rig) dial(context.Context) (Dialed, error) {
	ours, theirs := memnet.Pipe(pipeBytes)
	if r.segments != nil {
		ours.LimitReads(r.segments())
	}
	r.mu.Lock()
	r.dials++
	r.toApp = append(r.toApp, ours)
	r.mu.Unlock()
	r.wg.Go(func() {
		defer theirs.Close()
		r.mu.Lock()
		r.apps = append(r.apps, theirs)
		r.mu.Unlock()
		r.app(theirs)
	})
	d := r.dialed
	d.Conn = ours
	if r.wrap != nil {
		d.Conn = r.wrap(ours)
	}
	return d, nil
}

// connect returns a client's end, and ours.
func (r *rig) connect() (*memnet.Conn, *ServerConn) {
	theirs, ours := memnet.Pipe(pipeBytes)
	if r.segments != nil {
		ours.LimitReads(r.segments())
	}
	c := r.server.NewConn(ours)
	r.mu.Lock()
	r.clients = append(r.clients, theirs)
	r.mu.Unlock()
	r.wg.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				r.ended(fmt.Errorf("panic: %.200v", v))
			}
		}()
		r.ended(c.Serve(func(x *Exchange) {
			if r.handle != nil {
				r.handle(x)
				return
			}
			r.forward(x)
		}))
	})
	return theirs, c
}

func (r *rig) ended(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = append(r.ends, err)
}

// forward is what a stage of the proxy does with an exchange.
func (r *rig) forward(x *Exchange) {
	if x.Err != nil {
		_ = x.Respond(statusOf(x.Err), nil, []byte(x.Err.Error()))
		return
	}
	up, err := r.pool.Get(r.t.Context(), x.Started)
	if err != nil {
		_ = x.Respond(http.StatusServiceUnavailable, nil, []byte(err.Error()))
		return
	}
	f := x.Forward(up, &r.edits)
	r.note(f)
	if f != nil && x.Retryable(f) {
		x.Rewind()
		if up, err = r.pool.Fresh(r.t.Context()); err == nil {
			f = x.Forward(up, &r.edits)
			r.note(f)
		}
	}
	switch {
	case f == nil || !f.Unsent:
	case f.Side == message.ClientSide:
		_ = x.Respond(statusOf(f.Err), nil, []byte(f.Err.Error()))
	case isTimeout(f.Err):
		_ = x.Respond(http.StatusGatewayTimeout, nil, nil)
	case isReset(f.Err):
		x.Abort()
	default:
		_ = x.Respond(http.StatusBadGateway, nil, []byte(f.Err.Error()))
	}
}

func statusOf(err error) int {
	broken, ok := errors.AsType[*message.ProtocolError](err)
	switch {
	case isTimeout(err):
		return http.StatusRequestTimeout
	case ok && broken.Kind == message.HeadTooLarge:
		return http.StatusRequestHeaderFieldsTooLarge
	case ok && broken.Kind == message.BodyTooLarge:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

func (r *rig) note(f *message.Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f != nil {
		r.failures = append(r.failures, f)
	}
}

func (r *rig) dialCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dials
}

// close ends the pool and waits for everything that was started.
func (r *rig) close() {
	r.mu.Lock()
	clients := r.clients
	r.mu.Unlock()
	for _, c := range clients {
		c.Close()
	}
	r.pool.Close()
	r.wg.Wait()
	if busy, idle := r.pool.Stats(); busy != 0 || idle != 0 {
		r.t.Errorf("%d busy and %d idle connections are left", busy, idle)
	}
}

// serveNetHTTP makes an application of a handler of net/http, whose HTTP/2 is that
// of golang.org/x/net.
func serveNetHTTP(h http.HandlerFunc) func(net.Conn) {
	return func(nc net.Conn) {
		s := &http.Server{DisableGeneralOptionsHandler: true, Handler: h, Protocols: onlyHTTP2(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), ReadHeaderTimeout: time.Minute}
		_ = s.Serve(newOneConn(nc))
	}
}

func onlyHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// oneConn is a listener that accepts one connection, and nothing until it is
// closed.
type oneConn struct {
	net.Conn
	accepted bool
	closed   chan struct{}
	once     sync.Once
}

func newOneConn(nc net.Conn) *oneConn { return &oneConn{Conn: nc, closed: make(chan struct{})} }

func (l *oneConn) Accept() (net.Conn, error) {
	if !l.accepted {
		l.accepted = true
		return l, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Addr() net.Addr { return l.LocalAddr() }

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Conn.Close()
}

// client returns a client of net/http over connections to the rig.
func (r *rig) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Protocols: onlyHTTP2(),
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			nc, _ := r.connect() //nolint:contextcheck // a connection outlives who dials it
			return nc, nil
		},
	}}
}

// noEdits is shared by all exchanges, as it would be by a stage without any.
var noEdits = new(message.Edits)

func relayTo(ctx context.Context, pool *Pool, x *Exchange) {
	up, err := pool.Get(ctx, x.Started)
	if err != nil {
		x.Abort()
		return
	}
	if f := x.Forward(up, noEdits); f != nil {
		x.Abort()
	}
}
