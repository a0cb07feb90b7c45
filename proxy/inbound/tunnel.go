package inbound

import (
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/http2"
)

// watchTunnel has what may become a tunnel judged again when policies change: it
// can live for days, and no request follows that could be judged instead. unwatch is
// called when it has ended, and returns why it was told to; None if it was not.
func (r *request) watchTunnel(q *flow.Request) (unwatch func() flow.Reason, ok bool) {
	l, conn, judged := r.l, *q.Conn, *q // copies: the originals belong to this goroutine
	judged.Conn, judged.Header = &conn, flow.CopyOf(q.Header)
	about := r.about
	about.StillAllowed = func() bool {
		return (conn.Security == flow.MutualTLS || !l.opts.Strict()) && l.opts.Enforcer.StillAllowsRequest(&judged)
	}
	unwatch = r.track(&about)
	if about.StillAllowed() {
		return unwatch, true
	}
	unwatch()
	q.Refusal = flow.Refusal{Reason: flow.PolicyChanged, Detail: "while the request was on its way"}
	return nil, false
}

// track has the tunnel told to end when about says so. Over HTTP/1.1 the tunnel is all
// of its connection; over HTTP/2 it is a stream beside others.
func (r *request) track(about *drain.About) (untrack func() flow.Reason) {
	if r.call.V2 == nil {
		r.Tracked.Describe(about)
		return func() flow.Reason {
			r.conn.Tracked.Describe(&r.about) // of an answer that was no tunnel
			return flow.None                  // the connection's own record says it
		}
	}
	tracked := r.l.opts.Tracker.Add(streamEnder{r.call.V2.Stream()})
	tracked.Describe(about)
	return func() flow.Reason {
		r.l.opts.Tracker.Remove(tracked)
		return tracked.Reason()
	}
}

// streamEnder ends a tunnel that is a stream.
type streamEnder struct{ stream http2.Stream }

// Abort implements [drain.Ender].
func (e streamEnder) Abort() { e.stream.Cancel() }

// CloseGracefully implements [drain.Ender]: a tunnel knows no graceful end, and its
// connection is told by itself.
func (streamEnder) CloseGracefully() {}
