package inspect

import (
	"context"
	"sync/atomic"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// A Holder holds the Inspector in force and replaces it between two requests.
// The zero Holder has none yet: it plans nothing and refuses everything.
type Holder struct {
	current atomic.Pointer[Inspector]
	// waiting are the bytes of requests that are over and wait for their verdict.
	waiting atomic.Int64
}

// Keep makes room for n bytes of a request that is over until it was watched, if less
// than most are kept. Drop gives it back.
func (h *Holder) Keep(n, most int) bool {
	if h.waiting.Add(int64(n)) <= int64(most) {
		return true
	}
	h.Drop(n)
	return false
}

// Drop gives back what Keep has made room for.
func (h *Holder) Drop(n int) { h.waiting.Add(-int64(n)) }

// Swap publishes next and returns when the transactions of the one before have
// ended and its engine is freed. After Swap(nil) the Holder refuses everything.
func (h *Holder) Swap(next *Inspector) {
	h.current.Swap(next).Close()
}

// Close is Swap(nil).
func (h *Holder) Close() { h.Swap(nil) }

// Plan is [Inspector.Plan] of the Inspector in force.
func (h *Holder) Plan(req *flow.Request) Plan {
	i := h.current.Load()
	if i == nil {
		return Plan{}
	}
	return i.Plan(req)
}

// Decide judges a request by the policy that decides about it, of those in force. A plan
// that another Inspector made is made anew, so a new policy applies to requests under way,
// too; where it wants more of the body than was seen, what was seen is a prefix.
func (h *Holder) Decide(ctx context.Context, req *flow.Request, plan Plan, s Seen) flow.Inspection {
	return h.ask(ctx, question{of: (*Inspector).decide, req: req, plan: plan, seen: s})
}

// DecideHead judges the head while the body is still to come. What it does not refuse
// is not decided yet.
func (h *Holder) DecideHead(ctx context.Context, req *flow.Request, plan Plan) flow.Inspection {
	return h.ask(ctx, question{of: (*Inspector).decideHead, req: req, plan: plan})
}

// Watch is for a request that is over and was not held for the policies that only look
// at it: its verdict, with what they say. It refuses nothing, whatever has become of
// the policies meanwhile.
func (h *Holder) Watch(ctx context.Context, req *flow.Request, plan Plan, s Seen) flow.Inspection {
	v := h.ask(ctx, question{of: (*Inspector).watch, req: req, plan: plan, seen: s, decided: !plan.Free})
	v.Refuse = false
	return v
}

func (h *Holder) ask(ctx context.Context, q question) flow.Inspection {
	for {
		i := h.current.Load()
		if i == nil {
			q.plan.rule = rule{}
			return q.failure(errNoPolicy)
		}
		if v, ok := i.answer(ctx, q); ok {
			return v
		}
		// It was closed between the load and the transaction. Swap publishes
		// before it closes, so the next load yields another one, except when
		// somebody closed the Inspector itself.
		if h.current.Load() == i {
			return q.failure(errClosed)
		}
	}
}
