package inspect

import (
	"context"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// Seen is what a verdict has of a body.
type Seen struct {
	// Body are its first bytes: as many as the plan asked for, or all there are. They
	// are not kept.
	Body []byte
	// Complete tells that this is all of it.
	Complete bool
	// More tells that further bytes have passed.
	More bool
}

// Inspect judges a request by all policies of the plan that was made for it at once:
// it is for whoever has the request and forwards nothing. The body holds the first
// bytes of the request's body, as many as the plan asked for or all of them, and
// complete tells whether that is all.
//
// Every problem is part of the outcome. When the context ends first, so does
// the wait for a slot; a phase that has begun cannot be stopped.
func (i *Inspector) Inspect(ctx context.Context, req *flow.Request, plan Plan, body []byte, complete bool) flow.Inspection {
	q := question{of: (*Inspector).all, req: req, plan: plan, seen: Seen{Body: body, Complete: complete}}
	v, ok := i.answer(ctx, q)
	if !ok {
		return q.failure(errClosed)
	}
	return v
}

// A question is about one request.
type question struct {
	// of is what makes the verdict, by a plan that the Inspector itself has made.
	of   func(*Inspector, context.Context, question) flow.Inspection
	req  *flow.Request
	plan Plan
	seen Seen
	// decided tells that the request has the verdict of what decides about it.
	decided bool
}

// failure is the verdict that cannot be made.
func (q question) failure(err error) flow.Inspection {
	if q.decided {
		return q.req.Inspection
	}
	return q.plan.rule.failure(flow.EngineError, err)
}

// answer is false when the Inspector is closed. Where nothing is to be inspected any
// more, the request keeps the verdict that it has.
func (i *Inspector) answer(ctx context.Context, q question) (v flow.Inspection, ok bool) {
	if q.plan.owner != i {
		q.plan = i.Plan(q.req)
	}
	if q.plan.Off {
		return q.req.Inspection, true
	}
	if !i.begin() {
		return flow.Inspection{}, false
	}
	defer i.running.Done()
	return q.of(i, ctx, q), true
}

func (i *Inspector) all(ctx context.Context, q question) flow.Inspection {
	v := i.judge(ctx, q, q.plan.rule)
	if q.plan.trial.policy != nil && !v.Refuse {
		tried := i.judge(ctx, q, q.plan.trial)
		v.Trial = &tried
	}
	return v
}

func (i *Inspector) decide(ctx context.Context, q question) flow.Inspection {
	return i.judge(ctx, q, q.plan.rule)
}

func (i *Inspector) decideHead(ctx context.Context, q question) flow.Inspection {
	if !q.plan.HeadFirst { // the policy has changed
		return flow.Inspection{}
	}
	r := q.plan.rule
	r.first = true
	return i.judge(ctx, q, r)
}

// watch asks those that only look at the request, which is over.
func (i *Inspector) watch(ctx context.Context, q question) flow.Inspection {
	v := q.req.Inspection
	if !q.decided {
		v = i.look(ctx, q, q.plan.rule)
	}
	if q.plan.trial.policy != nil {
		tried := i.look(ctx, q, q.plan.trial)
		v.Trial = &tried
	}
	return v
}

// look is judge by a rule that refuses nothing, whatever has become of its policy since
// the request was forwarded.
func (i *Inspector) look(ctx context.Context, q question, r rule) flow.Inspection {
	r.block, r.watched = false, true
	r.unfinished = !q.seen.Complete && int64(len(q.seen.Body)) < r.wants(q.seen.Body)
	v := i.judge(ctx, q, r)
	if q.seen.More && v.Uninspected == flow.Inspected {
		v.Uninspected = flow.Stream // further messages of a call
	}
	return v
}

// Unwatched is the verdict about a request that nobody had the time to look at.
func (p Plan) Unwatched(req *flow.Request) flow.Inspection {
	v := req.Inspection
	if p.Free {
		v = p.rule.failure(flow.EngineOverload, errNoSlot)
	}
	if p.trial.policy != nil {
		tried := p.trial.failure(flow.EngineOverload, errNoSlot)
		v.Trial = &tried
	}
	return v
}
