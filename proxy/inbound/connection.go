package inbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/detect"
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/enforce"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/hop"
	"github.com/outrider-mesh/outrider/proxy/ledger"
)

// conn is one accepted connection on its way through the stages.
type conn struct {
	ledger.Entry

	l   *Listener
	nc  net.Conn  // as it is read from now: as accepted, replayed, or the inside of TLS
	hop *hop.Conn // nil for plaintext
	// made is set where the hop was there before it came to this listener.
	made  *made
	to    forward.Route
	about drain.About // of the connection as such
	// declared is what the port carries by the operator's word.
	declared flow.Protocol
	port     *detect.Port // what earlier connections told about it
	kind     detect.Kind  // of the first bytes, if those had to tell
	// denied: no request on this connection can be allowed.
	denied atomic.Bool
	// watching are the requests that are over and not written down yet.
	watching sync.WaitGroup
	// identity are the header lines that tell the application who calls.
	identity [][]byte
}

// serve takes a connection through the stages, in this order.
func (l *Listener) serve(raw net.Conn) {
	c := &conn{l: l, nc: raw, to: forward.Route{Latest: l.opts.App}}
	if m, ok := raw.(*made); ok {
		c.nc, c.made = m.Conn, m
	}
	l.books.Open(&c.Entry, raw, l.app)
	defer c.Close()
	defer c.watching.Wait()

	ok := c.begin() && // is it still wanted?
		c.capture() && // where was it going?
		c.authenticate() && // who is it?
		c.detect() && // what does it speak?
		c.authorize() // may it connect?
	if ok && c.Flow.Protocol == flow.TCP {
		ok = c.serveTCP() // unless it is HTTP after all
	}
	switch {
	case !ok:
	case c.Flow.Protocol == flow.HTTP1:
		c.serveHTTP1() // each request: authorize, inspect, forward
	case c.Flow.Protocol == flow.HTTP2:
		c.serveHTTP2() // the same
	}
	c.Finish()
}

// refuse notes why the connection goes no further.
func (c *conn) refuse(r flow.Reason, detail string) bool {
	c.Flow.Refusal = flow.Refusal{Reason: r, Detail: detail}
	return false
}

// begin tells the caller of a hop that was made elsewhere that it is served.
func (c *conn) begin() bool {
	if c.made == nil {
		return true
	}
	if err := c.made.begin(); err != nil {
		return c.refuse(flow.ClientClosed, err.Error())
	}
	return true
}

// authenticate makes the mTLS handshake; on a permissive listener, plaintext
// passes without an identity.
func (c *conn) authenticate() bool {
	if c.made != nil {
		c.identified(c.made.Conn)
		return true
	}
	if !c.l.opts.Strict() {
		kind, replay, err := detect.Peek(c.nc, c.l.opts.Limits.DetectTimeout)
		c.nc = replay
		if err != nil {
			return c.refuse(flow.ClientClosed, err.Error())
		}
		if kind != detect.TLS || c.isTheApplications() {
			return true
		}
	}
	ctx, cancel := context.WithTimeout(c.l.opts.Base, c.l.opts.Limits.HandshakeTimeout)
	defer cancel()
	tc, err := hop.Accept(ctx, c.nc, c.l.opts.Source, c.l.opts.TLS)
	if err != nil {
		return c.refuseHandshake(err)
	}
	c.identified(tc)
	return true
}

// identified notes who is at the other end of a hop.
func (c *conn) identified(h *hop.Conn) {
	c.nc, c.hop = h, h
	c.Flow.Security, c.Flow.QUIC = flow.MutualTLS, h.QUIC
	c.Flow.Protocol = hop.Declared(h.ALPN)
	c.Flow.Local, c.Flow.Peer, c.Flow.PeerID = h.Local, h.Peer, h.Peer.ID.String()
	c.Flow.ServerName, c.Flow.Times.TLS = h.ServerName, h.Took
}

// refuseHandshake says why there was no handshake. Whoever spoke plaintext HTTP
// gets an answer that it can read.
func (c *conn) refuseHandshake(err error) bool {
	var plain tls.RecordHeaderError
	switch {
	case errors.Is(err, mtls.ErrNoSVID), errors.Is(err, mtls.ErrSVIDExpired):
		return c.refuse(flow.NoIdentity, err.Error())
	case errors.As(err, &plain) && plain.Conn != nil:
		c.answerPlaintext(plain)
		return c.refuse(flow.PlaintextRefused, "plaintext where mutual TLS is required")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return c.refuse(flow.RequestTimeout, "handshake: "+err.Error())
	case errors.Is(err, io.EOF):
		return c.refuse(flow.ClientClosed, "handshake: "+err.Error())
	}
	return c.refuse(flow.TLSFailed, err.Error())
}

func (c *conn) answerPlaintext(plain tls.RecordHeaderError) {
	if kind, _ := detect.Classify(bytes.TrimRight(plain.RecordHeader[:], "\x00")); kind != detect.HTTP1 &&
		!bytes.ContainsAny(plain.RecordHeader[:], " ") && !isUpper(plain.RecordHeader[:]) {
		return // not HTTP: an answer would mean nothing
	}
	c.Flow.DecisionID = c.l.opts.IDs.Next()
	a, ok := enforce.AnswerTo(flow.Refusal{Reason: flow.PlaintextRefused}, c.Flow.DecisionID)
	if !ok {
		return
	}
	// The connection is at fault, not the request: the status of RFC 9110
	// §15.5.22 would ask for an upgrade that we don't speak.
	rec := append([]byte("HTTP/1.1 403 Forbidden\r\nconnection: close\r\n"), a.Fields...)
	rec = append(rec, "\r\n"...)
	rec = append(rec, a.Body...)
	if plain.Conn.SetDeadline(time.Now().Add(c.l.opts.Limits.LingerTimeout)) != nil {
		return
	}
	if _, err := plain.Conn.Write(rec); err != nil {
		return
	}
	if w, ok := plain.Conn.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(plain.Conn, lingerBytes)) // so that no reset takes the answer away
	}
}

// lingerBytes bounds what is read from a caller that was refused.
const lingerBytes = 64 << 10

func isUpper(b []byte) bool {
	for _, x := range b {
		if x < 'A' || x > 'Z' {
			return false
		}
	}
	return true
}

// detect settles the protocol: declared by the listener, else by ALPN, else by
// the first bytes. Where policy speaks of HTTP nothing else may pass.
func (c *conn) detect() bool {
	needsHTTP := c.l.needsHTTP(&c.Flow)
	switch {
	case c.declared == flow.TCP:
		c.Flow.Protocol = flow.TCP // by the operator's word; policy still decides
		return true
	case c.declared.IsHTTP() || needsHTTP:
		if c.Flow.Protocol == flow.TCP {
			return c.refuse(flow.NotHTTP, "the peer declared opaque bytes on a port that needs HTTP")
		}
		if c.Flow.Protocol == flow.Undetected {
			return c.requireHTTP()
		}
		return true
	case c.Flow.Protocol != flow.Undetected:
		return true
	case c.opaqueByConvention():
		c.Flow.Protocol = flow.TCP
		return true
	}
	kind, replay, err := c.peek()
	c.nc, c.kind = replay, kind
	if err != nil {
		return c.refuse(flow.ClientClosed, err.Error())
	}
	c.Flow.Protocol = c.port.Protocol(kind)
	return true
}

// peek looks at the first bytes, unless that was done to tell plaintext from TLS:
// a client that waits for the server to speak waits once.
func (c *conn) peek() (detect.Kind, *detect.Conn, error) {
	if seen, ok := c.nc.(*detect.Conn); ok {
		kind, _ := detect.Classify(seen.Ahead())
		return kind, seen, nil
	}
	wait := c.l.opts.Limits.DetectTimeout // in full: the client may be far away
	return c.port.Look(c.nc, wait, wait)
}

// requireHTTP closes on a peer that declared nothing and speaks something else.
// One that is slow or silent is taken at the port's word: it will be answered as
// HTTP, and nothing of it is forwarded before it is.
func (c *conn) requireHTTP() bool {
	kind, replay, err := c.peek()
	c.nc, c.Flow.Protocol = replay, flow.HTTP1
	if err != nil {
		return c.refuse(flow.ClientClosed, err.Error())
	}
	if kind == detect.HTTP2 {
		c.Flow.Protocol = flow.HTTP2
	}
	if _, sure := detect.Classify(replay.Ahead()); sure && kind != detect.HTTP1 && kind != detect.HTTP2 {
		return c.refuse(flow.NotHTTP, "the first bytes are "+kind.String()+" on a port that needs HTTP; if it is meant, declare the port as TCP")
	}
	return true
}

// needsHTTP tells whether a policy in force speaks of HTTP on the port of f.
func (l *Listener) needsHTTP(f *flow.Connection) bool {
	return l.opts.Enforcer.NeedsHTTP(f.Destination.Port()) || l.opts.Inspector.Active()
}

// authorize asks the policy about the connection, and counts it as open.
func (c *conn) authorize() bool {
	c.about = drain.About{
		Direction: flow.Inbound, Listener: c.Flow.Listener, Remote: c.Flow.Remote.String(),
		Opened: c.Flow.Opened, Protocol: c.Flow.Protocol, Peer: c.Flow.Peer,
	}
	about := c.about
	if c.Flow.Protocol == flow.TCP {
		about.StillAllowed = c.judgeOpaque()
	}
	c.Tracked.Describe(&about)
	if c.hop != nil {
		if err := c.hop.Revalidate(); err != nil { // the bundles changed during the handshake
			return c.refuse(flow.CertificateRevoked, err.Error())
		}
	}
	c.Count()
	allowed := c.l.opts.Enforcer.Connection(&c.Flow)
	if c.Flow.Protocol.IsHTTP() {
		// The caller is told in answer to its first request, which is then
		// the last one.
		c.denied.Store(!allowed)
		c.identity = c.identityFields()
		c.Flow.Refusal = flow.Refusal{}
		return true
	}
	if allowed && !about.StillAllowed() {
		return c.refuse(flow.PolicyChanged, "while the connection was being accepted")
	}
	return allowed
}

// judgeOpaque judges the connection of opaque bytes by whatever is then in force.
func (c *conn) judgeOpaque() func() bool {
	l, judged, declared := c.l, c.Flow, c.declared // copies: the originals belong to this goroutine
	return func() bool {
		if judged.Security == flow.Plaintext && l.opts.Strict() {
			return false
		}
		if declared != flow.TCP && l.needsHTTP(&judged) {
			return false
		}
		return l.opts.Enforcer.StillAllows(&judged)
	}
}

// overloaded writes down a connection that found no room.
func (l *Listener) overloaded(nc net.Conn) {
	if l.opts.Sentry.Took(nc) {
		return
	}
	l.books.Refused(nc, l.app, flow.Refusal{Reason: flow.Overloaded, Detail: "limits.connections is reached"})
}
