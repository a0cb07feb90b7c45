package http2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	wire "golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// ServerOptions configure the client-facing role.
type ServerOptions struct {
	// Limits bound heads, bodies, streams and waits.
	Limits limits.Limits
	// Buffers is the pool to draw from; required.
	Buffers *Buffers
	// AllowConnect lets CONNECT requests through to the handler. Those that ask
	// for WebSocket (RFC 8441) always are.
	AllowConnect bool
}

// A Server serves connections of one listener.
type Server struct {
	opts      ServerOptions
	rules     requestRules
	exchanges sync.Pool
}

// NewServer returns a server; it holds no resources.
func NewServer(opts ServerOptions) *Server {
	return &Server{opts: opts, rules: requestRules{targetBytes: opts.Limits.TargetBytes, allowConnect: opts.AllowConnect}}
}

// exchange returns one that nobody uses.
func (s *Server) exchange() *Exchange {
	if x, ok := s.exchanges.Get().(*Exchange); ok {
		return x
	}
	return newExchange()
}

// stage is how far the end of a connection has come.
type stage uint8

const (
	serving stage = iota
	// leaving: the client was asked to open no more streams.
	leaving
	// finishing: it was told which one was the last.
	finishing
)

// A ServerConn is one client connection. Serve belongs to one goroutine; the other
// methods may be called from any.
type ServerConn struct {
	conn
	server *Server
	handle func(*Exchange)

	starting []*Exchange // the reader's: requests that came since it last waited
	begun    uint32      // the reader's: the last stream that got a handler
	handlers sync.WaitGroup
	work     chan *Exchange // to workers that wait; closed when there is no more
	workers  sync.WaitGroup

	// Guarded by conn.mu.
	stage     stage
	final     uint32 // the last stream that is served; valid when finishing
	running   int    // handlers
	parked    int    // workers that wait
	calledOff budget
	leaveBy   time.Time // when the client's answer to our goodbye is not awaited any more
	alarm     alarm
}

// NewConn wraps an accepted connection, which the ServerConn then owns.
func (s *Server) NewConn(nc net.Conn) *ServerConn {
	c := &ServerConn{server: s, work: make(chan *Exchange)}
	l := &s.opts.Limits
	c.init(nc, l, s.opts.Buffers, c)
	c.idleTime = l.IdleTimeout
	c.calledOff = newBudget(l.StreamResets, time.Now())
	c.out = appendSettings(nil,
		wire.Setting{ID: wire.SettingMaxConcurrentStreams, Val: uint32(l.ConcurrentStreams)}, //nolint:gosec // limits are small
		wire.Setting{ID: wire.SettingInitialWindowSize, Val: uint32(c.streamWindow)},         //nolint:gosec // limits are small
		wire.Setting{ID: wire.SettingMaxHeaderListSize, Val: uint32(l.HeadBytes)},            //nolint:gosec // limits are small
		wire.Setting{ID: wire.SettingEnableConnectProtocol, Val: 1},
		wire.Setting{ID: wire.SettingNoRFC7540Priorities, Val: 1},
	)
	if c.window > firstWindow {
		c.out = appendWindowUpdate(c.out, 0, uint32(c.window-firstWindow)) //nolint:gosec // limits are small
	}
	return c
}

// Serve reads requests until the connection ends and calls handle for each, in a
// goroutine of its own. handle must end with exactly one of Exchange.Respond,
// Exchange.Forward or Exchange.Abort. When Serve returns, every handler has
// returned and the connection is closed. The error says why it ended, nil for an
// orderly end. A panic of handle cuts the connection off and passes through.
func (c *ServerConn) Serve(handle func(*Exchange)) error {
	c.handle = handle
	returned := false
	defer func() {
		if !returned {
			c.giveUp("")
			c.wait()
		}
	}()
	err := c.serve()
	c.end(err)
	c.wait()
	returned = true
	c.mu.Lock()
	c.alarm.stop()
	panicked := c.panicked
	c.mu.Unlock()
	if panicked != "" {
		panic(panicked) //nolint:forbidigo // passed on to the owner of the connection
	}
	if errors.Is(err, errClosing) || errors.Is(err, errIdle) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// wait returns when every handler has returned.
func (c *ServerConn) wait() {
	c.handlers.Wait()
	close(c.work)
	c.workers.Wait()
}

func (c *ServerConn) serve() error {
	c.in.begin(time.Now())
	if err := c.readPreface(); err != nil {
		return err
	}
	return c.readFrames()
}

// readPreface reads what every client begins with (RFC 9113 §3.4). A client that
// begins otherwise is not waited for.
func (c *ServerConn) readPreface() error {
	preface := []byte(wire.ClientPreface)
	for {
		b := c.in.unread()
		b = b[:min(len(b), len(preface))]
		if !bytes.HasPrefix(preface, b) {
			return broken(protocolError, "the connection does not begin with the preface of HTTP/2")
		}
		if len(b) == len(preface) {
			c.in.r += len(b)
			return nil
		}
		if err := c.in.fill(); err != nil {
			return err
		}
	}
}

// end tells the streams, and the client if it can be told, that the connection is
// over, and closes it.
func (c *ServerConn) end(err error) {
	var fault *connError
	goodbye := true
	c.mu.Lock()
	c.forgetStarting()
	switch {
	case errors.As(err, &fault):
		c.out = appendGoAway(c.out, c.begun, fault.code, fault.rule)
	case errors.Is(err, errIdle):
		c.out = appendGoAway(c.out, c.begun, noError, "")
	case errors.Is(err, errClosing):
	default:
		goodbye = false
	}
	gone := err
	if errors.Is(err, io.EOF) {
		gone = message.ErrClientGone
	}
	c.fail(gone)
	c.mu.Unlock()
	c.deliver()
	if goodbye {
		c.drain(time.Now().Add(c.limits.LingerTimeout))
		if socket.CloseWrite(c.net) == nil {
			c.linger()
		}
	}
	_ = c.net.Close() // nothing is left to be lost
	c.in.release()
}

// forgetStarting drops the requests that came just before the end of their
// connection: nobody waits for their answers, and a client that may still read us
// learns that they were not begun. It needs c.mu.
func (c *ServerConn) forgetStarting() {
	for _, x := range c.starting {
		c.remove(&x.down)
		c.running--
	}
	c.starting = nil
}

// lingerBytes is how much is thrown away after a close, beyond the window that the
// client has for bodies, so that no reset takes our last frames away.
const lingerBytes = 256 << 10

func (c *ServerConn) linger() {
	if c.net.SetReadDeadline(time.Now().Add(c.limits.LingerTimeout)) != nil {
		return
	}
	buf := c.buffers.get(smallBuffer)
	defer c.buffers.put(buf)
	for total := 0; total < c.connWindow+lingerBytes; {
		n, err := c.net.Read(*buf)
		total += n
		if err != nil {
			return
		}
	}
}

// Abort cuts the connection off, whatever it is doing. On TLS no close_notify is
// sent.
func (c *ServerConn) Abort() { socket.Abort(c.net) }
