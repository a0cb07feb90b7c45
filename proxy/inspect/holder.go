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
}

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

// Inspect is [Inspector.Inspect] of the Inspector in force. A plan that another
// one made is made anew, so a new policy applies to requests under way, too;
// where it wants more of the body than was read, what was read is a prefix.
func (h *Holder) Inspect(ctx context.Context, req *flow.Request, plan Plan, body []byte, complete bool) flow.Inspection {
	for {
		i := h.current.Load()
		if i == nil {
			return rule{}.failure(flow.EngineError, errNoPolicy)
		}
		if v, ok := i.inspect(ctx, req, plan, body, complete); ok {
			return v
		}
		// It was closed between the load and the transaction. Swap publishes
		// before it closes, so the next load yields another one, except when
		// somebody closed the Inspector itself.
		if h.current.Load() == i {
			return plan.rule.failure(flow.EngineError, errClosed)
		}
	}
}
