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
	moving    int  // of them, told to move to another connection
	retired   bool // gets no more streams, and is left with its last
	left      bool // we have said farewell
	idleSince time.Time
	silence   silence
}

// attend lasts as long as a connection. When the server says farewell, no stream is
// opened that it would have to turn away.
func (p *Peer) attend(c *shared) {
	if awaitFarewell(c.quic) {
		p.retire(c)
		<-c.quic.Context().Done()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgetLocked(c)
}

// forgetLocked needs p.mu.
func (p *Peer) forgetLocked(c *shared) {
	p.conns = slices.DeleteFunc(p.conns, func(one *shared) bool { return one == c })
	if len(p.conns) == 0 {
		p.client.forget(p)
	}
}

// leave counts a stream that has ended.
func (p *Peer) leave(c *shared, moved bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.streams--
	if moved {
		c.moving--
	}
	c.idleSince = time.Now()
	p.partIfDone(c)
}

// retire lets the streams of a connection end and opens no more on it.
func (p *Peer) retire(c *shared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retireLocked(c)
}

// retireLocked needs p.mu.
func (p *Peer) retireLocked(c *shared) {
	c.retired = true
	p.partIfDone(c)
}

// partIfDone needs p.mu. It lets the server close the connection, which then has
// nothing to do any more; a server that does not is not waited for.
func (p *Peer) partIfDone(c *shared) {
	if !c.retired || c.streams > 0 || c.left {
		return
	}
	c.left = true
	end := func() { _ = c.quic.CloseWithError(codeNone, "") } // nothing is under way
	if !sayFarewell(c.quic) {
		end()
		return
	}
	time.AfterFunc(p.client.limits.QUICIdleTimeout, end)
}

// retirement is when no further stream is opened: when 9/10 of what is left of the
// shorter-lived certificate have passed, as with any hop.
func retirement(now, theirs, ours time.Time) time.Time {
	if ours.Before(theirs) {
		theirs = ours
	}
	return now.Add(theirs.Sub(now) / 10 * 9)
}

// cutOff ends connections with everything that is open on them.
func (p *Peer) cutOff(code quicgo.ApplicationErrorCode, end func(*shared) bool) {
	p.mu.Lock()
	var ended []*shared
	for _, c := range slices.Clone(p.conns) {
		if end(c) {
			p.forgetLocked(c)
			ended = append(ended, c)
		}
	}
	p.mu.Unlock()
	for _, c := range ended {
		_ = c.quic.CloseWithError(code, "") // the peer learns why, if it is there
	}
}

// sweep is the part of one peer in [Client.Sweep].
func (p *Peer) sweep(now time.Time) {
	l := p.client.limits
	p.cutOff(codeSilent, func(c *shared) bool {
		return c.silence.look(now, c.quic.ConnectionStats(), l.QUICSilence) >= l.QUICSilence
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if !c.retired && c.streams == 0 && now.Sub(c.idleSince) > l.UpstreamIdleTimeout {
			p.retireLocked(c)
		}
	}
}

// Close lets the streams that are open end.
func (p *Peer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		p.retireLocked(c)
	}
}
