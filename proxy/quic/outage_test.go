package quic

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit/udprelay"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// through is a peer behind a relay.
func (w *world) through(t *testing.T) (*Peer, *udprelay.Relay) {
	t.Helper()
	relay := udprelay.New(t, w.server.Addr().String())
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	p.addr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), relay.Port()))
	return p, relay
}

// sweep does what the owner of a peer does, until something is so.
func sweep(t *testing.T, p *Peer, what string, so func() bool) {
	t.Helper()
	eventually(t, what, func() bool {
		p.client.Sweep(time.Now())
		return so()
	})
}

// Where UDP begins to be dropped, calls that are under way end before QUIC's own
// idle timeout, and the next connection is a new one.
func TestASilentConnectionIsGivenUp(t *testing.T) {
	w := serve(t, echo)
	p, relay := w.through(t)
	p.client.limits.QUICSilence = 300 * time.Millisecond
	s, _ := open(t, p, 80)
	defer s.Close()
	ping(t, s)
	relay.Drop(true)
	io.WriteString(s, "b")
	c, _ := p.has()
	sweep(t, p, "given up", func() bool { return c.quic.Context().Err() != nil })
	if gone, ok := errors.AsType[*quicgo.ApplicationError](context.Cause(c.quic.Context())); !ok || gone.ErrorCode != codeSilent {
		t.Errorf("it ended with %v", context.Cause(c.quic.Context()))
	}
	if _, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("its stream ended with %v", err)
	}
	relay.Drop(false)
	again, h := open(t, p, 80)
	defer again.Close()
	ping(t, again)
	if h.Took == 0 {
		t.Error("on the connection that was given up")
	}
}

func TestSilence(t *testing.T) {
	const second, most = time.Second, 3 * time.Second
	type look struct {
		after          time.Duration
		sent, received uint64
		want           time.Duration
	}
	cases := []struct {
		name  string
		looks []look
	}{
		{"nothing happens", []look{{0, 10, 10, 0}, {second, 10, 10, 0}, {time.Hour, 10, 10, 0}}},
		{"an acknowledgement was the last word", []look{{0, 10, 10, 0}, {second, 11, 10, 0}, {second, 11, 10, 0}, {time.Hour, 11, 10, 0}}},
		{"a question long after it", []look{{0, 10, 10, 0}, {second, 11, 10, 0}, {time.Hour, 12, 10, 0}, {second, 13, 10, 0}, {second, 14, 10, 2 * second}}},
		{"a question soon after it", []look{{0, 10, 10, 0}, {second, 11, 10, 0}, {5 * second, 12, 10, 0}, {second, 12, 11, 0}}},
		{"questions and answers", []look{{0, 10, 10, 0}, {second, 15, 12, 0}, {second, 20, 14, 0}}},
		{"no answers", []look{{0, 10, 10, 0}, {second, 12, 10, 0}, {second, 14, 10, 0}, {second, 14, 10, 0}, {second, 16, 10, 3 * second}}},
		{"no answers on a long path", []look{{0, 10, 10, 0}, {second, 12, 10, 0}, {second, 14, 10, 0}, {4 * second, 16, 10, 5 * second}}},
		{"an answer after all", []look{{0, 10, 10, 0}, {second, 12, 10, 0}, {second, 14, 10, 0}, {second, 15, 11, 0}, {second, 16, 11, 0}, {second, 17, 11, 0}, {second, 18, 11, 2 * second}}},
	}
	if len(cases) < 8 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		var s silence
		now := time.Unix(1000, 0)
		for i, l := range c.looks {
			now = now.Add(l.after)
			stats := quicgo.ConnectionStats{PacketsSent: l.sent, PacketsReceived: l.received}
			if got := s.look(now, stats, most); got != l.want {
				t.Errorf("%s, look %d: silent for %v, want %v", c.name, i, got, l.want)
			}
		}
	}
}

// A server that is there again after it was killed has no memory of its connections,
// but the same identity, by which a client learns that at once.
func TestARestartedServerIsNoticed(t *testing.T) {
	w := newWorld(t)
	src := w.ca.Source(t, payments)
	w.serve(t, src, echo)
	p, relay := w.through(t)
	s, _ := open(t, p, 80)
	defer s.Close()
	ping(t, s)
	c, _ := p.has()
	w.serve(t, src, echo) // the old one lives, but nothing leads there any more
	relay.Lead(t, w.server.Addr().String())
	io.WriteString(s, "b")
	select {
	case <-c.quic.Context().Done():
	case <-time.After(patience):
		t.Fatal("not noticed")
	}
	if _, ok := errors.AsType[*quicgo.StatelessResetError](context.Cause(c.quic.Context())); !ok {
		t.Errorf("it ended with %v", context.Cause(c.quic.Context()))
	}
	next, h := open(t, p, 80)
	defer next.Close()
	ping(t, next)
	if h.Took == 0 {
		t.Error("on the old connection")
	}
}

func TestKeysOfResets(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	one, other := ca.Source(t, payments).Current(), ca.Source(t, payments).Current()
	if before, after := *resetKey(one), *resetKey(one); before != after {
		t.Error("not the same after a restart")
	}
	if *resetKey(one) == *resetKey(other) {
		t.Error("the same with another private key")
	}
	if one, other := *resetKey(nil), *resetKey(nil); one == other {
		t.Error("without an identity, everybody's is the same")
	}
}

// A client that appears at another address, as behind a NAT that forgot it, goes on:
// every packet proves who sent it, and the server makes sure of the address.
func TestAClientMayAppearAtAnotherAddress(t *testing.T) {
	streams := make(chan *Stream, 4)
	w := serve(t, func(s *Stream, h Handshake) {
		streams <- s
		echo(s, h)
	})
	p, relay := w.through(t)
	s, _ := open(t, p, 80)
	defer s.Close()
	ping(t, s)
	first := <-streams
	before := first.RemoteAddr().String()
	relay.Lead(t, w.server.Addr().String())
	eventually(t, "the server answers at the new address", func() bool {
		ping(t, s)
		return first.RemoteAddr().String() != before
	})
}

// Whoever is not the client can't have its connection by sending its packets from
// elsewhere: what he sends is answered, if at all, by a question only the client can
// answer, and the client's own connection goes on.
func TestPacketsOfOthersMoveNothing(t *testing.T) {
	streams := make(chan *Stream, 4)
	w := serve(t, func(s *Stream, h Handshake) {
		streams <- s
		echo(s, h)
	})
	p, _ := w.through(t)
	s, _ := open(t, p, 80)
	defer s.Close()
	ping(t, s)
	served := <-streams
	before := served.RemoteAddr().String()
	thief, err := net.Dial("udp", w.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	var sent int
	for _, first := range []byte{0x40, 0x41, 0x7f, 0xc0, 0xe0, 0x00} { // short and long headers
		for _, size := range []int{20, 50, 1200} {
			packet := make([]byte, size)
			packet[0] = first
			thief.Write(packet)
			sent++
		}
	}
	if sent < 18 {
		t.Fatalf("only %d", sent)
	}
	ping(t, s)
	if after := served.RemoteAddr().String(); after != before {
		t.Errorf("the client was at %s and is at %s", before, after)
	}
}

// Auto goes on over TCP where UDP begins to be dropped, and returns to QUIC when it
// has forgotten.
func TestAutoGoesOnOverTCPAndReturns(t *testing.T) {
	w := serve(t, echo)
	p, relay := w.through(t)
	p.client.limits.QUICSilence = 300 * time.Millisecond
	var running sync.WaitGroup
	defer running.Wait()
	path := &Path{Running: &running}
	over := func(ctx context.Context) (*way, error) {
		s, h, err := p.Open(ctx, flow.TCP, 80)
		if err == nil && h.Took > 0 {
			err = s.AwaitAccepted()
		}
		if err != nil {
			return nil, err
		}
		return &way{Conn: s, name: "quic"}, nil
	}
	dial := func() string {
		c, err := Dial(t.Context(), path, over, func(context.Context) (*way, error) { return &way{name: "tcp"}, nil })
		if err != nil {
			t.Fatal(err)
		}
		if c.Conn != nil {
			c.Conn.Close()
		}
		return c.name
	}
	eventually(t, "QUIC", func() bool { return dial() == "quic" })
	c, _ := p.has()
	relay.Drop(true)
	sweep(t, p, "given up", func() bool {
		dial()
		return c.quic.Context().Err() != nil
	})
	if got := dial(); got != "tcp" {
		t.Errorf("%s where UDP is dropped", got)
	}
	relay.Drop(false)
	running.Wait() // the attempt may have come through after all
	path.mu.Lock()
	path.until = time.Time{} // the minute has passed
	path.mu.Unlock()
	eventually(t, "QUIC again", func() bool { return dial() == "quic" })
}

// A client that is gone without a word does not hold up a server that drains.
func TestDrainingWithoutAnAnswer(t *testing.T) {
	w := newWorld(t)
	w.limits.QUICSilence = 300 * time.Millisecond
	served := make(chan struct{})
	w.serve(t, w.ca.Source(t, payments), func(s *Stream, h Handshake) {
		defer close(served)
		echo(s, h)
	})
	p, relay := w.through(t)
	s, _ := open(t, p, 80)
	ping(t, s)
	s.Close()
	<-served
	relay.Drop(true)
	w.drain()
	select {
	case <-w.drained:
	case <-time.After(patience): // QUIC's own is 30 s
		t.Error("the server waits")
	}
}

// A client that is closed tells its servers so, which don't wait for it then.
func TestAClosedClientTakesLeave(t *testing.T) {
	ended := make(chan struct{})
	w := serve(t, func(s *Stream, _ Handshake) {
		defer close(ended)
		defer s.Close()
		io.Copy(io.Discard, s)
		<-s.conn.Context().Done()
	})
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	p.client.limits.LingerTimeout = 100 * time.Millisecond // the server does not end
	s, _ := open(t, p, 80)
	if err := s.AwaitAccepted(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := p.client.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the server does not know")
	}
}
