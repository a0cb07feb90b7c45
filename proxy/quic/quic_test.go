package quic

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/limits"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	checkout = "spiffe://example.org/ns/shop/sa/checkout"
	payments = "spiffe://example.org/ns/shop/sa/payments"
)

// patience decides only how late a failure is noticed.
const patience = 20 * time.Second

// world is a server and whoever calls it.
type world struct {
	ca     *identitytest.CA
	limits limits.Limits
	server *Server
	// drain stops the accepting of streams; drained is closed when the last has ended.
	drain   func()
	drained chan struct{}
	mu      sync.Mutex
	log     bytes.Buffer
}

func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{ca: identitytest.NewCA(t, "example.org"), limits: limits.Default()}
}

// find has a handler at port 80, and one that comes too late at port 90.
func (w *world) find(handle func(*Stream, Handshake)) func(uint16) Serve {
	return func(port uint16) Serve {
		switch port {
		case 80:
			return func(s *Stream, h Handshake) bool {
				if s.Accept() == nil {
					handle(s, h)
				}
				return true
			}
		case 90:
			return func(*Stream, Handshake) bool { return false }
		}
		return nil
	}
}

// serve starts a server on which port 80 is served by handle.
func serve(t *testing.T, handle func(*Stream, Handshake)) *world {
	t.Helper()
	w := newWorld(t)
	return w.serve(t, w.ca.Source(t, payments), handle)
}

func (w *world) serve(t *testing.T, src identity.Source, handle func(*Stream, Handshake)) *world {
	t.Helper()
	server, err := Listen(t.Context(), ServerOptions{
		Listen: "127.0.0.1:0", Source: src, Limits: w.limits, Find: w.find(handle),
		Panicked: func(v any) { t.Logf("panic: %v", v) },
		Log:      slog.New(slog.NewTextHandler(w, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.server = server
	ctx, drain := context.WithCancel(t.Context())
	w.drain, w.drained = drain, make(chan struct{})
	go func() {
		defer close(w.drained)
		if err := server.Run(ctx, t.Context()); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		w.drain()
		<-w.drained
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// peer is the server as the source sees it.
func (w *world) peer(t *testing.T, src identity.Source, expect string) *Peer {
	t.Helper()
	client := NewClient(limits.Default(), slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	expected, err := mtls.NewExpected(identitytest.ID(t, expect))
	if err != nil {
		t.Fatal(err)
	}
	addr, err := netip.ParseAddrPort(w.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return client.NewPeer(addr, src, expected)
}

func open(t *testing.T, p *Peer, port uint16) (*Stream, Handshake) {
	t.Helper()
	s, h, err := p.Open(t.Context(), flow.TCP, port)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return s, h
}

// echo sends everything back, and ends when the other end has.
func echo(s *Stream, _ Handshake) {
	defer s.Close()
	if _, err := io.Copy(s, s); err == nil {
		_ = s.CloseWrite()
	}
}

func TestHopsAreStreamsOfOneConnection(t *testing.T) {
	states := make(chan tls.ConnectionState, 10)
	declared := make(chan *Stream, 10)
	w := serve(t, func(s *Stream, state Handshake) {
		states <- state.State
		declared <- s
		echo(s, state)
	})
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	var wg sync.WaitGroup
	for i, protocol := range []flow.Protocol{flow.HTTP1, flow.HTTP2, flow.TCP} {
		s, h, err := p.Open(t.Context(), protocol, 80)
		if err != nil {
			t.Fatal(err)
		}
		if fresh := h.Took > 0; fresh != (i == 0) {
			t.Errorf("stream %d: a new connection: %t", i, fresh)
		}
		wg.Go(func() {
			defer s.Close()
			text := bytes.Repeat([]byte{byte('a' + i)}, 300_000)
			go func() {
				s.Write(text)
				s.CloseWrite()
			}()
			if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, text) {
				t.Errorf("stream %d: %d bytes came back, %v", i, len(got), err)
			}
		})
		if got := <-declared; got.Protocol != protocol || got.Port != 80 {
			t.Errorf("stream %d was declared as %v to port %d", i, got.Protocol, got.Port)
		}
		state := <-states
		peer, err := mtls.PeerOf(state)
		if err != nil || peer.ID.String() != checkout || state.Version != tls.VersionTLS13 || state.DidResume {
			t.Errorf("stream %d: %+v, %v", i, peer.ID, err)
		}
		peer, err = mtls.PeerOf(h.State)
		if err != nil || peer.ID.String() != payments {
			t.Errorf("stream %d: the server is %v, %v", i, peer.ID, err)
		}
	}
	wg.Wait()
}

func TestEitherEndMayCloseItsSendingSide(t *testing.T) {
	served := make(chan struct{})
	w := serve(t, func(s *Stream, _ Handshake) {
		defer close(served)
		defer s.Close()
		io.WriteString(s, "hello")
		s.CloseWrite()
		if rest, err := io.ReadAll(s); err != nil || string(rest) != "later" {
			t.Errorf("the server reads %q, %v", rest, err)
		}
	})
	s, _ := open(t, w.peer(t, w.ca.Source(t, checkout), payments), 80)
	defer s.Close()
	if got, err := io.ReadAll(s); err != nil || string(got) != "hello" {
		t.Errorf("the client reads %q, %v", got, err)
	}
	if _, err := io.WriteString(s, "later"); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := s.CloseWrite(); err != nil {
			t.Error(err)
		}
	}
	<-served
}

// A body that ends with its connection must not look complete when it was cut off.
func TestAStreamThatIsCutOffDoesNotLookComplete(t *testing.T) {
	w := serve(t, func(s *Stream, _ Handshake) {
		io.WriteString(s, "half of")
		s.SetLinger(0)
		s.Close()
	})
	s, _ := open(t, w.peer(t, w.ca.Source(t, checkout), payments), 80)
	defer s.Close()
	got, err := io.ReadAll(s)
	if err == nil || errors.Is(err, io.EOF) {
		t.Errorf("%q looks complete", got)
	}
}

func TestWhoIsNotTrustedGetsNoStream(t *testing.T) {
	w := serve(t, echo)
	foreign := identitytest.NewCA(t, "example.org") // of the same name
	other := identitytest.NewCA(t, "other.org")
	// The client trusts the server, so that it is the server that refuses.
	stranger := foreign.Source(t, checkout)
	stranger.Publish(stranger.Current().SVID, w.ca.Bundles())
	for name, c := range map[string]struct {
		src    identity.Source
		expect string
		says   string
	}{
		"a server of another name":         {w.ca.Source(t, checkout), checkout, "is not in"},
		"a server of an unknown CA":        {foreign.Source(t, checkout), payments, "certificate"},
		"a server of another domain":       {other.Source(t, "spiffe://other.org/sa/x"), payments, "trust domain"},
		"a client that nobody vouches for": {stranger, payments, ""},
		"a client without an identity":     {new(identity.Publisher), payments, "SVID"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		p := w.peer(t, c.src, c.expect)
		s, _, err := p.Open(ctx, flow.TCP, 80)
		if err == nil { // TLS 1.3: a client is refused after its handshake
			_, err = s.Read(make([]byte, 1))
			s.Close()
		}
		cancel()
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q in it", name, err, c.says)
		}
	}
}

func TestPlainQUICClientsAreRefused(t *testing.T) {
	w := serve(t, echo)
	expected, _ := mtls.NewExpected(identitytest.ID(t, payments))
	for name, cfg := range map[string]*tls.Config{
		"without a certificate": {InsecureSkipVerify: true, NextProtos: []string{ALPN}},
		"another protocol":      mtls.ClientConfig(w.ca.Source(t, checkout), mtls.ClientOptions{Expected: expected, NextProtos: []string{"h3"}}),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		qc, err := quicgo.DialAddr(ctx, w.server.Addr().String(), cfg, nil)
		if err == nil {
			<-qc.Context().Done()
			err = context.Cause(qc.Context())
		}
		cancel()
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A stream on an old connection is judged by the bundles of now.
func TestEveryStreamVerifiesThePeerAnew(t *testing.T) {
	w := newWorld(t)
	src := w.ca.Source(t, payments)
	w.serve(t, src, echo)
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	s, _ := open(t, p, 80)
	io.WriteString(s, "x")
	if _, err := s.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	stranger := identitytest.NewCA(t, "example.org")
	src.Publish(src.Current().SVID, stranger.Bundles()) // the root is gone
	s, h := open(t, p, 80)
	defer s.Close()
	if h.Took > 0 {
		t.Fatal("a new connection")
	}
	if _, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a stream whose peer nobody vouches for any more: %v", err)
	}
	if got := w.logged(); !strings.Contains(got, "refused a stream") {
		t.Errorf("logged %q", got)
	}
}

func TestAPortThatNobodyServes(t *testing.T) {
	w := serve(t, echo)
	s, _ := open(t, w.peer(t, w.ca.Source(t, checkout), payments), 81)
	defer s.Close()
	if err := s.AwaitAccepted(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	if got := w.logged(); !strings.Contains(got, "nobody serves port 81") {
		t.Errorf("logged %q", got)
	}
}

func TestPrefacesThatAreRefused(t *testing.T) {
	w := serve(t, echo)
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	c, _, err := p.connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{
		"another version":     "\x02\x01\x00\x50",
		"an unknown protocol": "\x01\x00\x00\x50",
		"one too many":        "\x01\x04\x00\x50",
		"port nought":         "\x01\x01\x00\x00",
	}
	for name, text := range bad {
		qs, err := c.quic.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		qs.SetDeadline(time.Now().Add(patience))
		qs.Write([]byte(text))
		_, err = qs.Read(make([]byte, 1))
		if broken, ok := errors.AsType[*quicgo.StreamError](err); !ok || broken.ErrorCode != codePreface {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.leave(c, false)
}

func TestAPanicCutsItsStreamOffAndNoOther(t *testing.T) {
	w := serve(t, func(s *Stream, state Handshake) {
		first := make([]byte, 1)
		io.ReadFull(s, first)
		if first[0] == '!' {
			panic("as a test wants it")
		}
		s.Write(first)
		echo(s, state)
	})
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	good, _ := open(t, p, 80)
	defer good.Close()
	bad, _ := open(t, p, 80)
	defer bad.Close()
	io.WriteString(bad, "!")
	if _, err := bad.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	io.WriteString(good, "a")
	if _, err := io.ReadFull(good, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestAConnectionThatDiedIsReplaced(t *testing.T) {
	w := serve(t, echo)
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	s, _ := open(t, p, 80)
	s.Close()
	p.client.CloseIf(func(tls.ConnectionState) bool { return false })
	again, h := open(t, p, 80)
	again.Close()
	if h.Took > 0 {
		t.Error("replaced although nothing was wrong")
	}
	p.client.CloseIf(func(state tls.ConnectionState) bool { return len(state.PeerCertificates) > 0 })
	if _, err := again.Read(make([]byte, 1)); err == nil {
		t.Error("a stream outlives its connection")
	}
	next, h := open(t, p, 80)
	next.Close()
	if h.Took == 0 {
		t.Error("not replaced")
	}
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	w := serve(t, echo)
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	s, _ := open(t, p, 80)
	conn := s.conn
	later := time.Now().Add(limits.Default().UpstreamIdleTimeout + time.Second)
	p.client.Sweep(later)
	if conn.Context().Err() != nil {
		t.Error("closed under its stream")
	}
	s.Close()
	p.client.Sweep(time.Now())
	if conn.Context().Err() != nil {
		t.Error("closed too early")
	}
	p.client.Sweep(later.Add(time.Minute))
	select {
	case <-conn.Context().Done():
	case <-time.After(patience):
		t.Error("not closed")
	}
}

// A connection near the end of a certificate gets no further stream and ends with its
// last one.
func TestAConnectionRetires(t *testing.T) {
	w := serve(t, echo)
	src := w.ca.Source(t, checkout)
	p := w.peer(t, src, payments)
	s, _ := open(t, p, 80)
	old := s.conn
	p.mu.Lock()
	p.conns[0].retireAt = time.Now().Add(-time.Second)
	p.mu.Unlock()
	next, h := open(t, p, 80)
	defer next.Close()
	if h.Took == 0 || next.conn == old {
		t.Error("a retired connection got a stream")
	}
	io.WriteString(s, "a")
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Errorf("a stream on the retired connection: %v", err)
	}
	s.Close()
	select {
	case <-old.Context().Done():
	case <-time.After(patience):
		t.Error("the retired connection outlives its last stream")
	}
}

func TestRetirement(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, c := range []struct{ theirs, ours, want time.Duration }{
		{time.Hour, 2 * time.Hour, 54 * time.Minute},
		{2 * time.Hour, time.Hour, 54 * time.Minute},
		{-time.Hour, time.Hour, -54 * time.Minute},
	} {
		if got := retirement(now, now.Add(c.theirs), now.Add(c.ours)); got.Sub(now) != c.want {
			t.Errorf("%v and %v: %v", c.theirs, c.ours, got.Sub(now))
		}
	}
}

// A rotation takes effect with the next connection and drops none.
func TestRotation(t *testing.T) {
	w := serve(t, echo)
	src := w.ca.Source(t, checkout)
	p := w.peer(t, src, payments)
	s, _ := open(t, p, 80)
	defer s.Close()
	src.Rotate(t, devca.IssueOptions{})
	io.WriteString(s, "a")
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestManyCallersShareOneDial(t *testing.T) {
	w := serve(t, echo)
	p := w.peer(t, w.ca.Source(t, checkout), payments)
	var wg sync.WaitGroup
	fresh := make(chan bool, 32)
	for range 32 {
		wg.Go(func() {
			s, h, err := p.Open(t.Context(), flow.TCP, 80)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			fresh <- h.Took > 0
			io.WriteString(s, "a")
			s.SetDeadline(time.Now().Add(patience))
			if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(fresh)
	n := 0
	for f := range fresh {
		if f {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestNobodyThere(t *testing.T) {
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close() // it is there and says nothing, as where UDP is dropped
	ca := identitytest.NewCA(t, "example.org")
	client := NewClient(limits.Default(), slog.New(slog.DiscardHandler))
	defer client.Close()
	expected, _ := mtls.NewExpected(identitytest.ID(t, payments))
	p := client.NewPeer(netip.MustParseAddrPort(udp.LocalAddr().String()), ca.Source(t, checkout), expected)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := p.Open(ctx, flow.TCP, 80); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	client.Close()
	if _, _, err := p.Open(t.Context(), flow.TCP, 80); err == nil {
		t.Error("a closed client dials")
	}
}

func TestTheWarningAboutBuffersIsGivenOnce(t *testing.T) {
	var log bytes.Buffer
	warn := &bufferWarning{log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 3 {
		udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		warn.check(udp) // as it is by default, far below what is wanted
		udp.Close()
	}
	if n := strings.Count(log.String(), "rmem_max"); n != 1 {
		t.Errorf("warned %d times: %s", n, log.String())
	}
}

// FuzzPreface: what is read is what was written, and nothing else is read.
func FuzzPreface(f *testing.F) {
	f.Add([]byte{1, 1, 0, 80})
	f.Add([]byte{1, 4, 0, 80})
	f.Add([]byte{2, 1, 0, 80, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		protocol, port, err := readPreface(r)
		if err != nil {
			return
		}
		again := newPreface(protocol, port)
		if !bytes.Equal(again[:], b[:prefaceSize]) || r.Len() != len(b)-prefaceSize {
			t.Errorf("%x is read as %v to %d, which is written as %x", b, protocol, port, again)
		}
	})
}

// A connection that is there is of no use to an end whose own SVID has expired.
func TestAnExpiredSVIDOpensNoStream(t *testing.T) {
	w := serve(t, func(s *Stream, _ Handshake) {
		defer s.Close()
		io.Copy(s, s)
	})
	src := w.ca.Source(t, checkout)
	p := w.peer(t, src, payments)
	s, _ := open(t, p, 80)
	defer s.Close()
	src.Rotate(t, devca.IssueOptions{NotAfter: time.Now().Add(-time.Second)})
	if _, _, err := p.Open(t.Context(), flow.TCP, 80); !errors.Is(err, mtls.ErrSVIDExpired) {
		t.Errorf("opening a stream: %v, want %v", err, mtls.ErrSVIDExpired)
	}
}
