package quic

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/limits"
)

// A Client opens hops. One is shared by all destinations of a sidecar; its methods
// may be called from any goroutine.
type Client struct {
	limits limits.Limits
	warn   bufferWarning

	mu        sync.Mutex
	udp       *net.UDPConn      // nil until the first dial
	transport *quicgo.Transport // as udp
	closed    bool
}

// NewClient returns a client; it opens its socket when it is first needed.
func NewClient(l limits.Limits, log *slog.Logger) *Client {
	return &Client{limits: l, warn: bufferWarning{log: log}}
}

var errClosed = errors.New("the QUIC client is closed")

func (c *Client) open(ctx context.Context) (*quicgo.Transport, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, errClosed
	case c.transport != nil:
		return c.transport, nil
	}
	udp, err := socket(ctx, ":0", &c.warn)
	if err != nil {
		return nil, fmt.Errorf("open a socket for QUIC: %w", err)
	}
	c.udp, c.transport = udp, &quicgo.Transport{Conn: udp}
	return c.transport, nil
}

// Close ends every connection.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.transport == nil {
		return nil
	}
	return errors.Join(c.transport.Close(), c.udp.Close())
}

// A Peer is one endpoint of a destination: it keeps the connection to it. Its methods
// may be called from any goroutine.
type Peer struct {
	client *Client
	source identity.Source
	tls    *tls.Config
	addr   *net.UDPAddr

	mu      sync.Mutex
	current *shared       // nil when there is none
	dialing chan struct{} // closed when the dial under way has ended; nil: none is
}

// shared is one connection.
type shared struct {
	quic     *quicgo.Conn
	state    tls.ConnectionState
	before   *identity.Snapshot // current when the handshake began
	took     time.Duration
	retireAt time.Time

	// Guarded by the peer's mutex.
	streams   int  // open
	retired   bool // closed with its last stream
	idleSince time.Time
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
		p.leave(c)
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	s := &Stream{
		quic: qs, conn: c.quic, Protocol: protocol, Port: port, awaiting: true,
		ended: func() { p.leave(c) }, turnedAway: func() { p.retire(c) },
	}
	head := newPreface(protocol, port)
	if _, err := qs.Write(head[:]); err != nil {
		_ = s.Close() // the write's error is the one to report
		return nil, fmt.Errorf("write the preface of a stream: %w", err)
	}
	return s, nil
}

// leave counts a stream that has ended.
func (p *Peer) leave(c *shared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.streams--
	c.idleSince = time.Now()
	c.closeIfDone()
}

// retire lets the streams of a connection end and opens no more on it.
func (p *Peer) retire(c *shared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == c {
		p.current = nil
	}
	c.retired = true
	c.closeIfDone()
}

// closeIfDone needs the peer's mutex.
func (c *shared) closeIfDone() {
	if c.retired && c.streams == 0 {
		_ = c.quic.CloseWithError(codeNone, "") // nothing is under way
	}
}

// connection returns the one that is there, or dials; many callers share one dial.
// A stream is counted on it.
func (p *Peer) connection(ctx context.Context) (c *shared, fresh bool, err error) {
	for {
		p.mu.Lock()
		if c := p.usable(time.Now()); c != nil {
			c.streams++
			p.mu.Unlock()
			return c, false, nil
		}
		wait := p.dialing
		if wait == nil {
			p.dialing = make(chan struct{})
		}
		p.mu.Unlock()
		if wait == nil {
			c, err := p.dial(ctx)
			return c, true, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
}

// usable needs p.mu.
func (p *Peer) usable(now time.Time) *shared {
	c := p.current
	switch {
	case c == nil:
		return nil
	case c.quic.Context().Err() == nil && now.Before(c.retireAt):
		return c
	}
	p.current = nil
	c.retired = true
	c.closeIfDone()
	return nil
}

func (p *Peer) dial(ctx context.Context) (c *shared, err error) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if c != nil {
			c.streams++
			p.current = c
		}
		close(p.dialing)
		p.dialing = nil
	}()
	transport, err := p.client.open(ctx)
	if err != nil {
		return nil, err
	}
	before, start := p.source.Current(), time.Now()
	if !before.Ready() {
		return nil, mtls.ErrNoSVID
	}
	qc, err := transport.Dial(ctx, p.addr, p.tls, config(p.client.limits))
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

// retirement is when no further stream is opened: when 9/10 of what is left of the
// shorter-lived certificate have passed, as with any hop.
func retirement(now, theirs, ours time.Time) time.Time {
	if ours.Before(theirs) {
		theirs = ours
	}
	return now.Add(theirs.Sub(now) / 10 * 9)
}

// CloseIf cuts the connection off if end says so of its TLS state: when its peer is
// not trusted any more.
func (p *Peer) CloseIf(end func(tls.ConnectionState) bool) {
	p.mu.Lock()
	c := p.current
	if c == nil || !end(c.state) {
		p.mu.Unlock()
		return
	}
	p.current = nil
	p.mu.Unlock()
	_ = c.quic.CloseWithError(codeTrust, "") // the peer learns why, if it is there
}

// Sweep closes a connection on which no stream has been open for some time. The owner
// calls it every few seconds.
func (p *Peer) Sweep(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.current
	if c != nil && c.streams == 0 && now.Sub(c.idleSince) > p.client.limits.UpstreamIdleTimeout {
		p.current = nil
		c.retired = true
		c.closeIfDone()
	}
}

// Close lets the streams that are open end.
func (p *Peer) Close() {
	p.mu.Lock()
	c := p.current
	p.mu.Unlock()
	if c != nil {
		p.retire(c)
	}
}
