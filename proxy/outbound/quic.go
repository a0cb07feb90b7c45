package outbound

import (
	"context"
	"net/netip"
	"time"

	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/hop"
	"github.com/outrider-mesh/outrider/proxy/quic"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// A QUICDialer opens the mesh hop to one endpoint as a stream of a QUIC connection,
// and over TCP where that is not to be had.
type QUICDialer struct {
	peer *quic.Peer
	tcp  *Dialer
	path *quic.Path
}

// NewQUICDialer returns a dialer that has the peer and, over TCP, the same endpoint.
// With a nil path there is QUIC or nothing.
func NewQUICDialer(peer *quic.Peer, tcp *Dialer, path *quic.Path) *QUICDialer {
	return &QUICDialer{peer: peer, tcp: tcp, path: path}
}

// Dial implements balance.Dialer.
func (d *QUICDialer) Dial(ctx context.Context, addr netip.AddrPort, p flow.Protocol) (balance.Dialed, error) {
	over := func(ctx context.Context) (*hop.Conn, error) { return d.open(ctx, addr, p) }
	var c *hop.Conn
	var err error
	if d.path == nil {
		c, err = over(ctx)
	} else {
		c, err = quic.Dial(ctx, d.path, over, func(ctx context.Context) (*hop.Conn, error) {
			return d.tcp.dial(ctx, addr, p)
		})
	}
	if err != nil {
		return balance.Dialed{}, err
	}
	return dialed(c), nil
}

// open opens a stream. The first one on a new connection is waited for, so that a
// peer which does not serve the port is known before a request is lost on it.
func (d *QUICDialer) open(ctx context.Context, addr netip.AddrPort, p flow.Protocol) (*hop.Conn, error) {
	stream, handshake, err := d.peer.Open(ctx, p, addr.Port())
	switch {
	case err == nil:
	case quic.Reason(err) == quic.FellBackHandshake:
		return nil, &forward.HandshakeError{Addr: addr, Err: err}
	default:
		return nil, err
	}
	c, err := hop.Over(stream, p, handshake.State, d.tcp.source, handshake.Before)
	if err == nil && handshake.Took > 0 {
		err = accepted(ctx, stream)
	}
	if err != nil {
		socket.Abort(stream)
		return nil, err
	}
	c.Took = handshake.Took
	return c, nil
}

// accepted waits until the other end has taken the stream.
func accepted(ctx context.Context, s *quic.Stream) error {
	stop := context.AfterFunc(ctx, func() { _ = s.SetReadDeadline(time.Unix(1, 0)) }) // wakes the reader
	err := s.AwaitAccepted()
	if !stop() {
		return context.Cause(ctx) // and the deadline is spoilt
	}
	if err != nil {
		return err
	}
	return s.SetReadDeadline(time.Time{})
}
