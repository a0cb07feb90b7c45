package quic

import (
	"crypto/tls"
	"slices"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/outrider-mesh/outrider/identity"
)

// shared is one connection to a peer.
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
	silence   silence
}

// heed waits until the server says farewell, and opens no stream then that it would
// have to turn away.
func (p *Peer) heed(c *shared) {
	if awaitFarewell(c.quic) {
		p.retire(c)
	}
}

// leave counts a stream that has ended.
func (p *Peer) leave(c *shared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.streams--
	c.idleSince = time.Now()
	p.closeIfDone(c)
}

// retire lets the streams of a connection end and opens no more on it.
func (p *Peer) retire(c *shared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retireLocked(c)
}

// retireLocked needs p.mu.
func (p *Peer) retireLocked(c *shared) {
	if p.current == c {
		p.current = nil
	}
	c.retired = true
	p.closeIfDone(c)
}

// closeIfDone needs p.mu. It lets the server close the connection, which then has
// nothing to do any more; a server that does not is not waited for.
func (p *Peer) closeIfDone(c *shared) {
	if !c.retired || c.streams > 0 || !p.forget(c) {
		return
	}
	end := func() { _ = c.quic.CloseWithError(codeNone, "") } // nothing is under way
	if !sayFarewell(c.quic) {
		end()
		return
	}
	time.AfterFunc(p.client.limits.QUICIdleTimeout, end)
}

// forget needs p.mu; it is false for a connection that is not known any more.
func (p *Peer) forget(c *shared) bool {
	at := slices.Index(p.conns, c)
	if at < 0 {
		return false
	}
	p.conns = slices.Delete(p.conns, at, at+1)
	if p.current == c {
		p.current = nil
	}
	return true
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
	p.retireLocked(c)
	return nil
}

// retirement is when no further stream is opened: when 9/10 of what is left of the
// shorter-lived certificate have passed, as with any hop.
func retirement(now, theirs, ours time.Time) time.Time {
	if ours.Before(theirs) {
		theirs = ours
	}
	return now.Add(theirs.Sub(now) / 10 * 9)
}

// CloseIf cuts off the connections of which end says so by their TLS state: when their
// peer is not trusted any more.
func (p *Peer) CloseIf(end func(tls.ConnectionState) bool) {
	p.cutOff(codeTrust, func(c *shared) bool { return end(c.state) })
}

// cutOff ends connections with everything that is open on them.
func (p *Peer) cutOff(code quicgo.ApplicationErrorCode, end func(*shared) bool) {
	p.mu.Lock()
	var ended []*shared
	for _, c := range slices.Clone(p.conns) {
		if end(c) {
			p.forget(c)
			ended = append(ended, c)
		}
	}
	p.mu.Unlock()
	for _, c := range ended {
		_ = c.quic.CloseWithError(code, "") // the peer learns why, if it is there
	}
}

// Sweep ends a connection on which no stream has been open for some time, and those
// whose other end does not answer. The owner calls it every second or so.
func (p *Peer) Sweep(now time.Time) {
	l := p.client.limits
	p.cutOff(codeSilent, func(c *shared) bool {
		return c.silence.look(now, c.quic.ConnectionStats(), l.QUICSilence) >= l.QUICSilence
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.current; c != nil && c.streams == 0 && now.Sub(c.idleSince) > l.UpstreamIdleTimeout {
		p.retireLocked(c)
	}
}

// Close lets the streams that are open end.
func (p *Peer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range slices.Clone(p.conns) {
		p.retireLocked(c)
	}
}
