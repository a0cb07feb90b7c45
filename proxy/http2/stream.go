package http2

import "github.com/outrider-mesh/outrider/proxy/message"

// stream is one stream of a connection, seen from either of its ends. All of it is
// guarded by conn.mu, but for what the comments say.
type stream struct {
	streamState
	x *Exchange // who is told of changes; the same for good
	// tail is the trailer section. It belongs to the exchange once ended is set.
	tail head
}

// streamState is what begins anew with each stream.
type streamState struct {
	c  *conn
	id uint32

	// What we receive.
	in     queue
	window int   // what the peer may still send
	owed   int   // taken, and not granted to the peer again
	left   int64 // of the declared content-length; -1 when there is none
	most   int64 // bytes of a body that are accepted; 0: any number
	came   int64 // bytes of the body so far
	headed bool  // the head of the message has come
	closed bool  // the peer has sent END_STREAM
	ended  bool  // and with it all that it should
	// err is why nothing more is received, if the stream did not end in order.
	err     error
	trailed bool // there is a trailer section

	// What we send.
	credit  int  // what the peer lets us send
	starved bool // the credit was too little
	sent    bool // we have sent END_STREAM or a reset
	over    bool // we have sent a reset

	stalled bool // in conn.stalled
	told    bool // in conn.changed
}

// open makes s ready for stream id of c, of which nothing was received. It needs
// c.mu.
func (s *stream) open(c *conn, id uint32) {
	s.streamState = streamState{c: c, id: id, left: -1, window: c.streamWindow, credit: c.peer.window}
	s.tail.reset()
	c.streams[id] = s
}

// fail ends what is received. It needs c.mu.
func (s *stream) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.c.tell(s)
}

// receive checks n more bytes of the body against what was promised and what is
// allowed. It needs c.mu.
func (s *stream) receive(n int) error {
	if !s.headed {
		return message.Violation("DATA before the head of its message")
	}
	s.came += int64(n)
	if s.left >= 0 {
		if s.left -= int64(n); s.left < 0 {
			return message.Violation("the body is longer than its content-length")
		}
	}
	if s.most > 0 && s.came > s.most {
		return errBodyTooLarge
	}
	return nil
}

// finish notes END_STREAM. It needs c.mu.
func (s *stream) finish() {
	s.closed = true
	if s.left > 0 {
		s.fail(message.Violation("the body is shorter than its content-length"))
	}
	s.ended = s.err == nil
	s.c.tell(s)
}

// took tells that n bytes of the body were taken: the peer may send as many more.
// Updates are sent when a quarter of the window is owed, lest there be one for each
// message. It needs c.mu.
func (s *stream) took(n int) {
	s.in.take(n, s.c.buffers)
	s.owe(n)
	if !s.c.eager {
		s.c.owe(n)
	}
}

func (s *stream) owe(n int) {
	s.owed += n
	if s.owed < s.c.streamWindow/4 || s.closed || s.err != nil || s.c.streams[s.id] != s {
		return
	}
	s.c.out = appendWindowUpdate(s.c.out, s.id, uint32(s.owed)) //nolint:gosec // within a window
	s.window += s.owed
	s.owed = 0
}

// discard gives everything back that was received and not taken. It needs c.mu.
func (s *stream) discard() {
	if !s.c.eager {
		s.c.owe(s.in.size)
	}
	s.in.release(s.c.buffers)
}

var errBodyTooLarge = &message.ProtocolError{Kind: message.BodyTooLarge, Rule: "the body is over its limit"}
