package http1

import (
	"errors"
	"io"
	"time"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// Forward sends the request over up and the answer back to the client. up is
// released or closed, except after an upgrade: then upgraded is true, both ends
// have seen the answer's head, and the caller hijacks both.
//
// A Failure with Unsent leaves the client unanswered: the caller tries another
// connection if Retryable, or responds. Without Unsent the answer was begun and
// the client connection is cut off.
func (x *Exchange) Forward(up *ClientConn, e *message.Edits) (upgraded bool, f *message.Failure) {
	if !e.WellFormed(x.Request.Path, x.Request.hosts == 0) {
		up.Release(true)
		return false, &message.Failure{Side: message.UpstreamSide, Unsent: true, Err: message.ErrEdits}
	}
	x.up = up
	x.c.carry(up)
	defer x.abandon()
	up.used, up.over = false, false
	up.prepare()

	f = x.send(up, e)
	if f == nil {
		upgraded, f = x.answer(up)
	}
	pumped := x.join(up, f)
	x.up = nil
	left := x.c.carry(nil)
	switch {
	case f != nil:
		up.Release(false)
		if pumped != nil {
			f = blame(f, pumped)
		}
		if left {
			f.Side, f.Err = message.ClientSide, message.ErrClientGone
		}
		x.outcome = aborted // unless the caller still answers, which Unsent allows
	case upgraded:
		x.outcome = hijacked
	default:
		up.Release(pumped == nil && up.resp.persistent() && x.Body.Ended() && up.rest.Ended() && up.rest.kind != closeBody)
	}
	return upgraded, f
}

// abandon ends what Forward has begun if a panic passes through it.
func (x *Exchange) abandon() {
	if x.up == nil {
		return
	}
	x.c.carry(nil)
	x.up.Close()
	if x.pump.done != nil {
		_ = x.c.net.SetReadDeadline(past)
		<-x.pump.done
		x.pump.done = nil
	}
	x.up = nil
}

// blame decides whose failure it is when both directions failed. A client that
// stopped sending is the cause of an upstream that was closed for it; an upstream
// that refused the body was not just slow to answer.
func blame(answered, pumped *message.Failure) *message.Failure {
	if pumped.Side == message.ClientSide || isTimeout(answered.Err) && !errors.Is(pumped.Err, errBodyUnwanted) {
		pumped.Unsent = answered.Unsent
		return pumped
	}
	return answered
}

// Retryable tells whether the request may be sent once more after f: nothing of
// an answer was seen, all of the body is at hand, and either the method allows
// it on a connection that had gone stale (RFC 9110 §9.2.2) or the other end
// promised not to have begun.
func (x *Exchange) Retryable(f *message.Failure) bool {
	return f.Unsent && f.Side == message.UpstreamSide && x.Body.replayable() &&
		(f.Unprocessed || f.Stale && message.Idempotent(x.Request.Method))
}

// Replayable tells whether the request could be sent once more after f, if it does
// not matter that it may have been acted upon: nothing of an answer was passed on,
// and all of the body is at hand.
func (x *Exchange) Replayable(f *message.Failure) bool {
	return f.Unsent && f.Side == message.UpstreamSide && x.Body.replayable()
}

// declines asks whether the answer is to be passed on. While a pump has the body, it
// is not all at hand.
func (x *Exchange) declines(status int) bool {
	return x.Decline != nil && x.pump.done == nil && x.Body.replayable() && x.Decline(status)
}

// Rewind makes a retryable request ready to be sent again.
func (x *Exchange) Rewind() { x.Body.rewind() }

// send writes the head and as much of the body as has arrived, in one write if
// it is small, and leaves the rest to a pump.
func (x *Exchange) send(up *ClientConn, e *message.Edits) *message.Failure {
	if n := x.Request.length; n > 0 && !x.Body.Ended() && n <= int64(len(x.c.unread())) {
		if _, _, err := x.Body.Peek(n); err != nil { // keeps the body replayable
			return &message.Failure{Side: message.ClientSide, Unsent: true, Err: err}
		}
	}
	// No buffer is held while the answer is awaited: hundreds of exchanges that
	// wait would otherwise take turns in evicting each other from the cache.
	out := x.c.buffers.get(x.outgoing())
	defer x.c.buffers.put(out)
	f := framer{to: up, b: x.Request.appendTo((*out)[:0], e, !x.continued), chunked: x.Request.codings > 0}
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
func (x *Exchange) sendFailure(up *ClientConn, err error) *message.Failure {
	if read, ok := errors.AsType[*message.Failure](err); ok {
		return &message.Failure{Side: message.ClientSide, Unsent: true, Err: read.Err}
	}
	return &message.Failure{Side: message.UpstreamSide, Unsent: true, Stale: up.reused && !up.used, Err: err}
}

// prepare gives the connection a buffer for the next answer.
func (c *ClientConn) prepare() {
	c.rest.reset(&c.conn, &c.body, noBody, 0)
	if c.buf != nil {
		return
	}
	if c.large { // a piece at a time would be a write at a time
		c.resize(largeBuffer)
	} else {
		c.resize(smallBuffer)
	}
}

// room is what a head takes beside a small body: our own fields included.
const room = 1 << 10

// outgoing is the size of the buffer for the request.
func (x *Exchange) outgoing() int {
	if x.Request.HasBody() || len(x.Request.text) > smallBuffer-room {
		return largeBuffer
	}
	return smallBuffer
}

// answer relays interim responses and the final one.
func (x *Exchange) answer(up *ClientConn) (upgraded bool, f *message.Failure) {
	sent := time.Now()
	for range up.opts.Limits.InterimResponses + 1 {
		x.pump.await(up, sent)
		if err := up.readHead(); err != nil {
			return false, &message.Failure{
				Side: message.UpstreamSide, Unsent: true, Err: err,
				Stale:       up.reused && !up.used && !isTimeout(err),
				Unprocessed: up.cleanCloseUnprocessed && !up.used && errors.Is(err, io.EOF),
			}
		}
		if !up.resp.interim() {
			x.pump.answer(up)
			x.FirstByte = time.Since(sent)
			if x.declines(up.resp.Status) {
				return false, &message.Failure{Side: message.UpstreamSide, Unsent: true, Err: message.ErrDeclined}
			}
			return x.final(up)
		}
		if err := x.interim(up); err != nil {
			return false, &message.Failure{Side: message.ClientSide, Err: err}
		}
	}
	return false, &message.Failure{Side: message.UpstreamSide, Unsent: true, Err: message.ErrInterimLoop}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// readHead reads one response head.
func (c *ClientConn) readHead() error {
	l := &c.opts.Limits
	raw, err := c.section(l.HeadBytes, l.HeaderCount, l.HeadTimeout)
	if errors.Is(err, errSectionFull) {
		return &message.ProtocolError{Kind: message.HeadTooLarge, Rule: "the response head is over its limit"}
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
func (x *Exchange) interim(up *ClientConn) error {
	if x.Request.Minor == 0 {
		return nil
	}
	out := x.c.buffers.get(len(up.resp.raw))
	defer x.c.buffers.put(out)
	b := up.resp.appendTo((*out)[:0], true)
	return x.c.write(append(b, "\r\n"...))
}

// final relays the final response, head and body.
func (x *Exchange) final(up *ClientConn) (upgraded bool, f *message.Failure) {
	r := &up.resp
	if r.Status == 101 {
		return x.switched(up)
	}
	kind, length := r.body(x.Request.Method)
	tunnel := x.Request.Method == "CONNECT" && r.Status < 300
	if tunnel {
		kind, length = noBody, 0
	}
	framed := kind == chunkedBody || kind == closeBody
	chunked := framed && x.Request.Minor == 1
	keep := x.keepAfter() && (chunked || !framed) && !tunnel

	up.large = framed || length+int64(len(r.raw)) > smallBuffer-room
	size := smallBuffer
	if up.large {
		size = largeBuffer
	}
	out := x.c.buffers.get(size)
	defer x.c.buffers.put(out)
	b := r.appendTo((*out)[:0], tunnel || r.Status == 204)
	if chunked {
		b = append(b, "transfer-encoding: chunked\r\n"...)
	}
	if !tunnel {
		b = x.appendConnection(b, keep)
	}
	b = append(b, "\r\n"...)
	x.Status = r.Status
	up.rest.reset(&up.conn, &up.body, kind, length)
	if x.Events = r.isEventStream(); x.Events {
		up.rest.patience = up.opts.Limits.StreamIdleTimeout
	}
	if err := x.relay(up, b, chunked); err != nil {
		return false, err
	}
	x.outcome = keepOpen
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
func (x *Exchange) relay(up *ClientConn, b []byte, chunked bool) *message.Failure {
	f := framer{to: x.c, b: b, chunked: chunked}
	_, err := f.body(&up.rest, true)
	if err == nil {
		err = f.flush()
	}
	x.Sent = f.payload
	if err == nil {
		return nil
	}
	if read, ok := errors.AsType[*message.Failure](err); ok {
		return &message.Failure{Side: message.UpstreamSide, Err: read.Err}
	}
	return &message.Failure{Side: message.ClientSide, Err: err}
}

// switched relays a 101, if it was asked for.
func (x *Exchange) switched(up *ClientConn) (upgraded bool, f *message.Failure) {
	want := x.Request.UpgradesTo()
	if want == "" || !message.EqualFold(up.resp.switchesTo(), want) {
		err := message.Violation("an upgrade that was not asked for")
		return false, &message.Failure{Side: message.UpstreamSide, Unsent: true, Err: err}
	}
	out := x.c.buffers.get(len(up.resp.raw) + room)
	defer x.c.buffers.put(out)
	b := up.resp.appendTo((*out)[:0], true)
	b = append(b, "connection: upgrade\r\nupgrade: "...)
	b = append(b, want...)
	b = append(b, "\r\n\r\n"...)
	x.Status = 101
	if err := x.c.write(b); err != nil {
		return false, &message.Failure{Side: message.ClientSide, Err: err}
	}
	return true, nil
}
