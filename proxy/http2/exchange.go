package http2

import (
	"net/http"
	"strconv"
	"time"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// An Exchange is one request and its answer: one stream. It is used again when its
// handler has returned; only strings taken from its Request may be kept.
type Exchange struct {
	// Request is the head; not to be relied upon when Err is set.
	Request Request
	// Body is the request's body.
	Body Body
	// Err is what is wrong with the request, a *message.ProtocolError. The
	// handler answers or aborts.
	Err error
	// Started is when the head was there.
	Started time.Time

	// Status is the status of the final answer; 0 before it was written.
	Status int
	// Decline is as in package http1.
	Decline func(status int) bool
	// Sent counts payload bytes of the answer.
	Sent int64
	// FirstByte is the time from the forwarded head to the answer's head.
	FirstByte time.Duration
	// Events tells that the answer is a stream of server-sent events.
	Events bool

	c *ServerConn
	// code is what a stream that was not answered is reset with.
	code Code
	// continued tells that we answered 100 ourselves.
	continued bool
	relay     relay

	// wake holds one token when something has changed.
	wake chan struct{}

	// Guarded by the lock of c.
	down  stream
	by    time.Time // when the wait under way ends
	begun bool      // the head of the final answer is written
	// settled tells that the stream has ended.
	settled bool

	// Guarded by the lock of the connection to the next hop.
	up     stream
	answer answer
}

func newExchange() *Exchange {
	x := &Exchange{wake: make(chan struct{}, 1)}
	x.Body.x = x
	x.down.x, x.up.x = x, x
	return x
}

// begin takes the head that was read. It needs c.mu.
func (x *Exchange) begin(c *ServerConn, id uint32, ended bool) {
	x.c, x.Started = c, c.in.now
	x.Err, x.Status, x.Sent, x.FirstByte = nil, 0, 0, 0
	x.Decline, x.Events = nil, false
	x.code, x.continued, x.begun, x.settled, x.by = internalError, false, false, false, time.Time{}
	x.Body.reset()
	s := &x.down
	s.open(&c.conn, id)
	s.headed, s.closed, s.ended = true, ended, ended
	if err := x.Request.read(&c.head, ended, &c.server.rules); err != nil {
		x.Err = err
		s.err = err
		return
	}
	if x.Request.IsTunnel() {
		return // what follows is no body
	}
	s.most = c.limits.BodyBytes
	if x.Request.lengths == 1 {
		s.left = x.Request.length
		if s.most > 0 && s.left > s.most {
			s.err = errBodyTooLarge
		}
	}
}

// end ends the stream, if it has not ended in order, and gives everything back.
func (x *Exchange) end() {
	x.settle()
	x.c.push()
	x.Body.release()
	x.Request.reset()
	x.answer.reset()
	x.down.tail.reset()
	x.up.tail.reset()
}

// settle is the part of end that its connection must know of, even after a panic.
func (x *Exchange) settle() {
	c, s := x.c, &x.down
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.settled {
		return
	}
	x.settled = true
	if s.sent && s.err == nil {
		c.earn(streamWorth)
		c.calledOff.earn(1)
	}
	code := x.code
	if s.sent {
		code = noError // the answer is complete: nobody wants the rest (RFC 9113 §8.1)
	}
	c.sendReset(s, code)
	c.remove(s)
	x.by = time.Time{}
	c.running--
	if c.stage == finishing && c.running == 0 {
		c.wake()
	}
}

// Abort ends the exchange without an answer: the stream is reset, with the code
// that the next hop has reset it with if that is why.
func (x *Exchange) Abort() {}

// Expecting answers "100 Continue" if the client waits for it and we, not the
// next hop, want the body: before inspection reads it.
func (x *Exchange) Expecting() error {
	if !x.Request.ExpectsContinue() || x.continued {
		return nil
	}
	x.continued = true
	c, s := x.c, &x.down
	c.mu.Lock()
	if s.err == nil && s.came == 0 && !s.sent { // else the body is coming, or never will
		c.put(":status", "100")
		c.endSection(s, false)
	}
	err := s.err
	c.mu.Unlock()
	c.push()
	return err
}

// Respond sends an answer of our own: fields are complete field lines, body is
// the whole payload. Fields that are not well-formed are left out, all of them,
// so that no value can split the answer. Without a body the head ends the stream,
// which makes it a gRPC answer of nothing but a status. The stream of a malformed
// request is reset behind its answer (RFC 9113 §8.1.1).
func (x *Exchange) Respond(status int, fields, body []byte) error {
	malformed := x.malformed()
	if malformed {
		x.code = protocolError
	}
	length := len(body)
	if x.Request.Method == http.MethodHead {
		body = nil
	}
	if err := x.respondHead(status, fields, length, len(body) == 0 && !malformed); err != nil {
		return &message.Failure{Side: message.ClientSide, Err: err}
	}
	x.Status = status
	if err := x.respondBody(body, !malformed); err != nil {
		return &message.Failure{Side: message.ClientSide, Err: err}
	}
	x.c.push()
	return nil
}

// malformed tells whether what is wrong with the request leaves no trust in its
// stream.
func (x *Exchange) malformed() bool {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	broken, ok := x.down.err.(*message.ProtocolError) //nolint:errorlint // it is never wrapped
	return ok && broken.Kind == message.Malformed
}

// respondHead waits for room and adds the head.
func (x *Exchange) respondHead(status int, fields []byte, length int, end bool) error {
	by := time.Now().Add(x.c.limits.WriteTimeout)
	for {
		done, err := x.tryHead(status, fields, length, end)
		if done || err != nil {
			return err
		}
		if err := x.pause(by); err != nil {
			return err
		}
	}
}

func (x *Exchange) tryHead(status int, fields []byte, length int, end bool) (done bool, err error) {
	c, s := x.c, &x.down
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case isReset(s.err), c.dead != nil:
		return false, s.err
	case s.sent, x.begun:
		return false, errAnswered
	case c.full():
		c.stall(s)
		return false, nil
	}
	c.put(":status", strconv.Itoa(status))
	if message.AreFields(fields) {
		c.putLines(fields)
	}
	if length > 0 {
		c.put("content-length", strconv.Itoa(length))
	}
	c.endSection(s, end)
	x.begun = true
	return true, nil
}

// respondBody adds the body as the client's windows allow.
func (x *Exchange) respondBody(body []byte, end bool) error {
	c, s := x.c, &x.down
	by := time.Now().Add(c.limits.WriteTimeout)
	for len(body) > 0 {
		c.mu.Lock()
		err := c.dead
		if isReset(s.err) {
			err = s.err
		}
		n := 0
		if err == nil {
			n = c.sendData(s, body, end)
		}
		c.mu.Unlock()
		if err != nil {
			return err
		}
		x.Sent += int64(n)
		if body = body[n:]; n > 0 || len(body) == 0 {
			continue
		}
		if err := x.pause(by); err != nil {
			return err
		}
	}
	return nil
}

// pause waits for something to change, but not for ever.
func (x *Exchange) pause(by time.Time) error {
	x.c.push()
	if !time.Now().Before(by) {
		return errSlowPeer
	}
	x.await(by)
	return nil
}
