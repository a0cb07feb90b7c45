package compare

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/loadtest/app"
	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/hist"
	"github.com/outrider-mesh/outrider/loadtest/load"
	"github.com/outrider-mesh/outrider/loadtest/pace"
	"github.com/outrider-mesh/outrider/loadtest/report"
	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// made are rounds of a target whose latency is made up: log-normal around a
// median that wobbles from round to round.
type made struct {
	name   string
	median time.Duration
	wobble float64
	rounds int
	failed int64
	late   time.Duration
	unsent int64
	cpu    time.Duration // per request
	silent bool          // no request succeeds in the first round
}

const perRound = 400

func (m made) measured(t *testing.T, seed uint64) *Measured {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	all := &Measured{Subject: Subject{Name: m.name, Target: somewhere(t)}, RSS: map[string]int64{}}
	if m.cpu > 0 {
		all.Subject.Watch = []watch.Group{{Name: "proxy"}}
		all.RSS["proxy"] = 10 << 20
	}
	for i := range m.rounds {
		r := &load.Result{
			Latency: hist.New(), Service: hist.New(), Late: hist.New(), Failures: map[target.Kind]int64{},
			Due: perRound, Unsent: m.unsent,
			Spent: watch.Spent{Groups: map[string]watch.CPU{"proxy": {Total: m.cpu * perRound}}},
		}
		around := float64(m.median) * (1 + m.wobble*rnd.NormFloat64())
		answers := perRound
		if m.silent && i == 0 {
			answers = 0
		}
		for range answers {
			d := time.Duration(around * (1 + 0.2*rnd.Float64()))
			r.Latency.Record(d)
			r.Service.Record(d)
			r.Late.Record(m.late)
		}
		if m.failed > 0 {
			r.Failures[target.Status], r.First = m.failed, "status: status 503"
		}
		all.Rounds = append(all.Rounds, r)
	}
	return all
}

func somewhere(t *testing.T) *target.Target {
	t.Helper()
	to, err := target.New(target.Options{URL: "http://127.0.0.1:1/"})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// Each verdict, on figures that are made up so that it must be this one.
func TestVerdicts(t *testing.T) {
	const ms = time.Millisecond
	base := made{name: "direct", median: ms, wobble: 0.01, rounds: 20}
	test := made{name: "mesh", median: ms + 300*time.Microsecond, wobble: 0.01, rounds: 20, cpu: 50 * time.Microsecond}
	with := func(m made, change func(*made)) made {
		change(&m)
		return m
	}
	noisy := func(m made) made { return with(m, func(m *made) { m.wobble = 0.15 }) }
	cases := []struct {
		name       string
		base, test made
		budget     string
		want       budget.Verdict
	}{
		{"300 µs are within 500", base, test, "p50=+500us", budget.Holds},
		{"300 µs are not within 100", base, test, "p50=+100us", budget.Exceeded},
		{"a budget that is about what is added", noisy(base), noisy(test), "p50=+480us", budget.Undecided},
		{"one of two is exceeded", base, test, "p50=+100us,p99=+5ms", budget.Exceeded},
		{"one of two is not decided", noisy(base), noisy(test), "p50=+350us,p99=+5ms", budget.Undecided},
		{"a noisy machine decides nothing", with(base, func(m *made) { m.wobble = 0.5 }), with(test, func(m *made) { m.wobble = 0.5 }), "p50=+500us", budget.Undecided},
		{"a noisy machine still sees a large excess", with(base, func(m *made) { m.wobble = 0.3 }), with(test, func(m *made) { m.wobble = 0.3; m.median = 20 * ms }), "p50=+500us", budget.Exceeded},
		{"few rounds decide nothing", with(base, func(m *made) { m.rounds = 5 }), with(test, func(m *made) { m.rounds = 5 }), "p50=+500us", budget.Undecided},
		{"an absolute budget holds", base, test, "p99=2ms", budget.Holds},
		{"an absolute budget is exceeded", base, test, "p99=1ms", budget.Exceeded},
		{"the same bound, absolute and added, differ", base, test, "p99=500us", budget.Exceeded},
		{"one failure of 8,000 without an allowance", base, with(test, func(m *made) { m.failed = 1 }), "p50=+500us", budget.Exceeded},
		{"failures within the allowance", base, with(test, func(m *made) { m.failed = 1 }), "p50=+500us,errors=1%", budget.Holds},
		{"a generator that is late itself", base, with(test, func(m *made) { m.late = 5 * ms }), "p50=+500us", budget.Undecided},
		{"the same at the base", with(base, func(m *made) { m.late = 5 * ms }), test, "p50=+500us", budget.Undecided},
		{"an excess that its being late does not explain", base, with(test, func(m *made) { m.late = 5 * ms; m.median = 20 * ms }), "p50=+500us", budget.Exceeded},
		{"one that it may explain", base, with(test, func(m *made) { m.late = 5 * ms; m.median = 6 * ms }), "p50=+500us", budget.Undecided},
		{"the same of the target itself", base, with(test, func(m *made) { m.late = 5 * ms; m.median = 6 * ms }), "p50=2ms", budget.Undecided},
		{"an excess although the base was late", with(base, func(m *made) { m.late = 5 * ms }), with(test, func(m *made) { m.median = 20 * ms }), "p50=+500us", budget.Exceeded},
		{"nothing was answered, and nothing had to be", base, with(test, func(m *made) { m.failed = perRound; m.silent = true }), "p50=+500us,errors=100%", budget.Undecided},
		{"an excess in spite of a round without an answer", base, with(test, func(m *made) { m.failed = perRound; m.silent = true; m.median = 20 * ms }), "p50=+500us,errors=100%", budget.Exceeded},
		{"the base did not answer, and all holds even so", with(base, func(m *made) { m.failed = perRound; m.silent = true }), test, "p50=+500us,errors=100%", budget.Holds},
		{"the base did not answer, which may explain an excess", with(base, func(m *made) { m.failed = perRound; m.silent = true }), test, "p50=+100us,errors=100%", budget.Undecided},
		{"requests that could not be sent", base, with(test, func(m *made) { m.unsent = 100 }), "p50=+500us", budget.Exceeded},
		{"requests that could not be sent to the base either", with(base, func(m *made) { m.unsent = 100 }), with(test, func(m *made) { m.unsent = 100 }), "p50=+500us", budget.Undecided},
		{"processor time within", base, test, "cpu=60us", budget.Holds},
		{"processor time beyond", base, test, "cpu=40us", budget.Exceeded},
		{"memory within", base, test, "rss=10MiB", budget.Holds},
		{"memory beyond", base, test, "rss=9MiB", budget.Exceeded},
		{"processor time of nobody", base, with(test, func(m *made) { m.cpu = 0 }), "cpu=40us", budget.Undecided},
	}
	if len(cases) < 30 {
		t.Fatalf("only %d cases", len(cases))
	}
	for i, c := range cases {
		b, err := budget.Parse(c.budget)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Scenario("made", Plan{
			Targets: []Subject{{Target: somewhere(t)}}, Callers: 1, Rounds: c.base.rounds, Block: time.Second, Seed: 1,
		}, []*Measured{c.base.measured(t, uint64(2*i)), c.test.measured(t, uint64(2*i+1))}, b)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Comparisons[0].Verdict; got != c.want {
			t.Errorf("%s: %s, want %s: %+v", c.name, got, c.want, s.Comparisons[0].Findings)
		}
		if doubtful := c.base.late+c.test.late > 0 || c.base.unsent+c.test.unsent > 0; doubtful != (len(s.Doubts) > 0) {
			t.Errorf("%s: doubts %q", c.name, s.Doubts)
		}
	}
}

// A target that is alone is judged by what bounds itself, and what would bound the
// difference to another cannot be decided.
func TestATargetByItselfIsJudged(t *testing.T) {
	alone := made{name: "target", median: time.Millisecond, wobble: 0.01, rounds: 20}
	failing := alone
	failing.failed = 1
	few := alone
	few.rounds = 5
	for _, c := range []struct {
		of     made
		budget string
		want   []budget.Verdict
	}{
		{alone, "", nil},
		{alone, "p50=2ms", []budget.Verdict{budget.Holds}},
		{alone, "p50=500us", []budget.Verdict{budget.Exceeded}},
		{alone, "p50=+2ms", []budget.Verdict{budget.Undecided}},
		{few, "p50=2ms", []budget.Verdict{budget.Undecided}},
		{alone, "errors=0%", []budget.Verdict{budget.Holds}},
		{failing, "errors=0%", []budget.Verdict{budget.Exceeded}},
	} {
		var b budget.Budget
		if c.budget != "" {
			var err error
			if b, err = budget.Parse(c.budget); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Scenario("made", Plan{Targets: []Subject{{Target: somewhere(t)}}, Rounds: 20, Block: time.Second}, []*Measured{c.of.measured(t, 1)}, b)
		if err != nil {
			t.Fatal(err)
		}
		var got []budget.Verdict
		for _, comparison := range s.Comparisons {
			got = append(got, comparison.Verdict)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d rounds, %q: %v, want %v", c.of.rounds, c.budget, got, c.want)
		}
	}
}

func TestATargetThatAnswersNothingIsDoubted(t *testing.T) {
	m := made{name: "mesh", rounds: 1, failed: perRound, silent: true}.measured(t, 1)
	s, err := Scenario("made", Plan{Targets: []Subject{{Target: somewhere(t)}}, Rounds: 1, Block: time.Second}, []*Measured{m}, budget.Budget{})
	if err != nil || len(s.Doubts) != 1 || !strings.HasSuffix(s.Doubts[0], "not one request succeeded, of those to mesh: there are no latencies") {
		t.Errorf("%q, %v", s.Doubts, err)
	}
}

// What several targets have in common is said once, with what is each one's.
func TestDoubtsOfSeveralTargetsAreSaidOnce(t *testing.T) {
	a := made{name: "a", median: time.Millisecond, rounds: 2, late: 5 * time.Millisecond, unsent: 3}
	b := made{name: "b", median: time.Millisecond, rounds: 2, late: 7 * time.Millisecond}
	bounds, err := budget.Parse("p50=1s,p99.9=1s")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Scenario("made", Plan{Targets: []Subject{{Target: somewhere(t)}}, Rounds: 2, Block: time.Second},
		[]*Measured{a.measured(t, 1), b.measured(t, 2)}, bounds)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"the generator itself sent 1 % of the requests too late, by at least 5ms for a, 7ms for b: the machine is busy with something else, or the rate is more than it can produce",
		"requests could not be sent within their block, 6 of 800 to a: the target is slower than the rate, or there are too few connections",
		"a round has 400 requests, so its p99.9 is its slowest one: make blocks longer or the rate higher",
	}
	if diff := cmp.Diff(want, s.Doubts); diff != "" {
		t.Error(diff)
	}
}

func TestAFindingSaysHowMuchIsAdded(t *testing.T) {
	base := made{name: "direct", median: time.Millisecond, wobble: 0.01, rounds: 20}
	test := made{name: "mesh", median: 1400 * time.Microsecond, wobble: 0.01, rounds: 20}
	s, err := Scenario("made", Plan{Targets: []Subject{{Target: somewhere(t)}}, Rounds: 20, Block: time.Second},
		[]*Measured{base.measured(t, 1), test.measured(t, 2)}, budget.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	c := s.Comparisons[0]
	if c.Base != "direct" || c.Test != "mesh" || c.Verdict != "" {
		t.Errorf("%+v", c)
	}
	found := map[string]report.Finding{}
	for _, f := range c.Findings {
		found[f.What] = f
	}
	for _, what := range []string{"p50", "p75", "p90", "p99", "p99.9"} {
		f := found[what]
		if f.Interval == nil || f.Added < 380 || f.Added > 520 || f.Interval.Low > f.Added || f.Interval.High < f.Added || f.Budget != nil {
			t.Errorf("%s: %+v", what, f)
		}
		if (f.Test-f.Base)-f.Added > 20 || f.Added-(f.Test-f.Base) > 20 {
			t.Errorf("%s: %g added, but %g and %g", what, f.Added, f.Base, f.Test)
		}
	}
	if t1 := s.Targets[1]; t1.Requests != 20*perRound || len(t1.Rounds) != 20 || t1.Rate != perRound || t1.Latency.Histogram == "" {
		t.Errorf("%+v", t1)
	}
}

// serving is a target that answers.
func serving(t *testing.T) *target.Target {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- app.New().Serve(ln) }()
	t.Cleanup(func() { ln.Close(); <-done })
	to, err := target.New(target.Options{URL: "http://" + ln.Addr().String() + "/10"})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// What is watched ends in the middle: the run says which it was, and ends too.
func TestAWatchedProcessThatEndsIsNamed(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end := func() error {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		return nil
	}
	defer end()
	pid := cmd.Process.Pid
	_, err = Run(t.Context(), Plan{
		Targets: []Subject{{Name: "mesh", Target: serving(t), Watch: []watch.Group{{Name: "sidecar", PIDs: []int{pid}}}, Between: end}},
		Callers: 1, Rounds: 3, Block: 10 * time.Millisecond,
	})
	if says := fmt.Sprintf(`mesh: watch "sidecar": there is no process %d`, pid); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%v, want %q in it", err, says)
	}
}

func TestTargetsTakeTurnsInShuffledOrder(t *testing.T) {
	var order []string
	between := map[string]int{}
	subject := func(name string) Subject {
		return Subject{Name: name, Target: serving(t), Between: func() error { between[name]++; return nil }}
	}
	p := Plan{
		Targets: []Subject{subject("a"), subject("b"), subject("c")}, Rate: pace.Constant(200), Callers: 2,
		Rounds: 8, Block: 20 * time.Millisecond, Seed: 3,
		Progress: func(p Progress) {
			if p.Result == nil {
				order = append(order, p.Target)
			}
		},
	}
	measured, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	starts := map[string]int{}
	for i := 0; i < len(order); i += 3 {
		round := strings.Join(order[i:i+3], "")
		for _, name := range []string{"a", "b", "c"} {
			if strings.Count(round, name) != 1 {
				t.Errorf("round %d: %s", i/3, round)
			}
		}
		starts[round]++
	}
	if len(order) != 24 || len(starts) < 3 {
		t.Errorf("%d turns in %d orders: %v", len(order), len(starts), order)
	}
	for i, m := range measured {
		if m.Subject.Name != p.Targets[i].Name || len(m.Rounds) != 8 || m.sum((*load.Result).Succeeded) == 0 || m.sum((*load.Result).Failed) > 0 {
			t.Errorf("%s: %d rounds, %d requests, %d failed", m.Subject.Name, len(m.Rounds), m.sum((*load.Result).Succeeded), m.sum((*load.Result).Failed))
		}
		if between[m.Subject.Name] != 8 {
			t.Errorf("%s: was tidied up %d times", m.Subject.Name, between[m.Subject.Name])
		}
	}
}

func TestATargetThatIsNotThereIsNamed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	to, err := target.New(target.Options{URL: "http://" + ln.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Run(t.Context(), Plan{Targets: []Subject{{Name: "mesh", Target: to}}, Callers: 1, Rounds: 1, Block: time.Second})
	if f, ok := errors.AsType[*target.Failure](err); !ok || f.Kind != target.Connect || !strings.HasPrefix(err.Error(), "mesh: ") {
		t.Errorf("%v", err)
	}
}
