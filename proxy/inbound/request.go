package inbound

import (
	"errors"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/detect"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/hop"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
	"github.com/outrider-mesh/outrider/proxy/httpflow"
	"github.com/outrider-mesh/outrider/proxy/inspect"
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
	edits message.Edits // identity headers towards the application
	plan  inspect.Plan
	held  int64 // bytes of the body that inspection had
}

// serveHTTP1 reads requests one after the other.
func (c *conn) serveHTTP1() {
	h := c.l.http1.NewConn(c.nc)
	if c.hop == nil || hop.Declared(c.hop.ALPN) != flow.HTTP1 {
		h.ExpectPreface() // a client of HTTP/2 may be slow to begin
	}
	c.Serve(h)
	r := c.newRequest(&c.Flow)
	err := h.Serve(func(x *http1.Exchange) {
		r.serve(httpflow.Call{V1: x})
		if c.denied.Load() {
			h.CloseGracefully()
		}
	})
	if errors.Is(err, http1.ErrPreface) {
		c.serveHTTP2After(h)
		return
	}
	c.serveUntil(err)
}

// serveHTTP2After goes on where a client begins HTTP/2.
func (c *conn) serveHTTP2After(h *http1.ServerConn) {
	nc, preface := h.Preface()
	c.nc, c.Flow.Protocol = detect.Replay(nc, preface), flow.HTTP2
	if c.authorize() {
		c.serveHTTP2()
	}
}

// serveHTTP2 reads requests that are under way at the same time.
func (c *conn) serveHTTP2() {
	server := c.l.http2
	if c.hop != nil && hop.IsSidecar(c.hop.ALPN) {
		server = c.l.shared
	}
	h := server.NewConn(c.nc)
	c.Serve(h)
	known := c.Flow // what each request starts with; it may learn more
	c.serveUntil(h.Serve(func(x *http2.Exchange) {
		own := known
		c.newRequest(&own).serve(httpflow.Call{V2: x})
		if c.denied.Load() {
			h.CloseGracefully()
		}
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
	r := &request{
		conn:     c,
		Recorder: httpflow.Recorder{Conn: f, Metrics: c.Metrics, Log: c.l.opts.AccessLog, IDs: c.l.opts.IDs},
		to:       c.to,
	}
	r.to.Takes = r.leadsTo
	r.edits = message.Edits{DefaultHost: f.Destination.String(), Fields: make([][]byte, 0, len(c.identity)+1)}
	return r
}

// serve takes one request through the stages, in this order.
func (r *request) serve(call httpflow.Call) {
	r.call = call
	r.edits.Path, r.edits.Fields = "", append(r.edits.Fields[:0], r.identity...)
	r.plan, r.held = inspect.Plan{}, 0
	q := r.Begin(call)
	defer r.end(q)

	ok := r.wellFormed(q) && // is it HTTP?
		r.route(q) && // where does it go?
		r.normalise(q) && // do all of us read the same path?
		r.authorize(q) && // may this caller do that?
		r.inspect(q) && // is it an attack?
		r.forward(q)
	if !ok {
		r.Refuse(call, q.Refusal)
	}
}

func (r *request) wellFormed(q *flow.Request) bool {
	err := r.call.Fault()
	if err == nil {
		return true
	}
	q.Refusal = httpflow.RefusalOf(err)
	return false
}

// route finds the application as the configuration has it now. A reload may have
// moved it to another port, and policies speak of ports. A captured connection
// goes where it was going, whatever is reloaded.
func (r *request) route(q *flow.Request) bool {
	if q.Conn.Original.IsValid() {
		return true
	}
	app := r.to.Refresh()
	if app == nil {
		q.Refusal = flow.Refusal{Reason: flow.NoDestination, Detail: "the listener was taken out of the configuration"}
		return false
	}
	q.Conn.Destination = destinationOf(app)
	return true
}

// leadsTo tells whether app is where the request was judged to go.
func (r *request) leadsTo(app *forward.Forwarder) bool {
	return destinationOf(app) == r.Conn.Destination
}

// normalise gives policy, inspection and the application one reading of the
// path. A path that has none is refused where policy or inspection look at it,
// and passed on untouched where nobody does.
func (r *request) normalise(q *flow.Request) bool {
	if q.Method == "CONNECT" && !r.call.HasPath() || q.Path == "*" {
		return true
	}
	path, err := authz.NormalizePath(q.Path)
	if err != nil {
		if !r.l.needsHTTP(q.Conn) {
			return true
		}
		q.Refusal = flow.Refusal{Reason: flow.BadRequest, Detail: err.Error()}
		return false
	}
	q.Path = path
	r.edits.Path = path
	return true
}

func (r *request) authorize(q *flow.Request) bool {
	if q.Conn.Security == flow.Plaintext && r.l.opts.Strict() { // since the connection was accepted
		q.Refusal = flow.Refusal{Reason: flow.PlaintextRefused, Detail: "the port has become strict"}
		r.denied.Store(true)
		return false
	}
	ok := r.l.opts.Enforcer.Request(q)
	q.Times.Authorize = time.Since(q.Started)
	return ok
}

// forward sends the request to the application. A refusal that comes after the
// answer began cannot be told to the caller: it is written down.
func (r *request) forward(q *flow.Request) bool {
	if r.call.Tunnels() {
		unwatch, ok := r.watchTunnel(q)
		if !ok {
			return false
		}
		defer func() {
			if told := unwatch(); told == flow.PolicyChanged || told == flow.CertificateRevoked {
				q.Refusal = flow.Refusal{Reason: told}
			}
		}()
	}
	if trace := r.Traceparent(); trace != nil {
		r.edits.Fields = append(r.edits.Fields, trace)
	}
	if r.call.V2 != nil {
		q.Refusal = r.to.HTTP2(r.l.opts.Base, r.call.V2, q, &r.edits)
	} else {
		q.Refusal = r.to.HTTP1(r.l.opts.Base, r.call.V1, q, &r.edits)
	}
	r.noteRest(q)
	return q.Refusal.Reason == flow.None || r.call.Answered()
}
