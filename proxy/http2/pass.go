package http2

import (
	"time"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// passRequest moves what there is of the request's body.
func (x *Exchange) passRequest() (moved bool, f *message.Failure) {
	for {
		p, last, trailed, err := x.nextOfBody()
		switch {
		case err != nil:
			return moved, x.failure(message.ClientSide, err)
		case x.relay.requested || len(p) == 0 && !last:
			return moved, nil
		}
		n, done := x.sendBody(p, last, trailed)
		if n > 0 {
			x.tookOfBody(p[:n])
		}
		x.relay.requested = done
		if n == 0 && !done {
			return moved, nil
		}
		moved = true
	}
}

// nextOfBody returns what is next of the body, and whether nothing but a trailer
// section is behind it.
func (x *Exchange) nextOfBody() (p []byte, last, trailed bool, err error) {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	b, s := &x.Body, &x.down
	if b.aheadAt < len(b.ahead) {
		p = b.ahead[b.aheadAt:]
		return p, s.ended && s.in.size == 0, s.trailed, s.err
	}
	p = s.in.peek()
	return p, s.ended && len(p) == s.in.size, s.trailed, s.err
}

func (x *Exchange) tookOfBody(p []byte) {
	b := &x.Body
	if b.aheadAt < len(b.ahead) {
		b.aheadAt += len(p)
		return
	}
	b.tap.See(b.size, p)
	b.size += int64(len(p))
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	x.down.took(len(p))
}

// sendBody gives p to the next hop as far as there is room. done tells that nothing
// of the request is left to be sent, or wanted.
func (x *Exchange) sendBody(p []byte, last, trailed bool) (n int, done bool) {
	up, s := x.relay.up, &x.up
	up.mu.Lock()
	defer up.mu.Unlock()
	if s.err != nil || s.sent {
		return 0, true // the answer tells why
	}
	if len(p) > 0 {
		n = up.sendData(s, p, last && !trailed)
		return n, s.sent
	}
	if trailed {
		return 0, up.sendTrailers(s, &x.down.tail)
	}
	up.sendEnd(s)
	return 0, true
}

// passAnswer moves what there is of the answer.
func (x *Exchange) passAnswer() (moved bool, f *message.Failure) {
	for {
		part := x.nextOfAnswer()
		if _, broken := part.err.(*message.ProtocolError); broken { //nolint:errorlint // streams hold it as it is
			return moved, x.failure(message.UpstreamSide, part.err) // nobody shall have any of it
		}
		if part.head != nil && x.declines(part.head) {
			return moved, &message.Failure{Side: message.UpstreamSide, Unsent: true, Err: message.ErrDeclined}
		}
		n, sent, err := x.sendPart(&part)
		if err != nil {
			return moved, x.failure(message.ClientSide, err)
		}
		x.tookOfAnswer(&part, n, sent)
		if n == 0 && !sent {
			if part.err != nil && part.isEmpty() {
				return moved, x.failure(message.UpstreamSide, part.err)
			}
			return moved, nil
		}
		moved = true
	}
}

// part is what is next of an answer: an interim head, the final one, a piece of the
// body, or its end.
type part struct {
	head  *response
	body  []byte
	last  bool  // nothing but a trailer section is behind it
	tail  *head // the trailer section; nil when there is none
	err   error
	ended bool // the end of the body is due, and it was not sent yet
}

func (p *part) isEmpty() bool { return p.head == nil && len(p.body) == 0 && !p.ended }

func (x *Exchange) nextOfAnswer() (p part) {
	up, s, a := x.relay.up, &x.up, &x.answer
	up.mu.Lock()
	defer up.mu.Unlock()
	p.err = s.err
	if s.trailed {
		p.tail = &s.tail
	}
	switch {
	case len(a.interim) > 0:
		p.head = &a.interim[0]
	case !a.here:
	case !x.relay.answered:
		p.head = &a.final
		p.last = s.ended && s.in.size == 0
	default:
		p.body = s.in.peek()
		p.last = s.ended && len(p.body) == s.in.size
		p.ended = p.last && len(p.body) == 0
	}
	return p
}

// sendPart gives p to the client as far as there is room.
func (x *Exchange) sendPart(p *part) (n int, sent bool, err error) {
	c, s := x.c, &x.down
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.err != nil:
		return 0, false, s.err
	case s.sent:
		return 0, false, nil
	case p.head != nil:
		return 0, x.sendHead(p), nil
	case len(p.body) > 0:
		n = c.sendData(s, p.body, p.last && p.tail == nil)
		return n, false, nil
	case !p.ended:
		return 0, false, nil
	case p.tail != nil:
		return 0, c.sendTrailers(s, p.tail), nil
	}
	c.sendEnd(s)
	return 0, true, nil
}

// sendHead passes a response head on, when there is room. It needs the lock of the
// client's connection.
func (x *Exchange) sendHead(p *part) bool {
	c, s, r := x.c, &x.down, p.head
	if c.full() {
		c.stall(s)
		return false
	}
	without := message.Plain
	if r.Status == 204 || r.interim() {
		without = message.ContentLength // forbidden there (RFC 9110 §8.6)
	}
	c.put(":status", r.pseudo[statusField])
	c.putFields(&r.head, x.relay.up.dialed.FromSidecar, without)
	c.endSection(s, p.last && p.tail == nil)
	x.begun = x.begun || !r.interim()
	return true
}

// tookOfAnswer notes what was passed on.
func (x *Exchange) tookOfAnswer(p *part, n int, sent bool) {
	r := &x.relay
	switch {
	case n > 0:
		x.Sent += int64(n)
		r.up.mu.Lock()
		x.up.took(n)
		r.up.mu.Unlock()
	case !sent || p.head == nil:
	case p.head.interim():
		r.interims++
		r.up.mu.Lock()
		x.answer.interim = x.answer.interim[1:]
		r.up.mu.Unlock()
	default:
		r.answered = true
		x.Status, x.Events = p.head.Status, p.head.events
		x.FirstByte = time.Since(r.sent)
		x.c.mu.Lock()
		x.down.in.forget(x.c.buffers)
		x.c.mu.Unlock()
	}
}
