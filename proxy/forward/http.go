// Package forward carries what was allowed to the next hop: an HTTP request over
// a pooled connection, or opaque bytes over one of their own.
package forward

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/hop"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/message"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

// maxTries bounds how many endpoints are tried before the first byte was sent.
const maxTries = 3

// A Forwarder carries flows to one destination.
type Forwarder struct {
	Destination *balance.Destination
	Direction   flow.Direction
	Metrics     *telemetry.Metrics
	// TCPIdleTimeout is how long a tunnel may stand still.
	TCPIdleTimeout time.Duration
	// ConnectTimeout bounds the making of a connection for opaque bytes.
	ConnectTimeout time.Duration
}

// HTTP sends the request of x to an endpoint and its answer to the client. The
// refusal is not zero if the client is still to be answered, or was left with
// half an answer; x tells which.
func (f *Forwarder) HTTP(ctx context.Context, x *http1.Exchange, q *flow.Request, e *message.Edits) flow.Refusal {
	up, endpoint, refusal := f.connect(ctx, q)
	if up == nil {
		return refusal
	}
	upgraded, failure := exchange(x, endpoint, up, e)
	if failure != nil && x.Retryable(failure) {
		x.Rewind()
		if up, endpoint, refusal = f.again(ctx, q, endpoint); up == nil {
			return refusal
		}
		upgraded, failure = exchange(x, endpoint, up, e)
	}
	switch {
	case failure != nil:
		return refusalOf(failure)
	case upgraded:
		endpoint.Begin()
		defer endpoint.Done()
		q.Upgraded = true
		return f.tunnelHTTP(x, q, up)
	}
	return flow.Refusal{}
}

func exchange(x *http1.Exchange, to *balance.Endpoint, up *http1.ClientConn, e *message.Edits) (bool, *message.Failure) {
	to.Begin()
	defer to.Done()
	return x.Forward(up, e)
}

// connect gets a connection to an endpoint. As nothing was sent yet, another
// endpoint may be tried when one cannot be reached.
func (f *Forwarder) connect(ctx context.Context, q *flow.Request) (*http1.ClientConn, *balance.Endpoint, flow.Refusal) {
	start := time.Now()
	refusal := flow.Refusal{Reason: flow.NoDestination}
	var endpoint *balance.Endpoint
	for range min(maxTries, f.Destination.Len()) {
		endpoint = f.Destination.Pick(start, endpoint)
		up, err := endpoint.Pool.Get(ctx, start)
		if err == nil {
			err = revalidate(endpoint, up)
		}
		if err == nil {
			f.connected(q, endpoint, up, start)
			return up, endpoint, flow.Refusal{}
		}
		refusal = f.failed(endpoint, err)
	}
	q.Times.Connect = time.Since(start)
	return nil, nil, refusal
}

// again gets a connection for a request that met a stale one on e: a new one,
// since all that are pooled may be stale, and to another endpoint if e is gone.
func (f *Forwarder) again(ctx context.Context, q *flow.Request, e *balance.Endpoint) (*http1.ClientConn, *balance.Endpoint, flow.Refusal) {
	q.Retried = true
	f.Metrics.Upstream(f.Direction, telemetry.UpstreamStaleRetry)
	var refusal flow.Refusal
	for range min(maxTries, f.Destination.Len()) {
		up, err := e.Pool.Fresh(ctx)
		if err == nil {
			err = revalidate(e, up)
		}
		if err == nil {
			describe(q, e, up)
			e.Succeeded()
			return up, e, flow.Refusal{}
		}
		refusal = f.failed(e, err)
		e = f.Destination.Pick(time.Now(), e)
	}
	return nil, nil, refusal
}

func (f *Forwarder) connected(q *flow.Request, e *balance.Endpoint, up *http1.ClientConn, start time.Time) {
	describe(q, e, up)
	result := telemetry.UpstreamReused
	if !up.Reused() {
		result = telemetry.UpstreamNew
		q.Times.Connect = time.Since(start)
		e.Succeeded()
	}
	f.Metrics.Upstream(f.Direction, result)
}

// describe notes who serves the request.
func describe(q *flow.Request, e *balance.Endpoint, up *http1.ClientConn) {
	q.Upstream = e.Addr
	if h, ok := up.NetConn().(*hop.Conn); ok {
		q.Conn.Security = flow.MutualTLS
		q.Conn.Local, q.Conn.Peer, q.Conn.PeerID = h.Local, h.Peer, h.Peer.ID.String()
	}
}

// revalidate looks again at the peer of a new hop, now that the pool knows it: a
// root may have gone during the handshake.
func revalidate(e *balance.Endpoint, up *http1.ClientConn) error {
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

// failed counts a connection that could not be had, and says why. An endpoint is
// left alone for a while only if the fault was its own.
func (f *Forwarder) failed(e *balance.Endpoint, err error) flow.Refusal {
	refusal := connectRefusal(err)
	if refusal.Reason == flow.Draining {
		return refusal // nobody failed
	}
	f.Metrics.Upstream(f.Direction, telemetry.UpstreamFailed)
	switch refusal.Reason { //nolint:exhaustive // all others are our own
	case flow.ConnectFailed, flow.ConnectTimeout, flow.UpstreamTLSFailed:
		e.Failed(time.Now())
	}
	return refusal
}

// connectRefusal says why no connection could be had.
func connectRefusal(err error) flow.Refusal {
	r := flow.Refusal{Reason: flow.ConnectFailed, Detail: err.Error()}
	var timeout net.Error
	switch {
	case errors.Is(err, mtls.ErrNoSVID), errors.Is(err, mtls.ErrSVIDExpired):
		r.Reason = flow.NoIdentity
	case errors.Is(err, message.ErrUpstreamLimit):
		r.Reason = flow.Overloaded
	case errors.Is(err, message.ErrPoolClosed), errors.Is(err, context.Canceled):
		r.Reason = flow.Draining // this way is being taken down
	case isTLSError(err):
		r.Reason = flow.UpstreamTLSFailed
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		r.Reason = flow.ConnectTimeout
	}
	return r
}

// HandshakeError marks an error of the TLS handshake to the next hop, as opposed
// to one of the TCP connection.
type HandshakeError struct {
	Addr netip.AddrPort
	Err  error
}

// Error implements error.
func (e *HandshakeError) Error() string { return "TLS with " + e.Addr.String() + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *HandshakeError) Unwrap() error { return e.Err }

// isTLSError tells whether err is a HandshakeError that was not about time.
func isTLSError(err error) bool {
	var h *HandshakeError
	return errors.As(err, &h) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded)
}

// refusalOf says whose fault a failed exchange was.
func refusalOf(f *message.Failure) flow.Refusal {
	r := flow.Refusal{Detail: f.Error()}
	var broken *message.ProtocolError
	protocol := errors.As(f.Err, &broken)
	timeout := errors.Is(f.Err, os.ErrDeadlineExceeded)
	switch {
	case f.Side == message.ClientSide && protocol && broken.Kind == message.BodyTooLarge:
		r.Reason = flow.BodyTooLarge
	case f.Side == message.ClientSide && protocol:
		r.Reason = flow.BadRequest
	case f.Side == message.ClientSide && timeout:
		r.Reason = flow.RequestTimeout
	case f.Side == message.ClientSide:
		r.Reason = flow.ClientClosed
	case protocol, errors.Is(f.Err, message.ErrInterimLoop):
		r.Reason = flow.UpstreamProtocol
	case timeout:
		r.Reason = flow.UpstreamTimeout
	case isAlert(f.Err):
		r.Reason = flow.UpstreamTLSFailed // TLS 1.3 servers refuse a client after its handshake
	default:
		r.Reason = flow.UpstreamClosed
	}
	return r
}

// isAlert tells whether the other end of a TLS connection has said what it does
// not like. Package crypto/tls has no other mark for that.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
