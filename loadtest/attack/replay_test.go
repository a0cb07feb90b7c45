package attack

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/loadtest/attack/wire"
	"github.com/outrider-mesh/outrider/loadtest/pace"
	"github.com/outrider-mesh/outrider/loadtest/target"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// many are samples whose targets are their numbers.
func many(n int) *corpus.Corpus {
	c := new(corpus.Corpus)
	for i := range n {
		c.Samples = append(c.Samples, corpus.Sample{ID: strconv.Itoa(i), Label: corpus.Benign, Method: "GET", Target: "/" + strconv.Itoa(i)})
	}
	return c
}

// network is where senders send to. It answers as a test says.
type network struct {
	takes time.Duration
	fails error
	// every is how often it fails: each time for 0, else every so many times.
	every int

	mu             sync.Mutex
	sent           []string // request lines
	times          []time.Duration
	traces         []string
	began          time.Time
	opened, closed int
	now, most      int // requests under way
}

func (n *network) open() sender {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opened++
	return n
}

func (n *network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed++
	return nil
}

func (n *network) Send(ctx context.Context, m wire.Message) (wire.Answer, error) {
	n.mu.Lock()
	line, rest, _ := strings.Cut(string(m.Bytes), "\r\n")
	n.sent, n.times = append(n.sent, line), append(n.times, time.Since(n.began))
	if _, trace, ok := strings.Cut(rest, "traceparent: "); ok {
		n.traces = append(n.traces, strings.TrimSpace(trace))
	}
	n.now++
	n.most = max(n.most, n.now)
	n.mu.Unlock()
	if n.takes > 0 && !wait(ctx, time.Now().Add(n.takes)) {
		return wire.Answer{}, &target.Failure{Kind: target.Canceled, Err: ctx.Err()}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now--
	if n.every > 0 && len(n.sent)%n.every > 0 {
		return wire.Answer{Status: 200, Took: n.takes}, nil
	}
	return wire.Answer{Status: 200, Took: n.takes}, n.fails
}

// replaying runs a replay of n samples over a network.
func replaying(t *testing.T, n *network, opts *Options) (*replay, error) {
	t.Helper()
	n.began = time.Now()
	r := newReplay(opts, n.open)
	return r, r.run(t.Context())
}

func TestEverySampleIsSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{takes: 10 * time.Millisecond}
		var seen []Progress
		r, err := replaying(t, n, &Options{
			Corpus: many(250), Connections: 4, Host: "h", AccessLog: strings.NewReader(""),
			Progress: func(p Progress) { seen = append(seen, p) },
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(n.sent)
		if len(slices.Compact(n.sent)) != 250 || n.most != 4 || n.opened != 4 || n.closed != 4 {
			t.Errorf("%d sent, %d at once, %d opened, %d closed", len(n.sent), n.most, n.opened, n.closed)
		}
		traces := map[string]bool{}
		for i := range r.exchanges {
			traces[r.exchanges[i].key().Trace] = true
		}
		if len(traces) != 250 || traces[""] || len(n.traces) != 250 {
			t.Errorf("%d trace ids, %d sent", len(traces), len(n.traces))
		}
		if trace := n.traces[0]; len(trace) != 55 || !traces[trace[3:35]] || trace[:3] != "00-" {
			t.Errorf("trace %q", trace)
		}
		// 63 rounds of 10 ms, a look every 250 ms, and the end.
		want := []Progress{{100, 250, 0}, {200, 250, 0}, {250, 250, 0}}
		if len(seen) != 3 || (seen[0].Done+3)/4 < 24 || seen[2] != want[2] {
			t.Errorf("progress %+v, want about %+v", seen, want)
		}
	})
}

func TestWithoutALogNoTraceIsSent(t *testing.T) {
	n := &network{}
	r, err := replaying(t, n, &Options{Corpus: many(3), Connections: 9})
	if err != nil || len(n.traces) != 0 || r.exchanges[0].trace != "" || n.opened != 3 {
		t.Errorf("%v, %q, %d opened", err, n.traces, n.opened)
	}
}

func TestTheRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		if _, err := replaying(t, n, &Options{Corpus: many(11), Connections: 3, Rate: pace.Constant(10)}); err != nil {
			t.Fatal(err)
		}
		for i, at := range n.times {
			if want := time.Duration(i) * 100 * time.Millisecond; at != want {
				t.Errorf("sample %d was sent after %s, want %s", i, at, want)
			}
		}
	})
}

func TestATargetThatIsGoneEndsTheReplay(t *testing.T) {
	gone := &network{fails: &target.Failure{Kind: target.Connect, Err: errors.New("refused")}}
	r, err := replaying(t, gone, &Options{Corpus: many(100), Connections: 1})
	if err != nil || len(gone.sent) != giveUpAfter {
		t.Errorf("%d tried, %v", len(gone.sent), err)
	}
	if first, last := r.exchanges[0].err, r.exchanges[99].err; errors.Is(first, errGaveUp) || !errors.Is(last, errGaveUp) {
		t.Errorf("%v, %v", first, last)
	}
	if r.failed.Load() != 100 || r.done.Load() != 100 {
		t.Errorf("%d failed, %d done", r.failed.Load(), r.done.Load())
	}
	flaky := &network{fails: gone.fails, every: 2}
	if _, err := replaying(t, flaky, &Options{Corpus: many(100), Connections: 1}); err != nil || len(flaky.sent) != 100 {
		t.Errorf("%d tried of a target that fails now and then, %v", len(flaky.sent), err)
	}
	dropping := &network{fails: &target.Failure{Kind: target.Closed, Err: errors.New("reset")}}
	if _, err := replaying(t, dropping, &Options{Corpus: many(100), Connections: 1}); err != nil || len(dropping.sent) != 100 {
		t.Errorf("%d tried of a target that is there, %v", len(dropping.sent), err)
	}
}

func TestAnInterruptedReplayIsNoResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, rate := range []pace.Shape{nil, pace.Constant(0.001)} {
			n := &network{takes: time.Hour}
			if err := newReplay(&Options{Corpus: many(9), Connections: 3, Rate: rate}, n.open).run(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			if n.opened != n.closed {
				t.Errorf("%d opened, %d closed", n.opened, n.closed)
			}
		}
	})
}
