package load

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/loadtest/hist"
	"github.com/outrider-mesh/outrider/loadtest/pace"
	"github.com/outrider-mesh/outrider/loadtest/target"
)

func TestAnErrorIsKeptInBrief(t *testing.T) {
	r := newResult(time.Second)
	long := errors.New(strings.Repeat("ü", 1<<20))
	r.fail(&r.Series[0], long)
	r.failOutside(long)
	for _, text := range []string{r.First, r.FirstOutside} {
		if len(text) > maxExcerpt+len("…") || !utf8.ValidString(text) || !strings.HasSuffix(text, "ü…") {
			t.Errorf("%d bytes kept: %.20q", len(text), text)
		}
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubbleClock is the clock of a synctest bubble, in which only the runtime's
// timers exist.
type bubbleClock struct{ systemClock }

func (bubbleClock) Waiter() waiter { return timerWaiter{} }

// server answers every request after a time that a test says.
type server struct {
	takes func(since time.Duration) time.Duration
	began time.Time
	fails error
	// failsAt tells when; nil: always.
	failsAt func(since time.Duration) bool
	calls   atomic.Int64
	opened  int
}

func (s *server) Open(context.Context) (target.Caller, error) {
	s.opened++
	return s, nil
}

func (s *server) Call(ctx context.Context) (target.Answer, error) {
	s.calls.Add(1)
	err := s.fails
	if s.failsAt != nil && !s.failsAt(time.Since(s.began)) {
		err = nil
	}
	if d := s.takes(time.Since(s.began)); d > 0 {
		(timerWaiter{}).Wait(ctx, time.Now().Add(d))
	}
	return target.Answer{Status: 200, Bytes: 100}, err
}

func (s *server) Close() error { return nil }

// runOn runs a block against the server in fake time.
func runOn(t *testing.T, s *server, callers int, b Block) *Result {
	t.Helper()
	session, err := Open(t.Context(), s, callers)
	if err != nil {
		t.Fatal(err)
	}
	session.clock = bubbleClock{}
	s.began = time.Now()
	r, err := session.Run(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
	return r
}

// near tells whether a latency is what it should be, as true as a histogram is.
func near(got, want time.Duration) bool {
	return (got - want).Abs() <= max(want/500, 2*time.Microsecond)
}

// A server that stands still for two seconds makes everybody wait who calls in
// them: at 100 requests per second those are 200 of the 1,000, whose waits are
// spread evenly over the stall. A generator that counted from the sending would
// see one slow request.
func TestAStallIsSeenAtItsFullLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stall = 2 * time.Second
		s := &server{takes: func(since time.Duration) time.Duration {
			if since >= 5*time.Second && since < 5*time.Second+time.Millisecond {
				return stall
			}
			return time.Millisecond
		}}
		r := runOn(t, s, 1, Block{Arrivals: pace.Even(pace.Constant(100)), Measure: 10 * time.Second})
		if r.Succeeded() != 1000 || r.Due != 1000 || r.Unsent != 0 || r.Failed() != 0 {
			t.Errorf("%d succeeded, %d due, %d unsent, %d failed", r.Succeeded(), r.Due, r.Unsent, r.Failed())
		}
		// The one that met the stall took all of it. The n-th behind it was due
		// 10n ms later and took 1 ms when its turn came, n ms after the stall's
		// end: stall - 10n + n ms.
		for _, c := range []struct {
			q    float64
			want time.Duration
		}{
			{1, stall},
			{0.99, stall - 9*10*time.Millisecond},
			{0.9, stall - 9*100*time.Millisecond},
			{0.5, time.Millisecond},
		} {
			if got := r.Latency.Quantile(c.q); (got - c.want).Abs() > 10*time.Millisecond {
				t.Errorf("quantile %g is %s, want %s", c.q, got, c.want)
			}
		}
		if got := r.Service.Quantile(0.99); !near(got, time.Millisecond) {
			t.Errorf("quantile 0.99 from the sending is %s", got)
		}
		if got := r.Late.Max(); got > time.Microsecond {
			t.Errorf("the generator was late by %s in a world without other work", got)
		}
		if r.Queued < 200 || r.Queued > 230 {
			t.Errorf("%d requests found no free caller, want those of the stall and of catching up", r.Queued)
		}
		if got := r.Series[5].Latency.Max(); !near(got, stall) {
			t.Errorf("the sixth second's longest is %s", got)
		}
		if got := r.Series[2].Latency.Max(); !near(got, time.Millisecond) {
			t.Errorf("the third second's longest is %s", got)
		}
	})
}

func TestManyCallersDoNotHideAStallEither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{takes: func(since time.Duration) time.Duration {
			if since >= 3*time.Second && since < 4*time.Second {
				return 4*time.Second - since // nobody is answered before the end of the stall
			}
			return time.Millisecond
		}}
		r := runOn(t, s, 8, Block{Arrivals: pace.Even(pace.Constant(100)), Measure: 10 * time.Second})
		if got := r.Latency.Max(); !near(got, time.Second) {
			t.Errorf("the longest is %s", got)
		}
		// 100 requests were due in the stall, one each 10 ms: 1 % of all waited
		// 910 ms or longer.
		if got := r.Latency.Quantile(0.99); (got - 910*time.Millisecond).Abs() > 15*time.Millisecond {
			t.Errorf("quantile 0.99 is %s", got)
		}
	})
}

func TestALoadThatIsTooMuchIsSaidToBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{takes: func(time.Duration) time.Duration { return 50 * time.Millisecond }}
		r := runOn(t, s, 2, Block{Arrivals: pace.Even(pace.Constant(100)), Measure: 5 * time.Second})
		if r.Due != 500 {
			t.Errorf("%d due, want 500", r.Due)
		}
		// Two callers at 50 ms each manage 40 per second.
		if r.Succeeded() < 195 || r.Succeeded() > 205 || r.Succeeded()+r.Unsent != 500 {
			t.Errorf("%d succeeded, %d unsent", r.Succeeded(), r.Unsent)
		}
		if r.Queued < 190 {
			t.Errorf("%d found no free caller", r.Queued)
		}
	})
}

func TestWarmupIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slowFirst := func(since time.Duration) time.Duration {
			if since < time.Second {
				return 300 * time.Millisecond
			}
			return time.Millisecond
		}
		open := &server{takes: slowFirst}
		r := runOn(t, open, 50, Block{
			Arrivals: pace.Even(pace.Constant(100)), Warmup: 2 * time.Second, Measure: 3 * time.Second,
		})
		if r.Succeeded() != 300 || !near(r.Latency.Max(), time.Millisecond) || len(r.Series) != 3 {
			t.Errorf("open: %d succeeded, longest %s, %d seconds", r.Succeeded(), r.Latency.Max(), len(r.Series))
		}
		if open.calls.Load() != 500 {
			t.Errorf("open: %d calls, want those of the warm-up too", open.calls.Load())
		}
		r = runOn(t, &server{takes: slowFirst}, 1, Block{Warmup: 2 * time.Second, Measure: 3 * time.Second})
		if r.Succeeded() < 2990 || r.Succeeded() > 3001 || !near(r.Latency.Max(), time.Millisecond) {
			t.Errorf("closed: %d succeeded, longest %s", r.Succeeded(), r.Latency.Max())
		}
	})
}

func TestAClosedLoopGoesAsFastAsItIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{takes: func(time.Duration) time.Duration { return 10 * time.Millisecond }}
		r := runOn(t, s, 4, Block{Measure: 2 * time.Second})
		// The last of each caller ends exactly with the time.
		if r.Succeeded() < 4*199 || r.Succeeded() > 4*200 || r.Unsent != 0 || r.Bytes != 100*r.Succeeded() {
			t.Errorf("%d succeeded, %d unsent, %d bytes", r.Succeeded(), r.Unsent, r.Bytes)
		}
	})
}

func TestFailuresAreCountedByKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			err  error
			kind target.Kind
		}{
			{&target.Failure{Kind: target.Status, Err: errors.New("status 503")}, target.Status},
			{&target.Failure{Kind: target.Timeout, Err: errors.New("late")}, target.Timeout},
			{errors.New("not sorted"), target.Malformed},
		} {
			s := &server{takes: func(time.Duration) time.Duration { return time.Millisecond }, fails: c.err}
			r := runOn(t, s, 1, Block{Arrivals: pace.Even(pace.Constant(10)), Measure: 2 * time.Second})
			if r.Failures[c.kind] != 20 || r.Failed() != 20 || r.Succeeded() != 0 || r.First != c.err.Error() {
				t.Errorf("%v: %v, %q", c.err, r.Failures, r.First)
			}
			if r.Series[0].Failed+r.Series[1].Failed != 20 {
				t.Errorf("%v: the series counts %d and %d", c.err, r.Series[0].Failed, r.Series[1].Failed)
			}
		}
	})
}

func TestFailuresOfTheWarmupAreSaidButNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{takes: func(time.Duration) time.Duration { return time.Millisecond }}
		s.failsAt = func(since time.Duration) bool { return since < time.Second }
		s.fails = &target.Failure{Kind: target.Status, Err: errors.New("status 503")}
		r := runOn(t, s, 1, Block{Arrivals: pace.Even(pace.Constant(10)), Warmup: 2 * time.Second, Measure: 2 * time.Second})
		if r.Outside != 10 || r.FirstOutside != "status: status 503" || r.Failed() != 0 || r.First != "" || r.Succeeded() != 20 {
			t.Errorf("%d outside (%q), %d failed (%q), %d succeeded", r.Outside, r.FirstOutside, r.Failed(), r.First, r.Succeeded())
		}
	})
}

func TestATargetThatIsGoneIsNotCalledWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{
			takes: func(time.Duration) time.Duration { return 0 },
			fails: &target.Failure{Kind: target.Connect, Err: errors.New("refused")},
		}
		runOn(t, s, 1, Block{Measure: time.Second})
		if got := s.calls.Load(); got > 101 {
			t.Errorf("%d calls in a second", got)
		}
	})
}

func TestAnInterruptedBlockIsNoResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{takes: func(time.Duration) time.Duration { return time.Hour }}
		session, err := Open(t.Context(), s, 3)
		if err != nil {
			t.Fatal(err)
		}
		session.clock = bubbleClock{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, arrivals := range []*pace.Arrivals{nil, pace.Even(pace.Constant(1))} {
			r, err := session.Run(ctx, Block{Arrivals: arrivals, Measure: time.Hour})
			if r != nil || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, %v", r, err)
			}
		}
	})
}

func TestProgressIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{takes: func(time.Duration) time.Duration { return time.Millisecond }}
		var counts []int64
		runOn(t, s, 1, Block{
			Arrivals: pace.Even(pace.Constant(100)), Measure: 2 * time.Second,
			Progress: func(r *Result) { counts = append(counts, r.Succeeded()) },
		})
		if len(counts) != 7 || counts[0] < 20 || counts[6] < 170 || counts[6] >= 200 {
			t.Errorf("counts seen: %v", counts)
		}
	})
}

func TestCallersThatCannotBeOpenedLeaveNone(t *testing.T) {
	_, err := Open(t.Context(), openerFunc(func() (target.Caller, error) { return nil, errors.New("refused") }), 3)
	if err == nil {
		t.Error("no error")
	}
}

type openerFunc func() (target.Caller, error)

func (f openerFunc) Open(context.Context) (target.Caller, error) { return f() }

// The system's waiter returns no earlier than asked, and at once when its context
// ends.
func TestTheWaiterWaits(t *testing.T) {
	w := newWaiter()
	defer w.Close()
	late := hist.New()
	for range 20 {
		until := time.Now().Add(2 * time.Millisecond)
		if !w.Wait(t.Context(), until) {
			t.Fatal("did not wait")
		}
		if early := time.Until(until); early > 0 {
			t.Errorf("returned %s early", early)
		}
		late.Record(time.Since(until))
	}
	t.Logf("late by %s, at most %s", late.Quantile(0.5), late.Max())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w.Wait(ctx, time.Now().Add(time.Hour)) {
		t.Error("waited although its context has ended")
	}
}
