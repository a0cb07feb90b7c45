package forward

import (
	"context"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// A Route is the way of one connection, which a reload may replace between two of
// its requests. It belongs to the goroutine that serves the connection.
type Route struct {
	// Latest returns the way in force; nil when there is none any more.
	Latest func() *Forwarder
	// Takes tells whether a request that was judged already may go by a way
	// that came into force since; nil: by any.
	Takes func(*Forwarder) bool

	now *Forwarder
}

// Refresh makes the way in force the one taken and returns it; nil when there is
// none.
func (r *Route) Refresh() *Forwarder {
	r.now = r.Latest()
	return r.now
}

// Forwarder is the way taken; nil when there is none.
func (r *Route) Forwarder() *Forwarder {
	if r.now == nil {
		r.now = r.Latest()
	}
	return r.now
}

// HTTP1 is [Forwarder].HTTP1 by the way in force.
func (r *Route) HTTP1(ctx context.Context, x *http1.Exchange, q *flow.Request, e *message.Edits) flow.Refusal {
	return via(ctx, r, x, q, e, (*Forwarder).HTTP1)
}

// HTTP2 is [Forwarder].HTTP2 by the way in force.
func (r *Route) HTTP2(ctx context.Context, x *http2.Exchange, q *flow.Request, e *message.Edits) flow.Refusal {
	return via(ctx, r, x, q, e, (*Forwarder).HTTP2)
}

func via[X any](
	ctx context.Context, r *Route, x X, q *flow.Request, e *message.Edits,
	send func(*Forwarder, context.Context, X, *flow.Request, *message.Edits) flow.Refusal,
) flow.Refusal {
	for {
		f := r.Forwarder()
		if f == nil {
			return flow.Refusal{Reason: flow.NoDestination, Detail: "the way was taken out of the configuration"}
		}
		refusal := send(f, ctx, x, q, e)
		if refusal.Reason != flow.Draining { // else nothing was sent, or it may be sent again
			return refusal
		}
		if r.now = r.Latest(); r.now == f || r.now != nil && r.Takes != nil && !r.Takes(r.now) {
			return refusal
		}
	}
}
