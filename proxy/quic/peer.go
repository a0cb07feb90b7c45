package quic

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// A Peer is one endpoint of a destination: it keeps the connections to it. Its methods
// may be called from any goroutine.
type Peer struct {
	client *Client
	source identity.Source
	tls    *tls.Config
	addr   *net.UDPAddr

	mu      sync.Mutex
	conns   []*shared     // those that have not ended, the oldest first
	dialing chan struct{} // closed when the dial under way has ended; nil: none is
	// growAt: no further connection is made before, as the last attempt has failed.
	growAt time.Time
}

// NewPeer describes an endpoint, which must prove one of the expected identities;
// nothing is dialed yet.
func (c *Client) NewPeer(addr netip.AddrPort, src identity.Source, expected mtls.Expected) *Peer {
	return &Peer{
		client: c, source: src, addr: net.UDPAddrFromAddrPort(addr),
		tls: mtls.ClientConfig(src, mtls.ClientOptions{Expected: expected, NextProtos: []string{ALPN}}),
	}
}

// A Handshake is what is known of the connection that a stream belongs to.
type Handshake struct {
	State tls.ConnectionState
	// Before is the identity snapshot that was current when it began.
	Before *identity.Snapshot
	// Took is how long it took; zero for a stream on a connection that was there.
	Took time.Duration
}

// Open opens a stream to a port, on the connection that is there or on a new one.
func (p *Peer) Open(ctx context.Context, protocol flow.Protocol, port uint16) (*Stream, Handshake, error) {
	if err := mtls.CheckOwn(p.source.Current(), time.Now()); err != nil {
		return nil, Handshake{}, err // a connection that is there would be of no use
	}
	for {
		c, fresh, err := p.connection(ctx)
		if err != nil {
			return nil, Handshake{}, err
		}
		s, err := p.stream(ctx, c, protocol, port)
		if err == nil {
			h := Handshake{State: c.state, Before: c.before}
			if fresh {
				h.Took = c.took
			}
			return s, h, nil
		}
		if fresh || c.quic.Context().Err() == nil { // else it had died unseen
			return nil, Handshake{}, err
		}
	}
}

// stream opens a stream and writes its preface. The answer is read with the first
// bytes of the hop, so that it costs no round trip. The stream has been counted.
func (p *Peer) stream(ctx context.Context, c *shared, protocol flow.Protocol, port uint16) (*Stream, error) {
	qs, err := c.quic.OpenStreamSync(ctx)
	if err != nil {
		p.leave(c, false)
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	s := &Stream{
		quic: qs, conn: c.quic, Protocol: protocol, Port: port, awaiting: true,
		turnedAway: func() { p.retire(c) }, crowded: func() bool { return p.crowded(c) },
	}
	s.ended = func() { p.leave(c, s.moved.Load()) }
	head := newPreface(protocol, port)
	if _, err := qs.Write(head[:]); err != nil {
		_ = s.Close() // the write's error is the one to report
		return nil, fmt.Errorf("write the preface of a stream: %w", err)
	}
	return s, nil
}

// connection returns one that is there, or dials; many callers share one dial. A
// stream is counted on it.
func (p *Peer) connection(ctx context.Context) (c *shared, fresh bool, err error) {
	for {
		p.mu.Lock()
		if c := p.usable(time.Now()); c != nil {
			c.streams++
			p.growLocked(ctx, c)
			p.mu.Unlock()
			return c, false, nil
		}
		wait := p.dialing
		if wait == nil {
			p.dialing = make(chan struct{})
		}
		p.mu.Unlock()
		if wait == nil {
			c, err := p.dial(ctx, 1)
			return c, true, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
}

// dial makes a connection on which so many streams are counted. The caller has set
// p.dialing.
func (p *Peer) dial(ctx context.Context, streams int) (c *shared, err error) {
	defer func() { //nolint:contextcheck // who attends to the connection lasts as long as it does
		p.mu.Lock()
		defer p.mu.Unlock()
		if c != nil {
			c.streams, c.idleSince = streams, time.Now()
			p.conns = append(p.conns, c)
			p.client.know(p)
			p.client.beside(func() { p.attend(c) })
		}
		close(p.dialing)
		p.dialing = nil
	}()
	transport, err := p.client.open(ctx)
	if err != nil {
		return nil, err
	}
	before, start := p.source.Current(), time.Now()
	if err := mtls.CheckOwn(before, start); err != nil {
		return nil, err
	}
	qc, err := transport.Dial(ctx, p.addr, p.tls, clientConfig(p.client.limits))
	if err != nil {
		return nil, fmt.Errorf("QUIC with %s: %w", p.addr, err)
	}
	c = &shared{quic: qc, state: qc.ConnectionState().TLS, before: before, took: time.Since(start)}
	peer, err := mtls.PeerOf(c.state)
	if err != nil {
		_ = qc.CloseWithError(codeTrust, "") // of no use
		return nil, err
	}
	c.retireAt = retirement(start, peer.NotAfter(), before.SVID.Certificates[0].NotAfter)
	return c, nil
}
