package quic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !so() {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
		<-tick.C
	}
}

func (p *Peer) has() (current *shared, all int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.usable(time.Now()), len(p.conns)
}

// A server that drains says so, and finishes what is open. Nobody else is accepted,
// and whoever comes learns it at once.
func TestDraining(t *testing.T) {
	w := serve(t, echo)
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	s, _ := open(t, p, 80)
	ping(t, s)
	w.drain()
	eventually(t, "the client knows", func() bool { c, _ := p.has(); return c == nil })
	ping(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, _, err := p.Open(ctx, flow.TCP, 80); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a connection that comes late: %v", err)
	}
	select {
	case <-w.drained:
		t.Error("the server has ended under a stream")
	default:
	}
	s.Close()
	<-w.drained
}

// ping sends a byte and awaits it.
func ping(t *testing.T, s *Stream) {
	t.Helper()
	io.WriteString(s, "a")
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// A stream that was opened when the server had just begun to drain, and one whose
// listener has just gone, end before their first byte, after which the request may be
// sent again.
func TestStreamsThatComeTooLate(t *testing.T) {
	for name, port := range map[string]uint16{"while the server drains": 80, "as the listener goes": 90} {
		w := serve(t, echo)
		p := w.peer(t, w.ca.Source(t, checkout), payments)
		s, _ := open(t, p, 80)
		ping(t, s)
		c, _ := p.has()
		if port == 80 {
			w.drain()
			eventually(t, "the client knows", func() bool { c, _ := p.has(); return c == nil })
		}
		p.mu.Lock()
		c.streams++
		p.mu.Unlock()
		late, err := p.stream(t.Context(), c, flow.TCP, port)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		late.SetDeadline(time.Now().Add(patience))
		if n, err := late.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		late.Close()
		if c, _ := p.has(); c != nil {
			t.Errorf("%s: the connection that turned a stream away is still used", name)
		}
		ping(t, s)
		s.Close()
	}
}

// What either end wrote last arrives, however slowly the other one reads it, although
// both have nothing more to do on the connection.
func TestTheLastBytesAreRead(t *testing.T) {
	const size = 200 << 10 // as much as may be under way without being read
	begun, closed := make(chan struct{}), make(chan struct{})
	var got int64
	w := serve(t, func(s *Stream, _ Handshake) {
		defer s.Close()
		defer close(closed)
		s.Write(make([]byte, size))
		s.CloseWrite()
		<-begun
		got, _ = io.Copy(io.Discard, s)
	})
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	s, _ := open(t, p, 80)
	first := make([]byte, 1)
	if _, err := io.ReadFull(s, first); err != nil {
		t.Fatal(err)
	}
	s.Write(make([]byte, size))
	s.CloseWrite()
	w.drain()
	eventually(t, "the client knows", func() bool { c, _ := p.has(); return c == nil })
	if n, err := io.Copy(io.Discard, s); err != nil || n != size-1 {
		t.Errorf("the client reads %d of %d bytes, %v", n, size-1, err)
	}
	s.Close() // and with it, were there no farewell, the connection
	close(begun)
	<-closed
	if got != size {
		t.Errorf("the server reads %d of %d bytes", got, size)
	}
}

// A server that has answered everything does not close under a client that is slow to
// read it.
func TestASlowReaderGetsItAll(t *testing.T) {
	const size = 200 << 10
	served := make(chan struct{})
	w := serve(t, func(s *Stream, _ Handshake) {
		defer close(served)
		defer s.Close()
		s.Write(make([]byte, size))
	})
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	s, _ := open(t, p, 80)
	defer s.Close()
	if err := s.AwaitAccepted(); err != nil {
		t.Fatal(err)
	}
	<-served
	w.drain()
	eventually(t, "the client knows", func() bool { c, _ := p.has(); return c == nil })
	select { // a server that closes at once has done so by then
	case <-w.drained:
		t.Error("the server has closed what was not read")
	case <-time.After(50 * time.Millisecond):
	}
	if n, err := io.Copy(io.Discard, s); err != nil || n != size {
		t.Errorf("%d of %d bytes, %v", n, size, err)
	}
}

// A request that is written to a stream which was just closed in good order learns by
// reading that it was not begun, as on TCP; whoever goes on writing learns it so.
func TestWritingToAStreamThatWasClosed(t *testing.T) {
	w := serve(t, func(s *Stream, _ Handshake) { s.Close() })
	s, _ := open(t, w.peer(t, w.ca.Source(t, checkout), payments), 80)
	defer s.Close()
	if err := s.AwaitAccepted(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is closed", func() bool { return !s.Usable() })
	if n, err := io.WriteString(s, "GET"); n != 3 || err != nil {
		t.Errorf("the first write: %d, %v", n, err)
	}
	if n, err := s.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the read: %d, %v", n, err)
	}
	if _, err := io.WriteString(s, "GET"); err == nil {
		t.Error("the second write succeeds")
	}
}

// Only what the other end says it has not begun may be sent again.
func TestWhatWasNotBegun(t *testing.T) {
	cases := []struct {
		name string
		err  error
		want bool
	}{
		{"a stream turned away", &quicgo.StreamError{ErrorCode: codeClosing, Remote: true}, true},
		{"a stream cut off", &quicgo.StreamError{ErrorCode: codeAborted, Remote: true}, false},
		{"a stream that we cut off", &quicgo.StreamError{ErrorCode: codeClosing}, false},
		{"a connection refused", &quicgo.TransportError{ErrorCode: quicgo.ConnectionRefused, Remote: true}, true},
		{"a connection that we refuse", &quicgo.TransportError{ErrorCode: quicgo.ConnectionRefused}, false},
		{"a connection that broke", &quicgo.TransportError{ErrorCode: quicgo.InternalError, Remote: true}, false},
		{"too many connections", &quicgo.ApplicationError{ErrorCode: codeBusy, Remote: true}, true},
		{"a connection that was closed", &quicgo.ApplicationError{ErrorCode: codeClosing, Remote: true}, false},
		{"silence", &quicgo.IdleTimeoutError{}, false},
	}
	const least = 9
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		if got := notBegun(fmt.Errorf("wrapped: %w", c.err)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
