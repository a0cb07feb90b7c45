package http2

import (
	"errors"
	"time"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// Forward sends the request over up and the answer back to the client, both at the
// same time. The place on up that [Pool.Get] has reserved is given back.
//
// A Failure with Unsent leaves the client unanswered: the caller tries another
// connection if Retryable, or responds. Without Unsent the answer was begun and
// the stream is reset; with the next hop's code, if it was the next hop that did.
func (x *Exchange) Forward(up *ClientConn, e *message.Edits) *message.Failure {
	if !e.WellFormed(x.Request.Path, false) {
		up.Release()
		return &message.Failure{Side: message.UpstreamSide, Unsent: true, Err: message.ErrEdits}
	}
	x.relay = relay{up: up}
	defer x.abandon()
	x.keepBody()
	f := x.open(e)
	if f == nil {
		f = x.exchange()
	}
	x.close(f)
	x.relay.up = nil
	if f != nil {
		x.code = codeOf(f)
	}
	return f
}

// abandon ends what Forward has begun if a panic passes through it.
func (x *Exchange) abandon() {
	if x.relay.up != nil {
		x.close(&message.Failure{Side: message.ClientSide, Err: errPanicked})
		x.relay.up = nil
	}
}

// keepBody holds what is sent of a body, as long as it is little, until the
// request need not be sent again.
func (x *Exchange) keepBody() {
	c, s := x.c, &x.down
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.Body.given > 0 {
		s.took(x.Body.given)
		x.Body.given = 0
	}
	if x.Body.size == int64(len(x.Body.ahead)) {
		s.in.hold()
	}
}

// Retryable tells whether the request may be sent once more after f: nothing of
// an answer was seen, what was sent of the body is at hand, and either the method
// allows it on a connection that had gone stale (RFC 9110 §9.2.2) or the other end
// promised not to have begun (RFC 9113 §8.7).
func (x *Exchange) Retryable(f *message.Failure) bool {
	return f.Unsent && f.Side == message.UpstreamSide && x.replayable() &&
		(f.Unprocessed || f.Stale && message.Idempotent(x.Request.Method))
}

// Replayable tells whether the request could be sent once more after f, if it does
// not matter that it may have been acted upon: nothing of an answer was passed on,
// and all of the body is at hand.
func (x *Exchange) Replayable(f *message.Failure) bool {
	return f.Unsent && f.Side == message.UpstreamSide && x.replayable()
}

// declines asks whether the answer is to be passed on.
func (x *Exchange) declines(r *response) bool {
	return x.Decline != nil && !r.interim() && x.replayable() && x.Decline(r.Status)
}

// replayable tells whether the body from its first byte is at hand.
func (x *Exchange) replayable() bool {
	c, s := x.c, &x.down
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.err == nil && x.Body.size == int64(len(x.Body.ahead)+s.in.kept) && (s.in.keep || x.Body.size == 0)
}

// Rewind makes a retryable request ready to be sent again.
func (x *Exchange) Rewind() {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	x.Body.aheadAt = 0
	x.Body.size = int64(len(x.Body.ahead))
	x.down.in.rewind()
}

// open sends the head of the request, once there is room for it.
func (x *Exchange) open(e *message.Edits) *message.Failure {
	up := x.relay.up
	now := time.Now()
	by := now.Add(up.limits.WriteTimeout)
	for {
		opened, f := x.tryOpen(e)
		if opened || f != nil {
			x.relay.sent, x.relay.asked, x.relay.answeredAt = now, now, now
			return f
		}
		up.push()
		if err := x.gone(); err != nil {
			return &message.Failure{Side: message.ClientSide, Unsent: true, Err: err}
		}
		if now = time.Now(); !now.Before(by) {
			return &message.Failure{Side: message.UpstreamSide, Unsent: true, Unprocessed: true, Err: errSlowPeer}
		}
		x.await(by)
	}
}

// gone is why nobody waits for the answer any more.
func (x *Exchange) gone() error {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	return x.down.err
}

func (x *Exchange) tryOpen(e *message.Edits) (opened bool, f *message.Failure) {
	bodiless := x.Body.Ended() && !x.trailed()
	up := x.relay.up
	up.mu.Lock()
	defer up.mu.Unlock()
	x.relay.reused = up.begun > 0
	wait, err := up.mayOpen(x.Request.Protocol != "")
	switch {
	case err != nil:
		return false, x.unopened(err)
	case wait:
		up.stall(&x.up)
		return false, nil
	}
	s := &x.up
	up.openStream(s, x)
	up.putRequest(&x.Request, e, x.Request.expects && (x.continued || !x.Request.ExpectsContinue()))
	up.endSection(s, bodiless)
	x.relay.opened, x.relay.requested = true, bodiless
	return true, nil
}

// unopened is the failure of a request of which nothing was sent.
func (x *Exchange) unopened(err error) *message.Failure {
	return &message.Failure{
		Side: message.UpstreamSide, Unsent: true, Err: err,
		Stale: x.relay.reused, Unprocessed: !errors.Is(err, errNoExtendedConnect),
	}
}

// trailed tells whether a trailer section follows the body.
func (x *Exchange) trailed() bool {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	return x.down.trailed
}

// putRequest encodes the head for the next hop (RFC 9113 §8.3.1).
func (c *ClientConn) putRequest(r *Request, e *message.Edits, unexpected bool) {
	c.put(":method", r.Method)
	if r.seen[schemeField] {
		c.put(":scheme", r.pseudo[schemeField])
	}
	c.put(":authority", r.Host)
	if r.seen[pathField] {
		c.put(":path", r.target(e))
	}
	if r.Protocol != "" {
		c.put(":protocol", r.Protocol)
	}
	for i := range r.fields {
		f := &r.fields[i]
		if f.kind == message.Host || f.kind == message.Expect && unexpected || dropped(f, false) {
			continue
		}
		c.putField(f.name, f.value, f.sensitive)
	}
	if r.trailers {
		c.put("te", "trailers")
	}
	for i, line := range e.Fields {
		c.putLine(i, line)
	}
}

// close ends the stream to the next hop and gives its place back.
func (x *Exchange) close(f *message.Failure) {
	up, s := x.relay.up, &x.up
	up.mu.Lock()
	if x.relay.opened {
		up.sendReset(s, codeTowards(f))
		up.remove(s)
		if f == nil {
			up.earn(streamWorth)
		}
	} else {
		up.reserved--
		up.untrack(s)
	}
	panicked := up.panicked
	up.mu.Unlock()
	up.push()
	up.released()
	if panicked != "" && f != nil && errors.Is(f.Err, errPanicked) {
		x.relay.up = nil
		panic(panicked) //nolint:forbidigo // passed on to the owner of the client's connection
	}
}

// codeTowards is what the next hop is told when its answer is not wanted any more.
func codeTowards(f *message.Failure) Code {
	if f == nil {
		return cancel
	}
	reset, isOne := errors.AsType[*ResetError](f.Err)
	_, broken := errors.AsType[*message.ProtocolError](f.Err)
	switch {
	case f.Side == message.ClientSide && isOne:
		return reset.Code
	case f.Side == message.UpstreamSide && broken:
		return protocolError
	}
	return cancel
}

// codeOf is what the client is told when its answer cannot be completed.
func codeOf(f *message.Failure) Code {
	reset, isOne := errors.AsType[*ResetError](f.Err)
	_, broken := errors.AsType[*message.ProtocolError](f.Err)
	switch {
	case f.Side == message.UpstreamSide && isOne:
		return reset.Code
	case f.Side == message.ClientSide && broken:
		return protocolError
	case f.Unprocessed:
		return refusedStream
	case isTimeout(f.Err), errors.Is(f.Err, errCanceled):
		return cancel
	}
	return internalError
}
