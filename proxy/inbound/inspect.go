package inbound

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/httpflow"
	"github.com/outrider-mesh/outrider/proxy/inspect"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// inspect asks the WAF. A request that no policy may refuse is not held: what there
// is to be seen of it is copied as it passes. Of another, as much of the body is read
// ahead as the verdict needs, and forwarded later.
func (r *request) inspect(q *flow.Request) bool {
	r.plan = r.l.opts.Inspector.Plan(q)
	if r.plan.Watches {
		r.copyBody()
	}
	if r.plan.Off || r.plan.Free {
		return true
	}
	seen, ok := r.hold(q)
	if !ok {
		return false
	}
	return r.decide(q, func() flow.Inspection {
		return r.l.opts.Inspector.Decide(r.l.opts.Base, q, r.plan, seen)
	})
}

// decide notes a verdict, and tells whether the request goes on.
func (r *request) decide(q *flow.Request, verdict func() flow.Inspection) bool {
	began := time.Now()
	q.Inspection = verdict()
	q.Times.Inspect += time.Since(began)
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
	case flow.Inspected, flow.BodyOverCap, flow.Encoding, flow.Stream, flow.Arguments, flow.Unfinished:
	}
	return refusal
}

// hold has the first bytes of the body, as many as the verdict needs. While they are
// still to come, an attack in the head is refused, and the client not asked for them.
func (r *request) hold(q *flow.Request) (seen inspect.Seen, ok bool) {
	if r.call.Ended() {
		return inspect.Seen{Complete: true}, true
	}
	seen.Body, seen.Complete, ok = r.arrived(q)
	if ok && !seen.Complete && r.plan.Holds(seen.Body) > int64(len(seen.Body)) {
		ok = r.decideHead(q) && r.await(q, &seen)
	}
	r.held = int64(len(seen.Body))
	return seen, ok
}

// arrived returns what the verdict needs of the body, as far as it is here.
func (r *request) arrived(q *flow.Request) (body []byte, complete, ok bool) {
	for n := r.plan.Holds(nil); n > int64(len(body)) && !complete; n = r.plan.Holds(body) {
		had := len(body)
		var err error
		if body, complete, err = r.call.Arrived(n); err != nil {
			q.Refusal = bodyRefusal(err)
			return nil, false, false
		}
		if len(body) == had {
			break
		}
	}
	return body, complete, true
}

// decideHead refuses an attack in the head, if that can be told by itself.
func (r *request) decideHead(q *flow.Request) bool {
	if !r.plan.HeadFirst {
		return true
	}
	ok := r.decide(q, func() flow.Inspection {
		return r.l.opts.Inspector.DecideHead(r.l.opts.Base, q, r.plan)
	})
	if ok {
		q.Inspection = flow.Inspection{} // nothing is decided yet
	}
	return ok
}

// await reads the rest of what the verdict needs.
func (r *request) await(q *flow.Request, seen *inspect.Seen) bool {
	for n := r.plan.Holds(seen.Body); n > int64(len(seen.Body)) && !seen.Complete; n = r.plan.Holds(seen.Body) {
		body, complete, err := r.call.Peek(n)
		if err != nil {
			q.Refusal = heldRefusal(err, int64(len(body)), n)
			return false
		}
		seen.Body, seen.Complete = body, complete
	}
	return true
}

// heldRefusal is for a body of which there is less than the verdict needs. A client
// that pauses is told apart: it may be waiting for an answer that cannot come.
func heldRefusal(err error, have, want int64) flow.Refusal {
	refusal := bodyRefusal(err)
	if refusal.Reason == flow.RequestTimeout {
		refusal.Detail = fmt.Sprintf("the body was held for inspection and paused after %d of %d bytes; if it is a stream, "+
			"set mode Detect or Off, or a smaller body.inspectBytes, for its path", have, want)
	}
	return refusal
}

func bodyRefusal(err error) flow.Refusal {
	var broken *message.ProtocolError
	if !errors.As(err, &broken) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return flow.Refusal{Reason: flow.ClientClosed, Detail: "body: " + err.Error()}
	}
	return httpflow.RefusalOf(err)
}

// noteRest notes that more of the body passed than inspection had: the further
// messages of a gRPC call.
func (r *request) noteRest(q *flow.Request) {
	v := &q.Inspection
	if v.Outcome != flow.InspectionOff && v.Uninspected == flow.Inspected && r.call.Received() > r.held {
		v.Uninspected = flow.Stream
	}
}
