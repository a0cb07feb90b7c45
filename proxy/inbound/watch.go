package inbound

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/httpflow"
	"github.com/outrider-mesh/outrider/proxy/inspect"
)

// A watched request is over, and was not held for the policies that only look at it.
type watched struct {
	*httpflow.Late

	plan inspect.Plan
	seen inspect.Seen
	kept int // bytes that it counts for in the backlog
}

// watchedBytes is what a request counts for in the backlog besides its body: its head,
// what is known of it, and a goroutine.
const watchedBytes = 8 << 10

// copyBody has what is wanted of the body copied while it is forwarded.
func (r *request) copyBody() {
	if n := r.plan.WatchBytes; n > 0 && !r.call.Ended() {
		r.call.Tap(n)
	}
}

// end writes the request down, or has it written when it was watched. That is done
// beside the connection: who is answered waits for no verdict, and neither does the
// next request.
func (r *request) end(q *flow.Request) {
	undecided := !r.plan.Free && q.Inspection.Outcome == flow.InspectionOff
	if !r.plan.Watches || undecided || q.Inspection.Refuse {
		r.End(r.call)
		return
	}
	body, complete := r.call.Tapped()
	kept := watchedBytes + cap(body)
	if !r.l.opts.Inspector.Keep(kept, r.l.opts.Limits.InspectionBacklog) {
		q.Inspection = r.plan.Unwatched(q)
		r.End(r.call)
		return
	}
	w := &watched{
		Late: r.EndLater(r.call), plan: r.plan, kept: kept,
		seen: inspect.Seen{Body: body, Complete: complete, More: r.call.Received() > int64(len(body))},
	}
	r.watching.Go(func() { r.l.watch(w) })
}

// watch makes the verdict and writes the request down. It is in nobody's way: what it
// costs is bounded by the slots of inspection and by the time that they are waited for.
func (l *Listener) watch(w *watched) {
	defer l.opts.Inspector.Drop(w.kept)
	defer l.contain()
	q := &w.Request
	began := time.Now()
	q.Inspection = l.opts.Inspector.Watch(l.opts.Base, q, w.plan, w.seen)
	q.Times.Inspect += time.Since(began)
	w.Write()
}

// contain keeps a panic from ending the process, as package accept does for
// connections.
func (l *Listener) contain() {
	if v := recover(); v != nil {
		l.opts.Metrics.Panic()
		l.opts.Log.Error("panic beside a connection", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	}
}
