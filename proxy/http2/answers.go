package http2

import (
	"errors"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// headBegins implements role.
func (c *ClientConn) headBegins(id uint32, ended bool) (sectionUse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[id]
	switch {
	case s == nil && c.isNew(id):
		return unused, broken(protocolError, "HEADERS on a stream that was not opened")
	case s == nil:
		return unused, c.spend(1) // it was called off in the meantime
	case s.x.answer.here:
		return c.beginTrailers(s, ended)
	case s.closed, s.err != nil:
		return unused, c.spend(1)
	}
	return forResponse, nil
}

// headEnds implements role.
func (c *ClientConn) headEnds(use sectionUse, id uint32, ended bool) error {
	switch use {
	case forResponse:
		c.response(id, ended)
	case forTrailers:
		return c.takeTrailers(id)
	case unused, forRequest:
	}
	return nil
}

// response takes a response head.
func (c *ClientConn) response(id uint32, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[id]
	if s == nil || s.err != nil {
		return
	}
	if err := c.takeResponse(s, ended); err != nil {
		s.fail(err)
	}
	if ended {
		s.finish()
	}
	c.tell(s)
}

func (c *ClientConn) takeResponse(s *stream, ended bool) error {
	a, request := &s.x.answer, &s.x.Request
	if err := a.final.read(&c.head); err != nil {
		return err
	}
	if a.final.interim() {
		if a.count++; a.count > c.limits.InterimResponses {
			return message.ErrInterimLoop
		}
		if ended {
			return message.Violation("an interim response that ends the stream")
		}
		a.interim = append(a.interim, a.final)
		a.final = response{}
		return nil
	}
	a.here, s.headed = true, true
	switch {
	case request.IsTunnel() && a.final.Status < 300:
	case a.final.bodiless(request.Method):
		s.left = 0
	case a.final.lengths == 1:
		s.left = a.final.length
	}
	return nil
}

// wasReset implements role. Who serves may end what it likes.
func (c *ClientConn) wasReset(*stream) error { return nil }

// pinged implements role.
func (c *ClientConn) pinged([8]byte) {}

// before implements role: a connection that takes no more streams ends with the
// last one.
func (c *ClientConn) before() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(c.leaving, errGoAway) && len(c.streams)+c.reserved == 0 {
		return errClosing
	}
	return nil
}

// quiet implements role.
func (c *ClientConn) quiet() {}

// goAway implements role: no more streams are opened, and those that the other end
// has not begun never will be (RFC 9113 §6.8).
func (c *ClientConn) goAway(last uint32, code Code) {
	c.leaving = errGoAway
	for id, s := range c.streams {
		if id > last {
			s.fail(unprocessedError{code})
		}
	}
}

// unprocessedError is a stream that the other end has promised not to have begun.
type unprocessedError struct{ code Code }

// Error implements error.
func (e unprocessedError) Error() string { return "not begun: " + e.code.String() }
