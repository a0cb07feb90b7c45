// Package hop is the mesh hop as both of its ends see it: the protocols it can
// carry, as ALPN names, and the handshake that turns a TCP connection into a
// peer with an identity.
package hop

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// The names under which the hop is offered (RFC 7301). The number is the version
// of the wire format; a change that an older Outrider would misread takes a new
// one.
const (
	// ALPNHTTP1: HTTP/1.1 between two Outriders. Its server sends close_notify
	// only where it has begun no request, see [CleanClose].
	ALPNHTTP1 = "outrider/1+h1"
	// ALPNHTTP2: HTTP/2 between two Outriders.
	ALPNHTTP2 = "outrider/1+h2"
	// ALPNTCP: opaque bytes between two Outriders.
	ALPNTCP = "outrider/1+tcp"
	// ALPNPlainHTTP1 and ALPNPlainHTTP2 are any other SPIFFE client or server.
	ALPNPlainHTTP1 = "http/1.1"
	ALPNPlainHTTP2 = "h2"
)

// ServerProtocols is what an inbound listener accepts, the preferred first. Of a
// client that speaks both versions of HTTP we take HTTP/1.1, for we forward what it
// speaks: any application understands that, and one that wants HTTP/2, as for gRPC,
// has clients that offer nothing else.
func ServerProtocols() []string {
	return []string{ALPNHTTP1, ALPNHTTP2, ALPNTCP, ALPNPlainHTTP1, ALPNPlainHTTP2}
}

// ClientProtocols is what is offered for a connection that carries p.
func ClientProtocols(p flow.Protocol) []string {
	switch p {
	case flow.HTTP1:
		return []string{ALPNHTTP1, ALPNPlainHTTP1}
	case flow.HTTP2:
		return []string{ALPNHTTP2, ALPNPlainHTTP2}
	case flow.TCP, flow.Undetected:
	}
	return []string{ALPNTCP}
}

// Declared is what the negotiated name says of the protocol; Undetected if none
// was negotiated.
func Declared(alpn string) flow.Protocol {
	switch alpn {
	case ALPNHTTP1, ALPNPlainHTTP1:
		return flow.HTTP1
	case ALPNHTTP2, ALPNPlainHTTP2:
		return flow.HTTP2
	case ALPNTCP:
		return flow.TCP
	}
	return flow.Undetected
}

// FromSidecar tells whether a client that offers these names is an Outrider.
func FromSidecar(offered []string) bool {
	return slices.ContainsFunc(offered, func(name string) bool { return strings.HasPrefix(name, "outrider/") })
}

// CleanClose tells whether the server behind the negotiated name promises that
// an orderly end of the connection, before any byte of an answer, means that the
// request was not begun.
func CleanClose(alpn string) bool { return alpn == ALPNHTTP1 }

// IsSidecar tells whether the server behind the negotiated name is an Outrider.
func IsSidecar(alpn string) bool {
	return alpn == ALPNHTTP1 || alpn == ALPNHTTP2 || alpn == ALPNTCP
}

// A Conn is a completed mesh hop. Both ends have proved who they are.
type Conn struct {
	// Conn is what carries it: a *tls.Conn, or a stream of a QUIC connection.
	net.Conn
	Peer identity.Peer
	// Local is the SPIFFE ID that we showed.
	Local spiffeid.ID
	// LocalNotAfter is when the SVID that we showed expires.
	LocalNotAfter time.Time
	// ALPN is the negotiated protocol; empty when the peer offered none.
	ALPN string
	// ServerName is the SNI of the handshake; empty when there was none.
	ServerName string
	// Took is how long the handshake took.
	Took time.Duration
	// QUIC: it is a stream of a QUIC connection.
	QUIC bool

	source identity.Source
	before *identity.Snapshot // current when the handshake began
}

// Accept is the server's handshake. The error is one of package mtls, or of TLS.
func Accept(ctx context.Context, nc net.Conn, src identity.Source, cfg *tls.Config) (*Conn, error) {
	return handshake(ctx, tls.Server(nc, cfg), src)
}

// Dial is the client's handshake, on a connection that is already open.
func Dial(ctx context.Context, nc net.Conn, src identity.Source, cfg *tls.Config) (*Conn, error) {
	// Without bundles of our own the handshake would fail too, but seem to be
	// the server's fault.
	switch snap := src.Current(); {
	case snap.Ready():
	case snap.Err != nil:
		return nil, fmt.Errorf("%w: %w", mtls.ErrNoSVID, snap.Err)
	default:
		return nil, mtls.ErrNoSVID
	}
	return handshake(ctx, tls.Client(nc, cfg), src)
}

func handshake(ctx context.Context, tc *tls.Conn, src identity.Source) (*Conn, error) {
	start := time.Now()
	before := src.Current()
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	cs := tc.ConnectionState()
	c, err := completed(cs, src, before)
	if err != nil {
		return nil, err
	}
	c.Conn, c.ALPN, c.Took = tc, cs.NegotiatedProtocol, time.Since(start)
	return c, nil
}

// Over is the hop that nc carries after a handshake that was made elsewhere: nc is a
// stream of a QUIC connection, which begins with the protocol that it will carry.
// before was current when that handshake began.
func Over(nc net.Conn, p flow.Protocol, cs tls.ConnectionState, src identity.Source, before *identity.Snapshot) (*Conn, error) {
	c, err := completed(cs, src, before)
	if err != nil {
		return nil, err
	}
	// Between two Outriders the protocol is declared, whatever carries it.
	c.Conn, c.ALPN, c.QUIC = nc, ClientProtocols(p)[0], true
	return c, nil
}

// completed is a hop without what carries it, after a handshake that began when
// before was current.
func completed(cs tls.ConnectionState, src identity.Source, before *identity.Snapshot) (*Conn, error) {
	peer, err := mtls.PeerOf(cs)
	if err != nil {
		return nil, err
	}
	local := before
	if local.SVID == nil { // it arrived during the handshake
		if local = src.Current(); local.SVID == nil {
			return nil, fmt.Errorf("after the handshake: %w", mtls.ErrNoSVID)
		}
	}
	return &Conn{
		Peer: peer, Local: local.SVID.ID, ServerName: cs.ServerName, LocalNotAfter: local.SVID.Certificates[0].NotAfter,
		source: src, before: before,
	}, nil
}

// NetConn is the connection below TLS; of a QUIC stream it is the stream.
func (c *Conn) NetConn() net.Conn {
	if tc, ok := c.Conn.(*tls.Conn); ok {
		return tc.NetConn()
	}
	return c.Conn
}

// CloseWrite ends our direction in good order.
func (c *Conn) CloseWrite() error {
	w, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return w.CloseWrite()
}

// Revalidate verifies the peer once more if the identities of its source have
// changed since the handshake began. Call it when the connection has been
// registered with whoever ends connections on such a change: one of the two then
// sees a root that went away in between. It costs nothing if nothing changed.
func (c *Conn) Revalidate() error {
	now := c.source.Current()
	if now == c.before {
		return nil
	}
	return mtls.Verify(c.Peer, now, time.Now())
}

// RetireAt is when a client stops using the connection: when 9/10 of what is
// left of the shorter-lived certificate has passed, so that the server never has
// to end it under a request.
func (c *Conn) RetireAt(now time.Time) time.Time {
	end := c.Peer.NotAfter()
	if c.LocalNotAfter.Before(end) {
		end = c.LocalNotAfter
	}
	return now.Add(end.Sub(now) / 10 * 9)
}
