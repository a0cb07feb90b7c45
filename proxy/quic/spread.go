package quic

import (
	"context"
	"time"
)

// All streams of a connection share one congestion window. At 1 % loss and a round
// trip of 20 ms it lets some 800 KB/s pass (RFC 5348 §3.1), which is plenty for many
// small answers and little for a few large ones: with one connection 21 Mbit/s of
// bodies queued up for seconds, where TCP had a window for each. So a peer gets
// another connection for every few streams, up to a bound.

// usable needs p.mu. It is the oldest connection that has room, so that few streams
// share packets and acknowledgements, or else the one with the fewest streams; nil when
// there is none.
func (p *Peer) usable(now time.Time) (best *shared) {
	for _, c := range p.conns {
		switch {
		case c.retired:
		case c.quic.Context().Err() != nil:
			c.retired = true // and about to be forgotten
		case !now.Before(c.retireAt):
			p.retireLocked(c)
		case c.streams < p.client.limits.QUICSpread:
			return c
		case best == nil || c.streams < best.streams:
			best = c
		}
	}
	return best
}

// growAgain is the pause after a further connection that did not come about.
const growAgain = 10 * time.Second

// growLocked needs p.mu. If the least used connection is full and there may be more,
// it dials another one for the streams to come; nobody waits for it.
func (p *Peer) growLocked(ctx context.Context, c *shared) {
	l := p.client.limits
	if c.streams <= l.QUICSpread || len(p.conns) >= l.QUICSpreadConnections || p.dialing != nil || time.Now().Before(p.growAt) {
		return
	}
	p.dialing = make(chan struct{})
	started := p.client.beside(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.HandshakeTimeout)
		defer cancel()
		if _, err := p.dial(ctx, 0); err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.growAt = time.Now().Add(growAgain)
		}
	})
	if !started {
		close(p.dialing)
		p.dialing = nil
	}
}

// crowded tells whether a stream would fare better on another connection: pools keep
// the streams that they opened when there was only one. Who is told so closes it, and
// until then it is counted as one that moves, or all would.
func (p *Peer) crowded(c *shared) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	staying := c.streams - c.moving
	if staying <= p.client.limits.QUICSpread {
		return false
	}
	for _, other := range p.conns {
		if !other.retired && 2*(other.streams-other.moving) < staying {
			c.moving++
			return true
		}
	}
	return false
}
