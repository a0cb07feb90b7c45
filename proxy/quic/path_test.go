package quic

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	quicgo "github.com/quic-go/quic-go"
)

// a way is one of two, which takes its time and then yields a connection or an error.
type way struct {
	net.Conn
	name   string
	takes  time.Duration
	err    error
	dialed atomic.Int32
	closed int
}

func (w *way) dial(ctx context.Context) (*way, error) {
	w.dialed.Add(1)
	select {
	case <-time.After(w.takes):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if w.err != nil {
		return nil, w.err
	}
	return w, nil
}

func (w *way) Close() error {
	w.closed++
	return nil
}

// race dials and returns who won and how long it took.
func race(t *testing.T, p *Path, quic, tcp *way) (string, time.Duration) {
	t.Helper()
	start := time.Now()
	c, err := Dial(t.Context(), p, quic.dial, tcp.dial)
	if err != nil {
		return err.Error(), time.Since(start)
	}
	return c.name, time.Since(start)
}

func TestQUICAgainstTCP(t *testing.T) {
	const ms = time.Millisecond
	refused := errors.New("refused")
	cases := []struct {
		name      string
		quic, tcp *way
		winner    string
		took      time.Duration
		fellBack  []Fallback
	}{
		{"QUIC is quick", &way{takes: 20 * ms}, &way{takes: 5 * ms}, "quic", 20 * ms, nil},
		{"QUIC is slow", &way{takes: 200 * ms}, &way{takes: 5 * ms}, "tcp", 55 * ms, []Fallback{FellBackTimeout}},
		{"QUIC fails at once", &way{takes: ms, err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}, &way{takes: 5 * ms}, "tcp", 6 * ms, []Fallback{FellBackRefused}},
		{"nobody answers QUIC", &way{takes: time.Hour}, &way{takes: 5 * ms}, "tcp", 55 * ms, []Fallback{FellBackTimeout}},
		{"neither", &way{takes: ms, err: refused}, &way{takes: ms, err: errors.New("tcp too")}, "tcp too", 2 * ms, []Fallback{FellBackOther}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var fell []Fallback
				p := &Path{Running: new(sync.WaitGroup), FellBack: func(f Fallback) { fell = append(fell, f) }}
				c.quic.name, c.tcp.name = "quic", "tcp"
				winner, took := race(t, p, c.quic, c.tcp)
				if winner != c.winner || took != c.took {
					t.Errorf("%s after %v, want %s after %v", winner, took, c.winner, c.took)
				}
				if diff := cmp.Diff(c.fellBack, fell); diff != "" {
					t.Error(diff)
				}
				p.Running.Wait()
				if late := c.quic.dialed.Load() == 1 && c.winner == "tcp" && c.quic.err == nil && c.quic.takes < attemptTimeout; late != (c.quic.closed == 1) {
					t.Errorf("what came too late was closed %d times", c.quic.closed)
				}
			})
		})
	}
}

// Where UDP is dropped, one call waits for the head start; all others until the
// failure is forgotten wait for nothing.
func TestAFailureIsRememberedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fell := map[Fallback]int{}
		p := &Path{Running: new(sync.WaitGroup), FellBack: func(f Fallback) { fell[f]++ }}
		quic, tcp := &way{name: "quic", takes: time.Hour}, &way{name: "tcp"}
		if winner, took := race(t, p, quic, tcp); winner != "tcp" || took != headStart {
			t.Errorf("%s after %v", winner, took)
		}
		p.Running.Wait()
		for range 100 {
			if winner, took := race(t, p, quic, tcp); winner != "tcp" || took != 0 {
				t.Fatalf("%s after %v", winner, took)
			}
		}
		if int(quic.dialed.Load()) != 1 || fell[FellBackRemembered] != 100 {
			t.Errorf("QUIC was tried %d times; %v", quic.dialed.Load(), fell)
		}
		for i, forget := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			wait(forget*time.Minute - attemptTimeout)
			race(t, p, quic, tcp)
			if int(quic.dialed.Load()) != 1+i {
				t.Fatalf("tried again before %v minutes", forget)
			}
			wait(attemptTimeout)
			race(t, p, quic, tcp)
			race(t, p, quic, tcp) // takes TCP while the attempt is under way
			if int(quic.dialed.Load()) != 2+i {
				t.Fatalf("tried %d times after %v minutes, want %d", quic.dialed.Load(), forget, 2+i)
			}
			p.Running.Wait()
		}
		quic.takes = 0
		wait(time.Hour)
		if winner, _ := race(t, p, quic, tcp); winner != "quic" {
			t.Errorf("%s although QUIC works again", winner)
		}
		if winner, _ := race(t, p, quic, tcp); winner != "quic" {
			t.Errorf("%s although QUIC worked", winner)
		}
	})
}

// While an attempt is under way that takes longer than anybody waits, as at the
// beginning of an outage, others lose no time.
func TestOthersDontWaitForAnAttemptThatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Path{Running: new(sync.WaitGroup)}
		quic, tcp := &way{name: "quic", takes: time.Second}, &way{name: "tcp"}
		if winner, took := race(t, p, quic, tcp); winner != "tcp" || took != headStart {
			t.Errorf("%s after %v", winner, took)
		}
		for range 10 {
			if winner, took := race(t, p, quic, tcp); winner != "tcp" || took != 0 {
				t.Errorf("%s after %v", winner, took)
			}
		}
		p.Running.Wait() // it came through after all
		quic.takes = time.Millisecond
		if winner, _ := race(t, p, quic, tcp); winner != "quic" || quic.dialed.Load() != 2 {
			t.Errorf("%s, QUIC was tried %d times", winner, quic.dialed.Load())
		}
	})
}

// wait lets fake time pass.
func wait(d time.Duration) { <-time.After(d) }

func TestACallThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Path{Running: new(sync.WaitGroup)}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		quic, tcp := &way{takes: time.Second}, &way{}
		if _, err := Dial(ctx, p, quic.dial, tcp.dial); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		p.Running.Wait()
		if quic.closed != 1 || tcp.dialed.Load() != 0 {
			t.Errorf("closed %d times, TCP dialed %d times", quic.closed, tcp.dialed.Load())
		}
	})
}

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Fallback
	}{
		{&quicgo.IdleTimeoutError{}, FellBackTimeout},
		{&quicgo.HandshakeTimeoutError{}, FellBackTimeout},
		{fmt.Errorf("dial: %w", context.DeadlineExceeded), FellBackTimeout},
		{&net.OpError{Op: "read", Err: syscall.ECONNREFUSED}, FellBackRefused},
		{&quicgo.TransportError{ErrorCode: 0x12a}, FellBackHandshake},
		{&quicgo.VersionNegotiationError{}, FellBackHandshake},
		{&tls.CertificateVerificationError{Err: errors.New("x")}, FellBackHandshake},
		{&quicgo.TransportError{ErrorCode: quicgo.InternalError}, FellBackOther},
		{errors.New("something"), FellBackOther},
	} {
		if got := Reason(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
	seen := map[string]bool{}
	for _, f := range Fallbacks() {
		seen[f.String()] = true
	}
	if len(seen) != 5 {
		t.Errorf("%v", seen)
	}
}
