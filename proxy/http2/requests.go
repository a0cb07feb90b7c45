package http2

import (
	"time"
)

// headBegins implements role.
func (c *ServerConn) headBegins(id uint32, ended bool) (sectionUse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[id]
	switch {
	case s != nil:
		return c.beginTrailers(s, ended)
	case id%2 == 0:
		return unused, broken(protocolError, "a stream of a client with an even number")
	case !c.isNew(id) && c.wasResetByUs(id):
		return unused, c.spend(1) // they were on their way
	case !c.isNew(id):
		return unused, broken(streamClosed, "HEADERS on a stream that was closed")
	}
	if err := c.listens(); err != nil {
		return unused, err
	}
	c.last = id
	switch {
	case c.stage == finishing: // the client will send it again elsewhere
		return unused, c.spend(1)
	case c.crowded():
		c.reset(id, refusedStream)
		return unused, c.spend(1)
	}
	return forRequest, nil
}

// beginTrailers tells whether a section behind the head of a stream is taken.
func (c *conn) beginTrailers(s *stream, ended bool) (sectionUse, error) {
	switch {
	case s.closed, isReset(s.err):
		return unused, c.streamFault(s.id, broken(streamClosed, "HEADERS on a stream that was closed"))
	case s.err != nil:
		return unused, c.spend(1)
	case !ended:
		return unused, c.streamFault(s.id, broken(protocolError, "trailers that do not end the stream"))
	}
	return forTrailers, nil
}

// crowded tells whether another stream would be too many. One that both sides
// have ended does not count for the client, who cannot know that its handler has
// yet to return; but handlers are bounded as well, or a client that calls off what
// it has just asked for would have any number of them run.
func (c *ServerConn) crowded() bool {
	most := c.limits.ConcurrentStreams
	if c.running >= 2*most {
		return true
	}
	if len(c.streams) < most {
		return false
	}
	open := 0
	for _, s := range c.streams {
		if !(s.sent && s.closed) && !isReset(s.err) {
			open++
		}
	}
	return open >= most
}

// headEnds implements role.
func (c *ServerConn) headEnds(use sectionUse, id uint32, ended bool) error {
	switch use {
	case forRequest:
		c.request(id, ended)
	case forTrailers:
		return c.takeTrailers(id)
	case unused, forResponse:
	}
	return nil
}

// request begins an exchange.
func (c *ServerConn) request(id uint32, ended bool) {
	x := c.server.exchange()
	c.mu.Lock()
	defer c.mu.Unlock()
	x.begin(c, id, ended)
	c.running++
	c.starting = append(c.starting, x)
}

// takeTrailers ends the body of a stream with its trailer section.
func (c *conn) takeTrailers(id uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[id]
	if s == nil || s.closed || s.err != nil {
		return nil
	}
	if c.head.broken != nil {
		s.fail(c.head.broken)
	} else {
		s.tail, c.head = c.head, s.tail
		s.trailed = true
	}
	s.finish()
	return nil
}

// wasReset implements role. To call off what was not answered yet costs the client
// nothing and us all of the work.
func (c *ServerConn) wasReset(s *stream) error {
	if s.x.begun || c.in.now.Sub(s.x.Started) >= c.limits.StreamResetTime {
		return nil
	}
	if !c.calledOff.spend(1, c.in.now) {
		return broken(enhanceYourCalm, "too many requests were called off before their answers")
	}
	return nil
}

// goAway implements role. A client that says goodbye just opens no more streams.
func (c *ServerConn) goAway(uint32, Code) {}

// pinged implements role.
func (c *ServerConn) pinged(data [8]byte) {
	if data == gracefulPing && c.stage == leaving {
		c.finish()
	}
}

// CloseGracefully ends the connection when the requests that are under way, or on
// their way, are answered (RFC 9113 §6.8): the client is asked to open no more
// streams, and when it must have heard that, told which was the last.
func (c *ServerConn) CloseGracefully() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage != serving || c.dead != nil {
		return
	}
	c.stage = leaving
	c.out = appendGoAway(c.out, mostStream, noError, "")
	c.out = appendPing(c.out, false, gracefulPing)
	c.leaveBy = time.Now().Add(c.limits.PingTimeout)
	c.arm(c.leaveBy)
	c.wake() // the reader has it written
}

// finish tells the client which stream was the last. It needs c.mu.
func (c *ServerConn) finish() {
	c.stage, c.final = finishing, c.last
	c.out = appendGoAway(c.out, c.final, noError, "")
	if c.running == 0 {
		c.wake()
	}
}

// Closing tells whether the connection takes no more requests.
func (c *ServerConn) Closing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stage != serving || c.dead != nil
}
