package http1

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// ServerOptions configure the client-facing role.
type ServerOptions struct {
	// Limits bound heads, bodies and waits.
	Limits limits.Limits
	// Buffers is the pool to draw from; required.
	Buffers *Buffers
	// AllowConnect lets CONNECT requests through to the handler.
	AllowConnect bool
}

// A Server serves connections of one listener.
type Server struct {
	opts  ServerOptions
	body  bodyLimits
	rules requestRules
}

// NewServer returns a server; it holds no resources.
func NewServer(opts ServerOptions) *Server {
	l := opts.Limits
	return &Server{
		opts:  opts,
		body:  bodyLimits{bytes: l.BodyBytes, trailerBytes: l.TrailerBytes, headerCount: l.HeaderCount, within: l.BodyTimeout},
		rules: requestRules{targetBytes: l.TargetBytes, allowConnect: opts.AllowConnect},
	}
}

// A ServerConn is one client connection. Serve belongs to one goroutine; the
// other methods may be called from any.
type ServerConn struct {
	conn
	server *Server
	x      Exchange
	// prefaced: the first head may be the preface of HTTP/2.
	prefaced bool

	mu      sync.Mutex
	idle    bool // waiting for the first byte of a request
	closing bool // end after the current answer, or now if idle
	// carrier is the connection that an exchange is under way on, nil between
	// exchanges; gone tells that AbandonIfGone cut it off.
	carrier *ClientConn
	gone    bool
}

// NewConn wraps an accepted connection, which the ServerConn then owns.
func (s *Server) NewConn(nc net.Conn) *ServerConn {
	c := &ServerConn{conn: conn{net: nc, buffers: s.opts.Buffers}, server: s}
	c.x.c = c
	return c
}

// ErrPreface is returned by Serve, with the connection open, when HTTP/2 begins on it.
var ErrPreface = errors.New("the preface of HTTP/2")

// ExpectPreface has the connection of a client that has said nothing yet be one of
// HTTP/1.1 or of HTTP/2 with prior knowledge, as it begins (RFC 9113 §3.3). It is called
// before Serve.
func (c *ServerConn) ExpectPreface() { c.prefaced = true }

// preface is a head of HTTP/1 in form (RFC 9113 §3.4); "SM" follows.
const preface = "PRI * HTTP/2.0\r\n\r\n"

// Preface gives the connection up, after [ErrPreface], with what was read of it.
func (c *ServerConn) Preface() (net.Conn, []byte) {
	nc, after := c.hijack()
	return nc, append([]byte(preface), after...)
}

// Serve reads requests until the connection ends and calls handle for each, one
// after the other. handle must end with exactly one of Exchange.Respond,
// Exchange.Forward or Exchange.Abort. The connection is closed on return, unless
// it was hijacked. The error says why it ended, nil for an orderly end. A panic
// of handle passes through; the connection is cut off.
func (c *ServerConn) Serve(handle func(*Exchange)) error {
	returned := false
	defer func() {
		if !returned {
			socket.Abort(c.net)
		}
	}()
	err := c.serve(handle)
	returned = true
	if !errors.Is(err, ErrPreface) {
		c.release()
	}
	return err
}

func (c *ServerConn) serve(handle func(*Exchange)) error {
	for {
		if err := c.await(); err != nil {
			c.close()
			if errors.Is(err, io.EOF) || errors.Is(err, errClosing) {
				return nil
			}
			return err
		}
		x := &c.x
		x.begin(time.Now())
		err := c.readRequest(x)
		if errors.Is(err, ErrPreface) {
			return err
		}
		x.Err = err
		handle(x)
		x.end()
		switch x.outcome {
		case hijacked:
			return nil
		case aborted:
			if x.Err != nil {
				// No request has come: a reset would tell nobody anything, and could
				// take the answer to the one before away.
				c.close()
				return x.Err
			}
			socket.Abort(c.net)
			return nil
		case closeAfter:
			c.close()
			return x.Err
		case keepOpen:
		}
	}
}

var errClosing = errors.New("connection is closing")

// await waits for the first byte of the next request.
func (c *ServerConn) await() error {
	if len(c.unread()) > 0 {
		return nil
	}
	c.rest() // waiting needs no more than a small one
	if err := c.expect(time.Now(), c.server.opts.Limits.IdleTimeout); err != nil {
		return err
	}
	if !c.enterIdle() {
		return c.lastLook()
	}
	err := c.fill(smallBuffer)
	c.leaveIdle()
	switch {
	case err == nil:
		return nil
	case !isTimeout(err):
		return err
	case c.Closing():
		return c.lastLook()
	}
	return errClosing // idle for too long
}

// raceWindow is how long a connection that is to close still waits for a request
// that may be on its way. A read that fails by its deadline does not look at
// what has arrived, hence not zero.
const raceWindow = 5 * time.Millisecond

// lastLook takes a request that raced with CloseGracefully.
func (c *ServerConn) lastLook() error {
	c.readBy = time.Now().Add(raceWindow)
	if err := c.net.SetReadDeadline(c.readBy); err != nil {
		return err
	}
	err := c.fill(smallBuffer)
	if err != nil && isTimeout(err) {
		return errClosing
	}
	return err
}

func (c *ServerConn) enterIdle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = !c.closing
	return c.idle
}

func (c *ServerConn) leaveIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = false
	if c.closing {
		c.readBy = time.Time{} // CloseGracefully moved the deadline
	}
}

// CloseGracefully ends the connection after the answer in progress, or at once
// when it is idle. A request that had arrived is still answered.
func (c *ServerConn) CloseGracefully() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	if c.idle {
		_ = c.net.SetReadDeadline(time.Unix(1, 0)) // wakes await; a closed connection needs no waking
	}
}

// Closing tells whether the connection ends after the current answer.
func (c *ServerConn) Closing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// Abort cuts the connection off, whatever it is doing. On TLS no close_notify is
// sent: see [ClientOptions].
func (c *ServerConn) Abort() { socket.Abort(c.net) }

// readRequest reads one head and prepares its body.
func (c *ServerConn) readRequest(x *Exchange) error {
	l := &c.server.opts.Limits
	raw, err := c.section(l.HeadBytes, l.HeaderCount, l.HeadTimeout)
	if errors.Is(err, errSectionFull) {
		return &message.ProtocolError{Kind: message.HeadTooLarge, Rule: "the request head is over its limit"}
	}
	if err != nil {
		return err
	}
	if c.prefaced && string(raw) == preface {
		return ErrPreface
	}
	c.prefaced = false
	if perr := x.Request.parse(raw, c.scan.ends, c.server.rules); perr != nil {
		return perr
	}
	kind, length := noBody, int64(0)
	switch {
	case x.Request.codings > 0:
		kind = chunkedBody
	case x.Request.length > 0:
		kind, length = lengthBody, x.Request.length
	}
	x.Body.reset(&c.conn, &c.server.body, kind, length)
	return nil
}

// close ends the connection so that what was written last still arrives: the
// sending side first, then what the client still sends is read and thrown away
// for a while (RFC 9112 §9.6).
func (c *ServerConn) close() {
	if socket.CloseWrite(c.net) == nil {
		c.linger()
	}
	_ = c.net.Close() // nothing is left to be lost
}

// lingerBytes bounds what is thrown away after a close. A client that stops
// sending when it has read the answer has as much on its way as socket buffers
// hold: 4 MiB on its side and 6 MiB on ours, by Linux's defaults (tcp(7)). If less
// were read, a reset would take the answer away from it.
const lingerBytes = 16 << 20

func (c *ServerConn) linger() {
	if c.net.SetReadDeadline(time.Now().Add(c.server.opts.Limits.LingerTimeout)) != nil {
		return
	}
	buf := c.buffers.get(smallBuffer)
	defer c.buffers.put(buf)
	for total := 0; total < lingerBytes; {
		n, err := c.net.Read(*buf)
		total += n
		if err != nil {
			return
		}
	}
}
