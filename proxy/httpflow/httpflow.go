// Package httpflow joins the HTTP engines and the facts of a flow: it describes
// the request of a call, answers a refusal, and writes the request down when it is
// over. Both directions do these three things in the same way, whatever the version
// of HTTP; what happens in between is theirs.
package httpflow

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"time"

	"github.com/outrider-mesh/outrider/proxy/accesslog"
	"github.com/outrider-mesh/outrider/proxy/enforce"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/message"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

// A Recorder describes requests that come one after the other and writes them down.
// Requests that are under way at the same time have one each.
type Recorder struct {
	Conn    *flow.Connection
	Metrics *telemetry.ConnectionMetrics
	Log     *accesslog.Writer
	IDs     *accesslog.IDs

	request flow.Request
	trace   [traceLine]byte
}

// Begin describes the request of a call. The value is valid until the next Begin.
func (r *Recorder) Begin(c Call) *flow.Request {
	c.describe(&r.request)
	r.request.Conn = r.Conn
	return &r.request
}

// Traceparent returns the field line to add so that the request carries a W3C
// trace context, and notes its value; nil if the request has one. It is valid
// until the next Begin.
func (r *Recorder) Traceparent() []byte {
	if r.request.Trace != "" {
		return nil
	}
	const field, version, flags = "traceparent: ", "00-", "-00" // not sampled: nobody asked for it
	b := append(r.trace[:0], field...)
	b = append(b, version...)
	b = appendHex(b, rand.Uint64()|1) //nolint:gosec // a trace id must not be zero, and is no secret
	b = appendHex(b, rand.Uint64())   //nolint:gosec // no secret either
	b = append(b, '-')
	b = appendHex(b, rand.Uint64()|1) //nolint:gosec // nor is a span id
	b = append(b, flags...)
	r.request.Trace = string(b[len(field):]) // a copy: what is kept of a request may be kept for good
	return append(b, "\r\n"...)
}

// traceLine is the length of a traceparent field line, CRLF included.
const traceLine = 70

func appendHex(b []byte, n uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[n>>shift&0xf])
	}
	return b
}

// Refuse answers the request with a refusal, or cuts the connection off where
// nobody can be answered any more.
func (r *Recorder) Refuse(c Call, refusal flow.Refusal) {
	q := &r.request
	q.Refusal = refusal
	q.DecisionID = r.IDs.Next()
	answer := enforce.AnswerTo
	if c.isGRPC() {
		answer = enforce.GRPCAnswerTo
	}
	a, ok := answer(refusal, q.DecisionID)
	if !ok {
		c.abort()
		return
	}
	_ = c.respond(a.Status, a.Fields, a.Body) // a client that is gone does not change why
}

// End writes the request down.
func (r *Recorder) End(c Call) {
	r.account(c)
	write(&r.request, r.Metrics, r.Log)
}

// account notes what became of the request.
func (r *Recorder) account(c Call) {
	c.account(&r.request)
	r.request.Times.Total = time.Since(r.request.Started)
}

func write(q *flow.Request, m *telemetry.ConnectionMetrics, log *accesslog.Writer) {
	m.Request(q)
	if log != nil {
		log.Request(q)
	}
}

// A Late is a request that is over, and about which not everything is known yet.
// Unlike what a Recorder has, it is nobody else's.
type Late struct {
	Request flow.Request

	conn    flow.Connection
	metrics *telemetry.ConnectionMetrics
	log     *accesslog.Writer
}

// EndLater is End for a request that is written down by [Late.Write].
func (r *Recorder) EndLater(c Call) *Late {
	r.account(c)
	l := &Late{Request: r.request, conn: *r.Conn, metrics: r.Metrics, log: r.Log}
	l.Request.Conn, l.Request.Header = &l.conn, c.head()
	return l
}

// Write writes the request down.
func (l *Late) Write() { write(&l.Request, l.metrics, l.log) }

// RefusalOf says why no request could be read from the client.
func RefusalOf(err error) flow.Refusal {
	if broken, ok := errors.AsType[*message.ProtocolError](err); ok {
		return flow.Refusal{Reason: reasonOf(broken.Kind), Detail: broken.Rule}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return flow.Refusal{Reason: flow.RequestTimeout, Detail: err.Error()}
	}
	return flow.Refusal{Reason: flow.ClientClosed, Detail: err.Error()}
}

func reasonOf(k message.ErrorKind) flow.Reason {
	switch k {
	case message.HeadTooLarge, message.TargetTooLong:
		return flow.HeadTooLarge
	case message.BodyTooLarge:
		return flow.BodyTooLarge
	case message.MethodRefused:
		return flow.MethodRefused
	case message.Malformed, message.UnsupportedVersion, message.UnsupportedCoding:
		return flow.BadRequest
	}
	return flow.BadRequest
}

// AddrPortOf is the address of a TCP connection's end; zero when it is none.
func AddrPortOf(addr interface{ String() string }) netip.AddrPort {
	if tcp, ok := addr.(interface{ AddrPort() netip.AddrPort }); ok {
		a := tcp.AddrPort()
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return netip.AddrPort{}
}
