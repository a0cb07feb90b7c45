package accept_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/proxy/accept"
)

// loop is a Loop on a real socket and what came of it.
type loop struct {
	*accept.Loop
	refused, panicked atomic.Int32
	log               bytes.Buffer // read once the loop has ended

	stop context.CancelFunc
	err  chan error
}

// listen opens a socket that is closed when the test ends.
func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.(*net.TCPListener)
}

func newLoop(ln accept.Listener, limit int, serve func(net.Conn)) *loop {
	l := &loop{err: make(chan error, 1)}
	l.Loop = &accept.Loop{
		Listener: ln, Gate: accept.NewGate(limit), Serve: serve,
		Refuse:   func(net.Conn) { l.refused.Add(1) },
		Panicked: func() { l.panicked.Add(1) },
		Log:      slog.New(slog.NewTextHandler(&l.log, nil)),
	}
	return l
}

// run starts the loop; it is ended and waited for when the test ends.
func (l *loop) run(t *testing.T) *loop {
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.err <- l.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return l
}

// end stops the loop and returns what Run did.
func (l *loop) end() error {
	l.stop()
	return <-l.err
}

func dial(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

// call sends a byte and returns the answer, empty if the connection ended.
func call(t *testing.T, nc net.Conn) string {
	t.Helper()
	_, _ = nc.Write([]byte("?")) // a connection that was refused says so when read
	var b [1]byte
	n, _ := nc.Read(b[:])
	return string(b[:n])
}

// answer says "!" to every byte until the client closes.
func answer(nc net.Conn) {
	defer nc.Close()
	var b [1]byte
	for {
		if _, err := nc.Read(b[:]); err != nil {
			return
		}
		if _, err := nc.Write([]byte("!")); err != nil {
			return
		}
	}
}

func TestConnectionsAreServedAtTheSameTime(t *testing.T) {
	ln := listen(t)
	l := newLoop(ln, 10, answer).run(t)
	for range 3 {
		if got := call(t, dial(t, ln)); got != "!" { // those before stay open
			t.Errorf("answer %q", got)
		}
	}
	if l.refused.Load() != 0 {
		t.Errorf("%d were refused", l.refused.Load())
	}
}

func TestConnectionsOverTheLimitAreRefused(t *testing.T) {
	ln := listen(t)
	l := newLoop(ln, 2, answer).run(t)
	one, two := dial(t, ln), dial(t, ln)
	if call(t, one)+call(t, two) != "!!" {
		t.Fatal("the first two were not served")
	}
	if got := call(t, dial(t, ln)); got != "" {
		t.Errorf("the third was answered %q", got)
	}
	if l.refused.Load() != 1 {
		t.Errorf("%d were refused, want 1", l.refused.Load())
	}

	l.Gate.SetLimit(3)
	if got := call(t, dial(t, ln)); got != "!" {
		t.Errorf("with a higher limit, the third was answered %q", got)
	}
	l.Gate.SetLimit(0)
	if got := call(t, one); got != "!" {
		t.Errorf("with a lower limit, an open connection was answered %q", got)
	}
}

func TestAPlaceIsFreeAgainAfterAConnection(t *testing.T) {
	ln := listen(t)
	served := make(chan struct{})
	l := newLoop(ln, 1, func(nc net.Conn) {
		answer(nc)
		served <- struct{}{}
	})
	l.run(t)
	for range 5 {
		nc := dial(t, ln)
		for call(t, nc) != "!" { // the place may be given back a moment after served
			_ = nc.Close()
			nc = dial(t, ln)
		}
		_ = nc.Close()
		<-served
	}
}

func TestOneGateForSeveralListeners(t *testing.T) {
	a, b := listen(t), listen(t)
	la, lb := newLoop(a, 1, answer), newLoop(b, 1, answer)
	lb.Gate = la.Gate
	la.run(t)
	lb.run(t)
	if call(t, dial(t, a)) != "!" {
		t.Fatal("the first was not served")
	}
	if got := call(t, dial(t, b)); got != "" {
		t.Errorf("over the limit of both, the answer was %q", got)
	}
	if lb.refused.Load() != 1 {
		t.Errorf("%d were refused", lb.refused.Load())
	}
}

func TestAPanicEndsItsConnectionOnly(t *testing.T) {
	ln := listen(t)
	l := newLoop(ln, 1, func(nc net.Conn) {
		var b [1]byte
		_, _ = nc.Read(b[:])
		panic("out of order: " + string(b[:]))
	}).run(t)
	nc := dial(t, ln)
	if got := call(t, nc); got != "" {
		t.Errorf("answer %q", got)
	}
	if err := l.end(); err != nil {
		t.Error(err)
	}
	l.Wait()
	if l.panicked.Load() != 1 {
		t.Errorf("%d panics were counted", l.panicked.Load())
	}
	for _, want := range []string{"out of order: ?", "accept_test.go", nc.LocalAddr().String()} {
		if !strings.Contains(l.log.String(), want) {
			t.Errorf("%q is not in the log: %s", want, l.log.String())
		}
	}
	// Its place in the gate is free again: one loop serves after it.
	after := newLoop(ln, 0, answer)
	after.Gate = l.Gate
	after.run(t)
	if got := call(t, dial(t, ln)); got != "!" {
		t.Errorf("after a panic, the answer was %q", got)
	}
}

func TestRunEndsWithItsContextAndLeavesConnectionsOpen(t *testing.T) {
	ln := listen(t)
	l := newLoop(ln, 10, answer).run(t)
	nc := dial(t, ln)
	call(t, nc)
	if err := l.end(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if got := call(t, nc); got != "!" {
		t.Errorf("an open connection was answered %q", got)
	}
	waited := make(chan struct{})
	go func() {
		l.Wait()
		close(waited)
	}()
	select {
	case <-waited:
		t.Error("Wait returned with a connection open")
	default:
	}
	_ = nc.Close()
	<-waited
}

func TestRunWithAnEndedContext(t *testing.T) {
	l := newLoop(listen(t), 10, answer)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A reload gives the socket to another loop; whoever connects in between waits
// in the backlog.
func TestASocketIsHandedOver(t *testing.T) {
	ln := listen(t)
	for i := range 20 {
		l := newLoop(ln, 10, answer)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		nc := dial(t, ln) // while nobody accepts
		go func() { done <- l.Run(ctx) }()
		if got := call(t, nc); got != "!" {
			t.Fatalf("loop %d answered %q", i, got)
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		_ = nc.Close()
		l.Wait()
	}
}

func TestAClosedListenerIsAnError(t *testing.T) {
	ln := listen(t)
	l := newLoop(ln, 10, answer).run(t)
	call(t, dial(t, ln))
	_ = ln.Close()
	if err := <-l.err; !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("Run: %v", err)
	}
	if err := l.Run(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run on a closed listener: %v", err)
	}
}

// script is a listener whose Accept fails as told, and then waits.
type script struct {
	mu    sync.Mutex
	fails int
	at    []time.Time
	woken chan struct{}
	once  sync.Once
}

func (s *script) Accept() (net.Conn, error) {
	s.mu.Lock()
	s.at = append(s.at, time.Now())
	fail := len(s.at) <= s.fails
	s.mu.Unlock()
	if fail {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	<-s.woken
	return nil, io.ErrNoProgress
}

func (s *script) Close() error   { return nil }
func (s *script) Addr() net.Addr { return &net.TCPAddr{} }
func (s *script) SetDeadline(t time.Time) error {
	if !t.IsZero() {
		s.once.Do(func() { close(s.woken) })
	}
	return nil
}

func TestFailedAcceptsAreTriedAgainLaterAndLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{fails: 12, woken: make(chan struct{})}
		l := newLoop(s, 10, answer)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		time.Sleep(time.Minute) //nolint:forbidigo // fake time
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if len(s.at) != s.fails+1 {
			t.Fatalf("%d attempts", len(s.at))
		}
		want := 5 * time.Millisecond
		for i := range s.fails {
			if pause := s.at[i+1].Sub(s.at[i]); pause != want { // fake time
				t.Errorf("pause %d was %v, want %v", i, pause, want)
			}
			want = min(2*want, time.Second)
		}
		if n := strings.Count(l.log.String(), "too many open files"); n != s.fails {
			t.Errorf("%d failures in the log", n)
		}
	})
}

// A loop that waits to try again ends with its context as well.
func TestRunEndsDuringABackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{fails: 1 << 30, woken: make(chan struct{})}
		l := newLoop(s, 10, answer)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		time.Sleep(10 * time.Second) //nolint:forbidigo // fake time
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestTheLimitHoldsUnderLoad(t *testing.T) {
	ln := listen(t)
	const limit = 5
	var open, most atomic.Int32
	l := newLoop(ln, limit, func(nc net.Conn) {
		if n := open.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer open.Add(-1)
		answer(nc)
	}).run(t)
	var wg sync.WaitGroup
	var answered atomic.Int32
	for range 16 {
		wg.Go(func() {
			for range 10 {
				nc, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					continue
				}
				if _, err := nc.Write([]byte("?")); err == nil {
					var b [1]byte
					if n, _ := nc.Read(b[:]); n == 1 {
						answered.Add(1)
					}
				}
				_ = nc.Close()
			}
		})
	}
	wg.Wait()
	if err := l.end(); err != nil {
		t.Error(err)
	}
	l.Wait()
	if most.Load() > limit || answered.Load() == 0 {
		t.Errorf("%d at a time with a limit of %d; %d of 160 answered", most.Load(), limit, answered.Load())
	}
	if answered.Load()+l.refused.Load() > 160 {
		t.Errorf("%d answered and %d refused of 160", answered.Load(), l.refused.Load())
	}
}
