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
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
	"github.com/outrider-mesh/outrider/proxy/message"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

// maxTries bounds how many endpoints are tried before the first byte was sent, and how
// often a request is sent that none of them has begun.
const maxTries = 3

// A Forwarder carries flows to one destination.
type Forwarder struct {
	Destination *balance.Destination
	Direction   flow.Direction
	Metrics     *telemetry.Metrics
	// TCPIdleTimeout is how long a tunnel may stand still.
	TCPIdleTimeout time.Duration
	// Retry is nil where nothing is sent again that may have been acted upon.
	Retry *Retry
	// ConnectTimeout bounds the making of a connection for opaque bytes.
	ConnectTimeout time.Duration
}

// HTTP1 sends the request of x to an endpoint and its answer to the client. The
// refusal is not zero if the client is still to be answered, or was left with
// half an answer; x tells which.
func (f *Forwarder) HTTP1(ctx context.Context, x *http1.Exchange, q *flow.Request, e *message.Edits) flow.Refusal {
	if !f.Destination.Enter() {
		return TooMany()
	}
	defer f.Destination.Leave()
	retry := f.retriesOf(q)
	if retry != nil {
		keep(&x.Body, x.Request.ContentLength(), f.Retry.BodyBytes)
		x.Decline = retry.declines
	}
	up, endpoint, refusal := connect(ctx, f, q, http1Pool)
	if up == nil {
		return refusal
	}
	upgraded, failure := exchange1(x, endpoint, up, e)
	for tries := 1; failure != nil && tries < maxTries && x.Retryable(failure); tries++ {
		x.Rewind()
		if up, endpoint, refusal = resend(ctx, f, q, endpoint, tries, http1Pool); up == nil {
			return refusal
		}
		upgraded, failure = exchange1(x, endpoint, up, e)
	}
	for failure != nil && retry.again(failure, x.Replayable(failure)) {
		x.Rewind()
		if up, endpoint, refusal = another(ctx, f, q, endpoint, http1Pool); up == nil {
			return refusal
		}
		upgraded, failure = exchange1(x, endpoint, up, e)
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

// A peeker is a body that can be read ahead of its sending.
type peeker interface {
	Peek(n int64) (prefix []byte, complete bool, err error)
}

// keep reads a body that is known to be small, so that it can be sent again. An error
// of the client shows itself when the body is sent.
func keep(b peeker, length, most int64) {
	if length > 0 && length <= most {
		_, _, _ = b.Peek(length)
	}
}

func exchange1(x *http1.Exchange, to *balance.Endpoint, up *http1.ClientConn, e *message.Edits) (bool, *message.Failure) {
	to.Begin()
	defer to.Done()
	upgraded, failure := x.Forward(up, e)
	judge(to, time.Now(), x.Status, x.FirstByte, failure)
	return upgraded, failure
}

// HTTP2 is HTTP1 for a stream of HTTP/2.
func (f *Forwarder) HTTP2(ctx context.Context, x *http2.Exchange, q *flow.Request, e *message.Edits) flow.Refusal {
	if !f.Destination.Enter() {
		return TooMany()
	}
	defer f.Destination.Leave()
	retry := f.retriesOf(q)
	if retry != nil {
		keep(&x.Body, x.Request.ContentLength(), f.Retry.BodyBytes)
		x.Decline = retry.declines
	}
	up, endpoint, refusal := connect(ctx, f, q, http2Pool)
	if up == nil {
		return refusal
	}
	failure := exchange2(x, endpoint, up, e)
	for tries := 1; failure != nil && tries < maxTries && x.Retryable(failure); tries++ {
		x.Rewind()
		if up, endpoint, refusal = resend(ctx, f, q, endpoint, tries, http2Pool); up == nil {
			return refusal
		}
		failure = exchange2(x, endpoint, up, e)
	}
	for failure != nil && retry.again(failure, x.Replayable(failure)) {
		x.Rewind()
		if up, endpoint, refusal = another(ctx, f, q, endpoint, http2Pool); up == nil {
			return refusal
		}
		failure = exchange2(x, endpoint, up, e)
	}
	if failure != nil {
		return refusalOf(failure)
	}
	return flow.Refusal{}
}

func exchange2(x *http2.Exchange, to *balance.Endpoint, up *http2.ClientConn, e *message.Edits) *message.Failure {
	to.Begin()
	defer to.Done()
	failure := x.Forward(up, e)
	judge(to, time.Now(), x.Status, x.FirstByte, failure)
	return failure
}

// TooMany is for a destination with as many requests or connections under way as it
// may have.
func TooMany() flow.Refusal {
	return flow.Refusal{Reason: flow.Overloaded, Detail: "as many calls of the destination are under way as may be"}
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
	case flow.ConnectFailed, flow.UpstreamTLSFailed:
		e.ConnectFailed(time.Now(), false)
	case flow.ConnectTimeout:
		e.ConnectFailed(time.Now(), true)
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
