package forward

import (
	"context"
	"net"
	"time"

	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/hop"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
	"github.com/outrider-mesh/outrider/proxy/message"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

// A link is a connection of a pool, of either engine.
type link interface {
	comparable
	// NetConn is the connection below, as it was dialed.
	NetConn() net.Conn
	// Reused tells whether an earlier exchange used it.
	Reused() bool
	// Close ends it for good.
	Close()
}

// A pool hands out links.
type pool[L link] interface {
	Get(ctx context.Context, now time.Time) (L, error)
	Fresh(ctx context.Context) (L, error)
}

func http1Pool(e *balance.Endpoint) pool[*http1.ClientConn] { return e.HTTP1 }

func http2Pool(e *balance.Endpoint) pool[*http2.ClientConn] { return e.HTTP2 }

// another gets a link for a request that e has failed, to another endpoint if there
// is one.
func another[L link](ctx context.Context, f *Forwarder, q *flow.Request, e *balance.Endpoint, pools func(*balance.Endpoint) pool[L]) (up L, _ *balance.Endpoint, refusal flow.Refusal) {
	q.Retried = true
	return connectBut(ctx, f, q, e, pools)
}

// connect gets a link to an endpoint. As nothing was sent yet, another endpoint may
// be tried when one cannot be reached.
func connect[L link](ctx context.Context, f *Forwarder, q *flow.Request, pools func(*balance.Endpoint) pool[L]) (up L, e *balance.Endpoint, refusal flow.Refusal) {
	return connectBut(ctx, f, q, nil, pools)
}

// connectBut is connect, to any endpoint but e as long as there is another.
func connectBut[L link](ctx context.Context, f *Forwarder, q *flow.Request, e *balance.Endpoint, pools func(*balance.Endpoint) pool[L]) (up L, _ *balance.Endpoint, refusal flow.Refusal) {
	start := time.Now()
	refusal = noEndpoint()
	for range min(maxTries, f.Destination.Len()) {
		if e = f.Destination.Pick(start, e); e == nil {
			return up, nil, failFast()
		}
		var err error
		if up, err = pools(e).Get(ctx, start); err == nil {
			err = revalidate(e, up)
		}
		if err == nil {
			connected(f, q, e, up, start)
			return up, e, flow.Refusal{}
		}
		refusal = f.failed(e, err)
	}
	q.Times.Connect = time.Since(start)
	var none L
	return none, nil, refusal
}

// noEndpoint is about a destination that has none.
func noEndpoint() flow.Refusal {
	return flow.Refusal{Reason: flow.NoDestination, Detail: "the destination has no endpoint at the moment"}
}

// failFast is for a destination of which no endpoint answered a connect lately.
func failFast() flow.Refusal {
	return flow.Refusal{Reason: flow.NoDestination, Detail: "no endpoint has answered a connect lately; it is tried again in a moment"}
}

// resend gets a link for a request that e has not begun, after that many tries. An
// endpoint that doesn't on a new link either is going away.
func resend[L link](ctx context.Context, f *Forwarder, q *flow.Request, e *balance.Endpoint, tries int, pools func(*balance.Endpoint) pool[L]) (up L, _ *balance.Endpoint, refusal flow.Refusal) {
	if tries == 1 {
		return again(ctx, f, q, e, pools)
	}
	return another(ctx, f, q, e, pools)
}

// again gets a link for a request that met a stale one on e: a new one, since all
// that are pooled may be stale, and to another endpoint if e is gone.
func again[L link](ctx context.Context, f *Forwarder, q *flow.Request, e *balance.Endpoint, pools func(*balance.Endpoint) pool[L]) (up L, _ *balance.Endpoint, refusal flow.Refusal) {
	q.Retried = true
	f.Metrics.Upstream(f.Direction, telemetry.UpstreamStaleRetry)
	for range min(maxTries, f.Destination.Len()) {
		var err error
		if up, err = pools(e).Fresh(ctx); err == nil {
			err = revalidate(e, up)
		}
		if err == nil {
			describe(q, e, up)
			e.Connected()
			return up, e, flow.Refusal{}
		}
		refusal = f.failed(e, err)
		if e = f.Destination.Pick(time.Now(), e); e == nil {
			break
		}
	}
	var none L
	return none, nil, refusal
}

func connected[L link](f *Forwarder, q *flow.Request, e *balance.Endpoint, up L, start time.Time) {
	describe(q, e, up)
	result := telemetry.UpstreamReused
	if !up.Reused() {
		result = telemetry.UpstreamNew
		q.Times.Connect = time.Since(start)
		e.Connected()
	}
	f.Metrics.Upstream(f.Direction, result)
}

// describe notes who serves the request.
func describe[L link](q *flow.Request, e *balance.Endpoint, up L) {
	q.Upstream = e.Addr
	if h, ok := up.NetConn().(*hop.Conn); ok {
		q.Conn.Security, q.Conn.QUIC = flow.MutualTLS, h.QUIC
		q.Conn.Local, q.Conn.Peer, q.Conn.PeerID = h.Local, h.Peer, h.Peer.ID.String()
	}
}

// revalidate looks again at the peer of a new hop, now that the pool knows it: a
// root may have gone during the handshake.
func revalidate[L link](e *balance.Endpoint, up L) error {
	h, ok := up.NetConn().(*hop.Conn)
	if !ok || up.Reused() {
		return nil
	}
	if err := h.Revalidate(); err != nil {
		up.Close()
		return &HandshakeError{Addr: e.Addr, Err: err}
	}
	return nil
}

// judge tells the endpoint what became of an exchange, and how long its answer took.
// What the client did, and a connection that had gone stale, says nothing about it.
func judge(e *balance.Endpoint, now time.Time, status int, firstByte time.Duration, failure *message.Failure) {
	switch {
	case failure == nil:
		e.Observe(now, firstByte)
		e.Answered(now, status >= sickStatus)
	case failure.Side == message.UpstreamSide && !failure.Stale && !failure.Unprocessed:
		e.Answered(now, true)
	}
}

// sickStatus is the least status that a healthy endpoint does not give.
const sickStatus = 500
