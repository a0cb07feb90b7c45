package outbound

import (
	"errors"

	"github.com/outrider-mesh/outrider/proxy/detect"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
	"github.com/outrider-mesh/outrider/proxy/httpflow"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// request is one request on its way through the stages. Over HTTP/1.1 one value
// serves all requests of a connection, which come one after the other; over HTTP/2
// each has one of its own.
type request struct {
	*conn
	httpflow.Recorder

	call  httpflow.Call
	to    forward.Route
	edits message.Edits
}

// serveHTTP1 reads requests one after the other.
func (c *conn) serveHTTP1() {
	h := c.l.http1.NewConn(c.nc)
	h.ExpectPreface() // a client of HTTP/2 may be slow to begin
	c.Serve(h)
	r := c.newRequest(&c.Flow)
	err := h.Serve(func(x *http1.Exchange) { r.serve(httpflow.Call{V1: x}) })
	if errors.Is(err, http1.ErrPreface) {
		nc, preface := h.Preface()
		c.nc, c.Flow.Protocol = detect.Replay(nc, preface), flow.HTTP2
		c.serveHTTP2()
		return
	}
	c.serveUntil(err)
}

// serveHTTP2 reads requests that are under way at the same time.
func (c *conn) serveHTTP2() {
	h := c.l.http2.NewConn(c.nc)
	c.Serve(h)
	known := c.Flow // what each request starts with; it will learn who the peer is
	c.serveUntil(h.Serve(func(x *http2.Exchange) {
		own := known
		c.newRequest(&own).serve(httpflow.Call{V2: x})
	}))
}

// serveUntil notes why a connection of HTTP ended.
func (c *conn) serveUntil(err error) {
	if err != nil {
		c.Flow.Refusal = httpflow.RefusalOf(err)
	}
}

// newRequest makes room for a request on the connection as f describes it.
func (c *conn) newRequest(f *flow.Connection) *request {
	return &request{
		conn: c, Recorder: httpflow.Recorder{Conn: f, Log: c.l.opts.AccessLog, IDs: c.l.opts.IDs}, to: c.to,
		edits: message.Edits{DefaultHost: f.Service, Fields: make([][]byte, 0, 1)},
	}
}

// serve takes one request through the stages, in this order.
func (r *request) serve(call httpflow.Call) {
	r.call = call
	q := r.Begin(call)
	defer r.record()

	ok := r.wellFormed(q) && r.forward(q)
	if !ok {
		r.Refuse(call, q.Refusal)
	}
}

// record writes the request down. Only with the first of a connection is it known who
// the peer is.
func (r *request) record() {
	r.counted.Do(func() { r.describe(r.Recorder.Conn) })
	r.Recorder.Metrics = r.conn.Metrics
	r.End(r.call)
}

func (r *request) wellFormed(q *flow.Request) bool {
	err := r.call.Fault()
	if err == nil {
		return true
	}
	q.Refusal = httpflow.RefusalOf(err)
	return false
}

// forward sends the request to the destination. A refusal that comes after the
// answer began cannot be told to the application: it is written down.
func (r *request) forward(q *flow.Request) bool {
	r.edits.Fields = r.edits.Fields[:0]
	if trace := r.Traceparent(); trace != nil {
		r.edits.Fields = append(r.edits.Fields, trace)
	}
	if r.to.Refresh() == nil {
		q.Refusal = r.nowhere()
		return false
	}
	if r.call.V2 != nil {
		q.Refusal = r.to.HTTP2(r.l.opts.Base, r.call.V2, q, &r.edits)
	} else {
		q.Refusal = r.to.HTTP1(r.l.opts.Base, r.call.V1, q, &r.edits)
	}
	if to := r.to.Forwarder(); to != nil {
		q.Conn.Service = to.Destination.Name() // a reload may have changed it
	}
	return q.Refusal.Reason == flow.None || r.call.Answered()
}
