package quic

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

// A Client opens hops. One is shared by all destinations of a sidecar; its methods
// may be called from any goroutine.
type Client struct {
	limits limits.Limits
	warn   bufferWarning

	// running are the goroutines that wait for what a server says of its connection,
	// and those that dial ahead.
	running sync.WaitGroup

	mu        sync.Mutex        // taken after a peer's, where both are
	udp       *net.UDPConn      // nil until the first dial
	transport *quicgo.Transport // as udp
	closed    bool
	// peers are those that may have connections, also when no configuration names
	// them any more.
	peers map[*Peer]struct{}
}

// NewClient returns a client; it opens its socket when it is first needed.
func NewClient(l limits.Limits, log *slog.Logger) *Client {
	return &Client{limits: l, warn: bufferWarning{log: log}, peers: make(map[*Peer]struct{})}
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

// Close ends every connection. What is under way on the last of them is given a short
// time to arrive.
func (c *Client) Close() error {
	c.mu.Lock()
	was := c.closed
	c.closed = true
	transport, udp := c.transport, c.udp
	c.mu.Unlock()
	if was || transport == nil {
		c.running.Wait()
		return nil
	}
	c.part()
	err := errors.Join(transport.Close(), udp.Close())
	c.running.Wait()
	return err
}

// part takes leave of every server, and waits until they have closed.
func (c *Client) part() {
	late := time.NewTimer(c.limits.LingerTimeout)
	defer late.Stop()
	for _, qc := range c.farewells() {
		select {
		case <-qc.Context().Done():
			continue
		case <-late.C:
			late.Reset(0) // for the others too
		}
		_ = qc.CloseWithError(codeNone, "") // better than silence
	}
}

// farewells lets every peer take leave, and returns what has not ended.
func (c *Client) farewells() (all []*quicgo.Conn) {
	c.each(func(p *Peer) {
		p.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, s := range p.conns {
			all = append(all, s.quic)
		}
	})
	return all
}

// each calls f with every peer that may have connections.
func (c *Client) each(f func(*Peer)) {
	c.mu.Lock()
	all := slices.Collect(maps.Keys(c.peers))
	c.mu.Unlock()
	for _, p := range all {
		f(p)
	}
}

// beside runs f, which ends soon after the client is closed; false if it is closed.
func (c *Client) beside(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.running.Go(f)
	}
	return !c.closed
}

// know and forget are told by a peer whether it has connections.
func (c *Client) know(p *Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers[p] = struct{}{}
}

func (c *Client) forget(p *Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.peers, p)
}

// Sweep ends connections on which no stream has been open for some time, and those
// whose other end does not answer. The owner calls it every second or so.
func (c *Client) Sweep(now time.Time) { c.each(func(p *Peer) { p.sweep(now) }) }

// CloseIf cuts off the connections of which end says so by their TLS state: when their
// peer is not trusted any more.
func (c *Client) CloseIf(end func(tls.ConnectionState) bool) {
	c.each(func(p *Peer) { p.cutOff(codeTrust, func(s *shared) bool { return end(s.state) }) })
}
