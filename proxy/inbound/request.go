package inbound

import (
	"errors"
	"os"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/httpflow"
)

// serveHTTP reads requests one after the other.
func (c *conn) serveHTTP() {
	h := c.l.http.NewConn(c.nc)
	c.Serve(h)
	c.rec = httpflow.Recorder{Conn: &c.Flow, Metrics: c.Metrics, Log: c.l.opts.AccessLog, IDs: c.l.opts.IDs}
	identity := c.identityFields()
	c.edits = http1.Edits{DefaultHost: c.Flow.Destination.String(), Fields: make([][]byte, 0, len(identity)+1)}
	err := h.Serve(func(x *http1.Exchange) {
		c.edits.Path, c.edits.Fields = "", append(c.edits.Fields[:0], identity...)
		c.request(x)
		if c.denied {
			h.CloseGracefully()
		}
	})
	if err != nil {
		c.Flow.Refusal = httpflow.RefusalOf(err)
	}
}

// request takes one request through the stages, in this order.
func (c *conn) request(x *http1.Exchange) {
	q := c.rec.Begin(x)
	defer c.rec.End(x)

	ok := c.wellFormed(x, q) && // is it HTTP?
		c.route(q) && // where does it go?
		c.normalise(q) && // do all of us read the same path?
		c.authorizeRequest(q) && // may this caller do that?
		c.inspect(x, q) && // is it an attack?
		c.forward(x, q)
	if !ok {
		c.rec.Refuse(x, q.Refusal)
	}
}

func (c *conn) wellFormed(x *http1.Exchange, q *flow.Request) bool {
	if x.Err == nil {
		return true
	}
	q.Refusal = httpflow.RefusalOf(x.Err)
	return false
}

// route finds the application as the configuration has it now. A reload may have
// moved it to another port, and policies speak of ports. A captured connection
// goes where it was going, whatever is reloaded.
func (c *conn) route(q *flow.Request) bool {
	if c.Flow.Original.IsValid() {
		return true
	}
	app := c.to.Refresh()
	if app == nil {
		q.Refusal = flow.Refusal{Reason: flow.NoDestination, Detail: "the listener was taken out of the configuration"}
		return false
	}
	c.Flow.Destination = destinationOf(app)
	return true
}

// normalise gives policy, inspection and the application one reading of the
// path. A path that has none is refused where policy or inspection look at it,
// and passed on untouched where nobody does.
func (c *conn) normalise(q *flow.Request) bool {
	if q.Method == "CONNECT" || q.Path == "*" {
		return true
	}
	path, err := authz.NormalizePath(q.Path)
	if err != nil {
		if !c.l.needsHTTP(&c.Flow) {
			return true
		}
		q.Refusal = flow.Refusal{Reason: flow.BadRequest, Detail: err.Error()}
		return false
	}
	q.Path = path
	c.edits.Path = path
	return true
}

func (c *conn) authorizeRequest(q *flow.Request) bool {
	if c.Flow.Security == flow.Plaintext && c.l.opts.Strict() { // since the connection was accepted
		q.Refusal = flow.Refusal{Reason: flow.PlaintextRefused, Detail: "the port has become strict"}
		c.denied = true
		return false
	}
	ok := c.l.opts.Enforcer.Request(q)
	q.Times.Authorize = time.Since(q.Started)
	return ok
}

// inspect asks the WAF. What it needs of the body is read ahead and forwarded
// later.
func (c *conn) inspect(x *http1.Exchange, q *flow.Request) bool {
	plan := c.l.opts.Inspector.Plan(q)
	if plan.Off {
		return true
	}
	body, complete, ok := c.readAhead(x, q, plan.BodyBytes)
	if !ok {
		return false
	}
	before := time.Since(q.Started)
	q.Inspection = c.l.opts.Inspector.Inspect(c.l.opts.Base, q, plan, body, complete)
	q.Times.Inspect = time.Since(q.Started) - before
	if !q.Inspection.Refuse {
		return true
	}
	q.Refusal = inspectionRefusal(&q.Inspection)
	return false
}

func inspectionRefusal(v *flow.Inspection) flow.Refusal {
	if v.Outcome != flow.NotInspected {
		return flow.Refusal{Reason: flow.WAFBlocked, Detail: v.Message}
	}
	refusal := flow.Refusal{Reason: flow.WAFUninspected, Detail: v.Uninspected.String()}
	switch v.Uninspected {
	case flow.EngineError, flow.EngineTimeout, flow.EngineOverload: // the same request may pass later
		refusal.Reason = flow.WAFUnavailable
	case flow.Inspected, flow.BodyOverCap, flow.Encoding, flow.Stream:
	}
	return refusal
}

// readAhead reads the first n bytes of the body.
func (c *conn) readAhead(x *http1.Exchange, q *flow.Request, n int64) (body []byte, complete, ok bool) {
	if n == 0 || x.Body.Ended() {
		return nil, x.Body.Ended(), true
	}
	if err := x.Expecting(); err != nil {
		q.Refusal = flow.Refusal{Reason: flow.ClientClosed, Detail: err.Error()}
		return nil, false, false
	}
	body, complete, err := x.Body.Peek(n)
	if err != nil {
		q.Refusal = bodyRefusal(err)
		return nil, false, false
	}
	return body, complete, true
}

func bodyRefusal(err error) flow.Refusal {
	var broken *http1.ProtocolError
	if !errors.As(err, &broken) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return flow.Refusal{Reason: flow.ClientClosed, Detail: "body: " + err.Error()}
	}
	return httpflow.RefusalOf(err)
}

// forward sends the request to the application. A refusal that comes after the
// answer began cannot be told to the caller: it is written down.
func (c *conn) forward(x *http1.Exchange, q *flow.Request) bool {
	if q.Method == "CONNECT" || x.Request.UpgradesTo() != "" {
		if !c.watchTunnel(q) {
			return false
		}
		defer c.Tracked.Describe(&c.about) // of an answer that was no tunnel
	}
	if trace := c.rec.Traceparent(); trace != nil {
		c.edits.Fields = append(c.edits.Fields, trace)
	}
	q.Refusal = c.to.HTTP(c.l.opts.Base, x, q, &c.edits)
	return q.Refusal.Reason == flow.None || x.Status != 0
}
