package http1

import (
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// outcome is what becomes of the client connection after an exchange.
type outcome uint8

const (
	// aborted is also the outcome of a handler that does not answer: what
	// follows on the connection might then be a body and not a request.
	aborted outcome = iota
	keepOpen
	closeAfter
	hijacked
)

// An Exchange is one request and its answer. It is reused for the next request
// of its connection; only strings taken from its Request may be kept.
type Exchange struct {
	// Request is the head; empty when Err is set.
	Request Request
	// Body is the request's body.
	Body Body
	// Err is why no request could be read: a *message.ProtocolError, or an I/O error.
	// The handler answers or aborts.
	Err error
	// Started is when the first byte of the head was there.
	Started time.Time

	// Decline tells whether an answer with that status is not to be passed on, if
	// the request could be sent again: Forward then fails with
	// [message.ErrDeclined]. Nil passes every answer on.
	Decline func(status int) bool

	// Status is the status of the final answer; 0 before it was written.
	Status int
	// Sent counts payload bytes of the answer.
	Sent int64
	// FirstByte is the time from the forwarded head to the answer's head.
	FirstByte time.Duration
	// Events tells that the answer is a stream of server-sent events.
	Events bool

	c       *ServerConn
	outcome outcome
	// continued tells that we answered 100 ourselves.
	continued bool
	pump      pump
	up        *ClientConn // while Forward uses it
}

func (x *Exchange) begin(now time.Time) {
	x.Err, x.Started, x.Status, x.Sent, x.FirstByte, x.outcome = nil, now, 0, 0, 0, aborted
	x.continued, x.Decline, x.Events = false, nil, false
	x.Request.reset()
	x.Body.reset(&x.c.conn, &x.c.server.body, noBody, 0)
}

// end gives back what the exchange held.
func (x *Exchange) end() {
	if x.outcome != hijacked {
		x.Body.release()
	}
}

// Expecting answers "100 Continue" if the client waits for it and we, not the
// next hop, want the body: before inspection reads it.
func (x *Exchange) Expecting() error {
	if !x.Request.ExpectsContinue() || x.continued || x.Body.Received() > 0 {
		return nil
	}
	x.continued = true
	if len(x.c.unread()) > 0 {
		return nil // the body is already coming
	}
	return x.c.write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
}

// Abort ends the exchange without an answer and cuts the connection off.
func (x *Exchange) Abort() { x.outcome = aborted }

// Respond sends an answer of our own: fields are complete field lines, body is
// the whole payload. Fields that are not well-formed are left out, all of them,
// so that no value can split the answer. The connection goes on if the request's
// body is at hand.
func (x *Exchange) Respond(status int, fields, body []byte) error {
	keep := x.Err == nil && x.Request.persistent() && x.discardBody() && !x.c.Closing()
	out := x.c.buffers.get(largeBuffer)
	defer x.c.buffers.put(out)
	b := append((*out)[:0], "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	b = append(b, "\r\n"...)
	if message.AreFields(fields) {
		b = append(b, fields...)
	}
	b = append(b, "content-length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n"...)
	b = x.appendConnection(b, keep)
	b = append(b, "\r\n"...)
	if x.Request.Method != http.MethodHead {
		b = append(b, body...)
		x.Sent = int64(len(body))
	}
	x.Status = status
	x.outcome = keepOpen
	if !keep {
		x.outcome = closeAfter
	}
	if err := x.c.write(b); err != nil {
		x.outcome = aborted
		return &message.Failure{Side: message.ClientSide, Err: err}
	}
	return nil
}

// discardBody throws away the rest of the request's body as far as it has
// already arrived, and tells whether that was all.
func (x *Exchange) discardBody() bool {
	for !x.Body.Ended() && x.Body.here() {
		if _, err := x.Body.Next(); err != nil {
			break
		}
	}
	return x.Body.Ended() && x.Body.err == nil
}

// appendConnection adds what tells the client whether to send another request.
func (x *Exchange) appendConnection(b []byte, keep bool) []byte {
	switch {
	case !keep:
		return append(b, "connection: close\r\n"...)
	case x.Request.Minor == 0:
		return append(b, "connection: keep-alive\r\n"...)
	}
	return b
}

// Hijack hands the client connection over after an upgrade or CONNECT, with the
// bytes that were read ahead. The caller closes it.
func (x *Exchange) Hijack() (nc net.Conn, ahead []byte) {
	x.outcome = hijacked
	return x.c.hijack()
}

// hijack detaches the connection and lifts its deadlines.
func (c *conn) hijack() (net.Conn, []byte) {
	ahead := append([]byte(nil), c.unread()...)
	c.release()
	_ = c.net.SetDeadline(time.Time{}) // the tunnel sets its own
	return c.net, ahead
}

// write sends b, bounded by the write timeout of the connection's limits.
func (c *ServerConn) write(b []byte) error {
	if err := c.allow(time.Now(), c.server.opts.Limits.WriteTimeout); err != nil {
		return err
	}
	_, err := c.net.Write(b)
	return err
}
