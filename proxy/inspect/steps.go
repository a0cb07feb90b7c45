package inspect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// judge applies one rule of a plan. What costs little comes first and settles most
// requests; only the rest waits for the engine.
func (i *Inspector) judge(ctx context.Context, q question, r rule) flow.Inspection {
	in, v, done := q.plan.input(r, q.seen.Body, q.seen.Complete)
	if done {
		return v
	}
	t, free := i.turnOf(r)
	if !free {
		return r.failure(flow.EngineOverload, errNoSlot)
	}
	if v, done = i.prove(ctx, q.req, r, &in, t); done {
		return v
	}
	return i.ask(ctx, q.req, r, &in, t)
}

// turnOf is how a rule gets its slots. A policy that is only tried never costs an
// inspection that decides its own: there is one for all trials, nobody waits for it, and
// where those that decide have to wait there are no trials.
func (i *Inspector) turnOf(r rule) (t turn, free bool) {
	bounds := i.bounds()
	t = turn{lanes: i.lanes, wait: bounds.Wait, budget: bounds.Budget}
	if !r.tried {
		if r.watched {
			t.queue = i.watches
		}
		return t, true
	}
	return turn{lanes: i.trials, budget: bounds.Budget}, !i.lanes.engine.full() && !i.lanes.proofs.full()
}

// prove has the request looked at by what costs little; done tells that nothing else
// has to be asked.
func (i *Inspector) prove(ctx context.Context, req *flow.Request, r rule, in *input, t turn) (v flow.Inspection, done bool) {
	in.measure(req)
	if in.fine || in.packed != nil { // else it takes some microseconds
		if reason, err := t.enter(ctx, t.queue.proofs, t.lanes.proofs); err != nil {
			return r.failure(reason, err), true
		}
		defer t.leave(t.queue.proofs, t.lanes.proofs)
	}
	if in.packed != nil {
		r.decompress(&i.unzip, in, in.coding, in.packed, in.cut)
		if early, ended := r.settle(in); ended {
			return early, true
		}
		in.measure(req)
	}
	if tooManyValues(req, in) {
		return r.verdict(overArguments(), *in), true
	}
	found, done, err := i.first(ctx, req, r.policy.engine, in, t)
	switch {
	case err != nil:
		return r.failure(reasonOf(err), err), true
	case done:
		return r.verdict(found, *in), true
	}
	return flow.Inspection{}, false
}

// first is the engine's first step. A panic in either becomes an error, so that one
// request that breaks a rule costs that request and not the process.
func (i *Inspector) first(ctx context.Context, req *flow.Request, e engine, in *input, t turn) (f finding, done bool, err error) {
	defer recovered(&err)
	if in.fine {
		defer in.meter.start()()
	}
	in.now = i.now()
	in.checkpoint = i.checkpoint(ctx, in.now, t.budget)
	f, done = e.prove(req, in)
	switch {
	case in.fine && in.meter.up(): // it may have been cut short
		return finding{}, false, errBudget
	case done: // whoever has left meanwhile
		return f, true, i.late(in.now, t.budget)
	}
	return f, false, in.checkpoint()
}

// ask has the rules look at the request.
func (i *Inspector) ask(ctx context.Context, req *flow.Request, r rule, in *input, t turn) flow.Inspection {
	if reason, err := t.enter(ctx, t.queue.engine, t.lanes.engine); err != nil {
		return r.failure(reason, err)
	}
	defer t.leave(t.queue.engine, t.lanes.engine)
	found, err := i.second(ctx, req, r.policy.engine, in, t)
	if err != nil {
		return r.failure(reasonOf(err), err)
	}
	return r.verdict(found, *in)
}

func (i *Inspector) second(ctx context.Context, req *flow.Request, e engine, in *input, t turn) (f finding, err error) {
	defer recovered(&err)
	defer in.meter.start()()
	in.checkpoint = i.checkpoint(ctx, i.now(), t.budget)
	return e.evaluate(req, *in)
}

func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic in the inspection: %v", r)
	}
}

// checkpoint makes what is called between two phases of a step.
func (i *Inspector) checkpoint(ctx context.Context, start time.Time, budget time.Duration) func() error {
	return func() error {
		if ended := ctx.Err(); ended != nil {
			return ended
		}
		return i.late(start, budget)
	}
}

// late is an error when more than the budget has passed.
func (i *Inspector) late(start time.Time, budget time.Duration) error {
	if i.now().Sub(start) > budget {
		return errBudget
	}
	return nil
}

// reasonOf sorts an engine's error.
func reasonOf(err error) flow.Uninspected {
	if errors.Is(err, errBudget) || errors.Is(err, context.DeadlineExceeded) {
		return flow.EngineTimeout
	}
	return flow.EngineError
}
