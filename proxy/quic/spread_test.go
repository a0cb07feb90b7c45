package quic

import (
	"testing"
	"time"
)

// spread is how many streams are on each connection of a peer that gets new ones.
func (p *Peer) spread() (streams []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if !c.retired {
			streams = append(streams, c.streams)
		}
	}
	return streams
}

func (p *Peer) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dialing == nil
}

// Many streams get several connections, and few share one. There are never more than
// the bound, and all are used.
func TestStreamsSpread(t *testing.T) {
	w := serve(t, echo)
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	p.client.limits.QUICSpread, p.client.limits.QUICSpreadConnections = 2, 3
	for n, want := range []int{1, 1, 2, 2, 2, 3, 3, 3, 3} { // connections after n+1 streams
		s, _ := open(t, p, 80)
		defer s.Close()
		ping(t, s)
		eventually(t, "it has dialed", p.idle)
		got := p.spread()
		if len(got) != want {
			t.Fatalf("%d streams are spread as %v, want %d connections", n+1, got, want)
		}
	}
	for i, streams := range p.spread() {
		if streams != 3 {
			t.Errorf("connection %d has %d of 9 streams", i, streams)
		}
	}
}

// Streams that were opened when there was one connection move to others as they are
// asked for again, until there is nothing to gain.
func TestCrowdedStreamsMove(t *testing.T) {
	w := serve(t, echo)
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	p.client.limits.QUICSpread = 100
	var pool []*Stream
	for range 12 {
		s, _ := open(t, p, 80)
		pool = append(pool, s)
	}
	p.client.limits.QUICSpread = 4
	one, _ := open(t, p, 80) // makes the second connection
	defer one.Close()
	eventually(t, "there are two", func() bool { return len(p.spread()) == 2 })
	moved := 0
	for range 3 {
		for i, s := range pool {
			if s.Usable() {
				continue
			}
			moved++
			s.Close()
			pool[i], _ = open(t, p, 80)
			eventually(t, "it has dialed", p.idle)
		}
	}
	for i, s := range pool {
		defer s.Close()
		if ping(t, s); !s.Usable() {
			t.Errorf("stream %d would still move: %v", i, p.spread())
		}
	}
	if moved == 0 || moved >= 2*len(pool) {
		t.Errorf("%d streams have moved", moved)
	}
}

// A server that takes no further connection leaves the one there is as it is, and is
// not asked again at once.
func TestAServerThatIsFull(t *testing.T) {
	w := newWorld(t)
	w.limits.QUICConnections = 1
	w.serve(t, w.ca.Source(t, payments), echo)
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	p.client.limits.QUICSpread = 1
	for range 8 {
		s, _ := open(t, p, 80)
		defer s.Close()
		ping(t, s)
		eventually(t, "it has dialed", p.idle)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) != 1 || p.conns[0].streams != 8 {
		t.Errorf("%d connections, %d streams on the first", len(p.conns), p.conns[0].streams)
	}
	if !p.growAt.After(time.Now()) {
		t.Error("it is asked again at once")
	}
}
