package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/hop"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// A Dialer opens the mesh hop to the endpoints of one destination.
type Dialer struct {
	source            identity.Source
	http1, http2, tcp *tls.Config
	net               net.Dialer
}

// Control is what is done to a socket before it connects; see [net.Dialer].
type Control = func(network, address string, c syscall.RawConn) error

// NewDialer returns a dialer that accepts the servers in expected and no other.
// Control may be nil.
func NewDialer(src identity.Source, expected mtls.Expected, control Control) *Dialer {
	config := func(p flow.Protocol) *tls.Config {
		return mtls.ClientConfig(src, mtls.ClientOptions{Expected: expected, NextProtos: hop.ClientProtocols(p)})
	}
	return &Dialer{
		net: net.Dialer{Control: control}, source: src,
		http1: config(flow.HTTP1), http2: config(flow.HTTP2), tcp: config(flow.TCP),
	}
}

// Dial implements balance.Dialer.
func (d *Dialer) Dial(ctx context.Context, addr netip.AddrPort, p flow.Protocol) (balance.Dialed, error) {
	c, err := d.dial(ctx, addr, p)
	if err != nil {
		return balance.Dialed{}, err
	}
	return dialed(c), nil
}

// dialed is what a pool must know of a hop.
func dialed(c *hop.Conn) balance.Dialed {
	return balance.Dialed{
		Conn: c, RetireAt: c.RetireAt(time.Now()), CleanCloseMeansUnprocessed: hop.CleanClose(c.ALPN),
		FromSidecar: hop.IsSidecar(c.ALPN), Alone: c.QUIC,
	}
}

func (d *Dialer) dial(ctx context.Context, addr netip.AddrPort, p flow.Protocol) (*hop.Conn, error) {
	cfg := d.tcp
	switch p {
	case flow.HTTP1:
		cfg = d.http1
	case flow.HTTP2:
		cfg = d.http2
	case flow.TCP, flow.Undetected:
	}
	nc, err := d.net.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	c, err := hop.Dial(ctx, socket.Wrap(nc), d.source, cfg)
	if err != nil {
		_ = nc.Close() // the handshake's error is the one to report
		return nil, &forward.HandshakeError{Addr: addr, Err: err}
	}
	return c, nil
}

// A Passthrough dialer calls whom nobody configured, in plaintext. Only opaque
// bytes go that way.
type Passthrough struct{ net net.Dialer }

// NewPassthrough returns a dialer whose calls can be told from all others, so
// that one which leads back to this machine meets the inbound policy.
func NewPassthrough(control Control) *Passthrough {
	return &Passthrough{net: net.Dialer{Control: control}}
}

// Dial implements balance.Dialer.
func (d *Passthrough) Dial(ctx context.Context, addr netip.AddrPort, p flow.Protocol) (balance.Dialed, error) {
	if p != flow.TCP {
		return balance.Dialed{}, errors.ErrUnsupported
	}
	nc, err := d.net.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return balance.Dialed{}, err
	}
	return balance.Dialed{Conn: socket.Wrap(nc)}, nil
}
