package httpflow

import (
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
)

// A Call is one request and its answer, in the hands of one of the engines: exactly
// one field is set. The stages treat both alike; only what sends it on needs to know
// which it is.
type Call struct {
	V1 *http1.Exchange
	V2 *http2.Exchange
}

// Fault is why no valid request could be read; nil if one was.
func (c Call) Fault() error {
	if c.V2 != nil {
		return c.V2.Err
	}
	return c.V1.Err
}

// describe fills in all that the head says.
func (c Call) describe(q *flow.Request) {
	if c.V2 != nil {
		r := &c.V2.Request
		*q = flow.Request{
			Started: c.V2.Started, Proto: "HTTP/2.0",
			Method: r.Method, Target: r.Target, Path: r.Path, Query: r.Query, Host: r.Host,
			Header: r, Trace: r.Traceparent(), GRPC: r.IsGRPC(),
		}
		return
	}
	r := &c.V1.Request
	*q = flow.Request{
		Started: c.V1.Started, Proto: "HTTP/1.1",
		Method: r.Method, Target: r.Target, Path: r.Path, Query: r.Query, Host: r.Host,
		Header: r, Trace: r.Traceparent(),
	}
	if r.Minor == 0 {
		q.Proto = "HTTP/1.0"
	}
}

// isGRPC tells whether the answer must be one of gRPC, as it must to a call that is
// over a limit. Nothing is believed of a malformed request.
func (c Call) isGRPC() bool { return c.V2 != nil && c.V2.Request.IsGRPC() }

// Tunnels tells whether the answer may make a tunnel of it.
func (c Call) Tunnels() bool {
	if c.V2 != nil {
		return c.V2.Request.IsTunnel()
	}
	return c.V1.Request.Method == "CONNECT" || c.V1.Request.UpgradesTo() != ""
}

// HasPath tells whether a CONNECT has a path like any other request: the one that
// asks for WebSocket over HTTP/2 does (RFC 8441 §4).
func (c Call) HasPath() bool { return c.V2 != nil && c.V2.Request.Protocol != "" }

// Answered tells whether the head of an answer has gone to the client.
func (c Call) Answered() bool {
	if c.V2 != nil {
		return c.V2.Status != 0
	}
	return c.V1.Status != 0
}

// Ended tells whether all of the request's body has been read.
func (c Call) Ended() bool {
	if c.V2 != nil {
		return c.V2.Body.Ended()
	}
	return c.V1.Body.Ended()
}

// Peek reads the first n bytes of the body ahead, which are forwarded later, and
// tells whether that is all of it. A client that waits to be asked for its body is
// asked.
func (c Call) Peek(n int64) (prefix []byte, complete bool, err error) {
	if c.V2 != nil {
		if err := c.V2.Expecting(); err != nil {
			return nil, false, err
		}
		return c.V2.Body.Peek(n)
	}
	if err := c.V1.Expecting(); err != nil {
		return nil, false, err
	}
	return c.V1.Body.Peek(n)
}

// Arrived is Peek that waits for nothing and asks nobody: it returns what is here.
func (c Call) Arrived(n int64) (prefix []byte, complete bool, err error) {
	if c.V2 != nil {
		return c.V2.Body.Arrived(n)
	}
	return c.V1.Body.Arrived(n)
}

// Tap has the first n bytes of the body copied as they pass. It is called before any
// of it is read.
func (c Call) Tap(n int64) {
	if c.V2 != nil {
		c.V2.Body.Tap(n)
		return
	}
	c.V1.Body.Tap(n)
}

// Tapped is what was copied, and whether that is all of the body. The caller may keep
// it; it is asked for when the call is over.
func (c Call) Tapped() (prefix []byte, complete bool) {
	if c.V2 != nil {
		return c.V2.Body.Tapped()
	}
	return c.V1.Body.Tapped()
}

// head returns the head for whoever needs it longer than the call lasts.
func (c Call) head() flow.Header {
	if c.V2 != nil {
		return c.V2.Request.Clone()
	}
	return c.V1.Request.Clone()
}

// Received is how many bytes of the body have been read.
func (c Call) Received() int64 {
	if c.V2 != nil {
		return c.V2.Body.Received()
	}
	return c.V1.Body.Received()
}

// respond sends an answer of our own.
func (c Call) respond(status int, fields, body []byte) error {
	if c.V2 != nil {
		return c.V2.Respond(status, fields, body)
	}
	return c.V1.Respond(status, fields, body)
}

// abort ends the call without an answer.
func (c Call) abort() {
	if c.V2 != nil {
		c.V2.Abort()
		return
	}
	c.V1.Abort()
}

// account notes what became of the call. A tunnel of HTTP/1.1 has counted its own
// bytes.
func (c Call) account(q *flow.Request) {
	q.Stream = c.classOf(q)
	if x := c.V2; x != nil {
		q.Status, q.Times.FirstByte = x.Status, x.FirstByte
		q.Sent, q.Received = x.Sent, x.Body.Received()
		return
	}
	x := c.V1
	q.Status, q.Times.FirstByte = x.Status, x.FirstByte
	q.Sent += x.Sent
	q.Received += x.Body.Received()
}
