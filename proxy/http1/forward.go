package http1

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Edits are the changes to a request on its way to the next hop.
type Edits struct {
	// Path replaces the path of the target, its query kept; empty keeps it.
	Path string
	// DefaultHost is the Host of an HTTP/1.0 request that came without.
	DefaultHost string
	// Fields are complete field lines, CRLF included, added at the end.
	Fields [][]byte
}

// Forward sends the request over up and the answer back to the client. up is
// released or closed, except after an upgrade: then upgraded is true, both ends
// have seen the answer's head, and the caller hijacks both.
//
// A Failure with Unsent leaves the client unanswered: the caller tries another
// connection if Retryable, or responds. Without Unsent the answer was begun and
// the client connection is cut off.
func (x *Exchange) Forward(up *ClientConn, e *Edits) (upgraded bool, f *Failure) {
	out := x.c.buffers.get(largeBuffer)
	defer x.c.buffers.put(out)
	up.used = false
	up.prepare()

	f = x.send(up, e, (*out)[:0])
	if f == nil {
		upgraded, f = x.answer(up, (*out)[:0])
	}
	pumped := x.join(up, f)
	switch {
	case f != nil:
		up.Close()
		if pumped != nil {
			f = x.blame(f, pumped)
		}
		if !f.Unsent {
			x.outcome = aborted
		}
	case upgraded:
		x.outcome = hijacked
	default:
		up.Release(pumped == nil && up.resp.persistent() && x.Body.Ended() && up.rest.Ended() && up.rest.kind != closeBody)
	}
	return upgraded, f
}

// blame decides whose failure it is when both directions failed: a client that
// stopped sending is the cause of an upstream that was closed for it.
func (x *Exchange) blame(answered, pumped *Failure) *Failure {
	if pumped.Side != ClientSide {
		return answered
	}
	pumped.Unsent = answered.Unsent
	return pumped
}

// Retryable tells whether the request may be sent once more after f: nothing of
// an answer was seen, all of the body is at hand, and either the method allows
// it on a connection that had gone stale (RFC 9110 §9.2.2) or the other end
// promised not to have begun.
func (x *Exchange) Retryable(f *Failure) bool {
	return f.Unsent && f.Side == UpstreamSide && x.Body.replayable() &&
		(f.Unprocessed || f.Stale && x.Request.idempotent())
}

// Rewind makes a retryable request ready to be sent again.
func (x *Exchange) Rewind() { x.Body.rewind() }

// send writes the head and as much of the body as has arrived, in one write if
// it is small, and leaves the rest to a pump.
func (x *Exchange) send(up *ClientConn, e *Edits, b []byte) *Failure {
	if n := x.Request.length; n > 0 && !x.Body.Ended() && n <= int64(len(x.c.unread())) {
		if _, _, err := x.Body.Peek(n); err != nil { // keeps the body replayable
			return &Failure{Side: ClientSide, Unsent: true, Err: err}
		}
	}
	f := framer{to: up, b: x.Request.appendTo(b, e, !x.continued), chunked: x.Request.codings > 0}
	ended, err := f.body(&x.Body, false)
	if err == nil {
		err = f.flush()
	}
	if err != nil {
		return x.sendFailure(up, err)
	}
	if !ended {
		x.pump.start(x, up)
	}
	return nil
}

// sendFailure attributes an error of the framer: its own Failures come from
// reading the client, all others from writing to the next hop.
func (x *Exchange) sendFailure(up *ClientConn, err error) *Failure {
	var read *Failure
	if errors.As(err, &read) {
		return &Failure{Side: ClientSide, Unsent: true, Err: read.Err}
	}
	return &Failure{Side: UpstreamSide, Unsent: true, Stale: up.reused && !up.used, Err: err}
}

// pump is the second direction of an exchange: it sends the rest of a request
// body while the answer may already be coming. It exists only for bodies that
// did not arrive with their head.
type pump struct {
	done chan struct{} // nil when there is none
	// last is set once all of the body was read from the client.
	last     atomic.Bool
	failure  *Failure
	panicked any
}

func (p *pump) start(x *Exchange, up *ClientConn) {
	p.done = make(chan struct{})
	p.last.Store(false)
	p.failure, p.panicked = nil, nil
	_ = up.net.SetReadDeadline(time.Time{}) // run arms it when the body is sent
	go p.run(x, up)
}

func (p *pump) run(x *Exchange, up *ClientConn) {
	defer close(p.done)
	defer func() { p.panicked = recover() }() // join passes it on
	out := x.c.buffers.get(largeBuffer)
	defer x.c.buffers.put(out)
	f := framer{to: up, b: (*out)[:0], chunked: x.Request.codings > 0}
	_, err := f.body(&x.Body, true)
	if err == nil {
		p.last.Store(true)
		err = f.flush()
	}
	if err == nil {
		_ = up.net.SetReadDeadline(time.Now().Add(up.opts.Limits.UpstreamResponseTimeout))
		return
	}
	p.failure = x.sendFailure(up, err)
	if p.failure.Side == ClientSide {
		up.Close() // wakes the reader of the answer, which has no reason to come
		return
	}
	// The next hop may have answered and stopped reading: let the answer decide,
	// but not for ever.
	_ = up.net.SetReadDeadline(time.Now().Add(up.opts.Limits.LingerTimeout))
}

// join waits for the pump. One that is still in the middle of the body when the
// answer is complete is stopped: nobody wants the rest.
func (x *Exchange) join(up *ClientConn, answered *Failure) *Failure {
	p := &x.pump
	if p.done == nil {
		return nil
	}
	stopped := answered != nil || !p.last.Load()
	if stopped {
		up.Close()
		_ = x.c.net.SetReadDeadline(time.Unix(1, 0))
	}
	<-p.done
	p.done = nil
	x.c.readBy, up.readBy = time.Time{}, time.Time{} // both were moved behind our back
	if p.panicked != nil {
		panic(fmt.Sprintf("in request body: %v", p.panicked)) //nolint:forbidigo // passed on to the owner of the connection
	}
	if p.failure == nil && stopped {
		return &Failure{Side: UpstreamSide, Err: errBodyUnwanted}
	}
	return p.failure
}

// errBodyUnwanted: the answer was complete before the body was sent.
var errBodyUnwanted = errors.New("the answer came before the end of the body")

// prepare gives the connection a buffer for the next answer.
func (c *ClientConn) prepare() {
	c.rest.reset(&c.conn, &c.body, noBody, 0)
	if c.buf == nil {
		c.resize(largeBuffer)
	}
}

// answer relays interim responses and the final one.
func (x *Exchange) answer(up *ClientConn, b []byte) (upgraded bool, f *Failure) {
	sent := time.Now()
	for range up.opts.Limits.InterimResponses {
		if err := up.readHead(sent, x.pump.done != nil); err != nil {
			return false, &Failure{
				Side: UpstreamSide, Unsent: true, Err: err,
				Stale:       up.reused && !up.used && !isTimeout(err),
				Unprocessed: up.cleanCloseUnprocessed && !up.used && errors.Is(err, io.EOF),
			}
		}
		if !up.resp.interim() {
			x.FirstByte = time.Since(sent)
			return x.final(up, b)
		}
		if err := x.interim(up, b); err != nil {
			return false, &Failure{Side: ClientSide, Err: err}
		}
	}
	return false, &Failure{Side: UpstreamSide, Unsent: true, Err: ErrInterimLoop}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// readHead reads one response head.
func (c *ClientConn) readHead(now time.Time, pumping bool) error {
	l := &c.opts.Limits
	if !pumping {
		if err := c.expect(now, l.UpstreamResponseTimeout); err != nil {
			return err
		}
	}
	raw, err := c.section(l.HeadBytes, l.HeaderCount, l.HeadTimeout)
	if errors.Is(err, errSectionFull) {
		return &ProtocolError{Kind: HeadTooLarge, Rule: "the response head is over its limit"}
	}
	if err != nil {
		return err
	}
	if perr := c.resp.parse(raw, c.scan.ends); perr != nil {
		return perr
	}
	return nil
}

// interim passes a 1xx on; HTTP/1.0 has none (RFC 9110 §15.2).
func (x *Exchange) interim(up *ClientConn, b []byte) error {
	if x.Request.Minor == 0 {
		return nil
	}
	b = up.resp.appendTo(b)
	return x.c.write(append(b, "\r\n"...))
}

// final relays the final response, head and body.
func (x *Exchange) final(up *ClientConn, b []byte) (upgraded bool, f *Failure) {
	r := &up.resp
	if r.Status == 101 {
		return x.switched(up, b)
	}
	kind, length := r.body(x.Request.Method)
	tunnel := x.Request.Method == "CONNECT" && r.Status < 300
	if tunnel {
		kind, length = noBody, 0
	}
	framed := kind == chunkedBody || kind == closeBody
	chunked := framed && x.Request.Minor == 1
	keep := x.keepAfter() && (chunked || !framed) && !tunnel

	b = r.appendTo(b)
	if chunked {
		b = append(b, "transfer-encoding: chunked\r\n"...)
	}
	if !tunnel {
		b = x.appendConnection(b, keep)
	}
	b = append(b, "\r\n"...)
	x.Status = r.Status
	up.rest.reset(&up.conn, &up.body, kind, length)
	if err := x.relay(up, b, chunked); err != nil {
		return false, err
	}
	if !keep {
		x.outcome = closeAfter
	}
	return tunnel, nil
}

// keepAfter tells whether the client connection can carry another request.
func (x *Exchange) keepAfter() bool {
	sent := x.Body.Ended
	if x.pump.done != nil {
		sent = x.pump.last.Load // x.Body belongs to the pump
	}
	return x.Request.persistent() && sent() && !x.c.Closing()
}

// relay writes the answer's head, which is in b, and its body. The bodies of
// answers to HTTP/1.0 clients end with the connection.
func (x *Exchange) relay(up *ClientConn, b []byte, chunked bool) *Failure {
	f := framer{to: x.c, b: b, chunked: chunked}
	_, err := f.body(&up.rest, true)
	if err == nil {
		err = f.flush()
	}
	x.Sent = f.payload
	if err == nil {
		return nil
	}
	var read *Failure
	if errors.As(err, &read) {
		return &Failure{Side: UpstreamSide, Err: read.Err}
	}
	return &Failure{Side: ClientSide, Err: err}
}

// switched relays a 101, if it was asked for.
func (x *Exchange) switched(up *ClientConn, b []byte) (upgraded bool, f *Failure) {
	want := x.Request.UpgradesTo()
	if want == "" || !equalFold(up.resp.switchesTo(), want) {
		err := malformed("an upgrade that was not asked for")
		return false, &Failure{Side: UpstreamSide, Unsent: true, Err: err}
	}
	b = up.resp.appendTo(b)
	b = append(b, "connection: upgrade\r\nupgrade: "...)
	b = append(b, want...)
	b = append(b, "\r\n\r\n"...)
	x.Status = 101
	if err := x.c.write(b); err != nil {
		return false, &Failure{Side: ClientSide, Err: err}
	}
	return true, nil
}
