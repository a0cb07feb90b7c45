package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/hist"
	"github.com/outrider-mesh/outrider/loadtest/stats"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// A simulation is a target as chance draws it: most requests around a median,
// some slow, the machine faster and slower from round to round for all alike.
type simulation struct {
	name, url string
	median    float64 // µs
	spread    float64 // of the logarithm
	slow      float64 // share of requests that wait for something else
	pause     float64 // µs, how long those do on average
	failing   float64 // share of requests
	late      float64 // µs, the generator at its median
	unsent    int64
	watched   []Watched
}

// An experiment is a scenario to be simulated.
type experiment struct {
	name    string
	load    Load
	perSec  int // requests
	targets []simulation
	budgets string // as on the command line; empty: none
	doubts  []string
}

const simulatedSeconds = 5

// percentilesOf every report.
func percentilesOf() []string { return []string{"p50", "p75", "p90", "p99", "p99.9"} }

// run simulates all of it. The same seed yields the same scenario.
func (e experiment) run(t testing.TB, seed uint64) Scenario {
	t.Helper()
	s := Scenario{Name: e.name, Load: e.load, Doubts: e.doubts}
	machine := rand.New(rand.NewPCG(seed, 0))
	pace := make([]float64, e.load.Rounds)
	for i := range pace {
		pace[i] = math.Exp(0.06 * machine.NormFloat64())
	}
	for i, sim := range e.targets {
		s.Targets = append(s.Targets, sim.run(t, rand.New(rand.NewPCG(seed, uint64(i)+1)), e.perSec, pace))
	}
	b := budget.Budget{}
	if e.budgets != "" {
		var err error
		if b, err = budget.Parse(e.budgets); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.Targets) == 1 && e.budgets != "" {
		s.Comparisons = append(s.Comparisons, comparison(nil, &s.Targets[0], b))
	}
	for i := range s.Targets[1:] {
		s.Comparisons = append(s.Comparisons, comparison(&s.Targets[0], &s.Targets[i+1], b))
	}
	return s
}

func (sim simulation) run(tb testing.TB, rnd *rand.Rand, perSec int, pace []float64) Target {
	tb.Helper()
	noise := rand.New(rand.NewPCG(uint64(perSec), uint64(len(sim.name)))) // of processor time
	t := Target{Name: sim.name, URL: sim.url, Watched: sim.watched, Unsent: sim.unsent, Failures: map[string]int64{}}
	latency, late := hist.New(), hist.New()
	for _, factor := range pace {
		var round []float64
		for range simulatedSeconds {
			second := Second{}
			var values []float64
			for range perSec {
				late.Record(time.Duration(1e3 * sim.late * math.Exp(0.5*rnd.NormFloat64())))
				if rnd.Float64() < sim.failing {
					second.Failed++
					continue
				}
				us := sim.draw(rnd) * factor
				latency.Record(time.Duration(us * 1e3))
				values = append(values, us)
			}
			slices.Sort(values)
			second.Requests, second.P50, second.P99 = int64(len(values)), at(values, 0.5), at(values, 0.99)
			t.Series, round = append(t.Series, second), append(round, values...)
			t.Requests, t.Failures["status"] = t.Requests+second.Requests, t.Failures["status"]+second.Failed
		}
		slices.Sort(round)
		r := Round{Requests: int64(len(round)), Micros: map[string]float64{}}
		for _, p := range percentilesOf() {
			q, _ := budget.ParseQuantile(p)
			r.Micros[p] = at(round, q)
		}
		for _, w := range sim.watched {
			r.CPU += w.CPU * (1 + 0.02*noise.NormFloat64())
		}
		t.Rounds = append(t.Rounds, r)
	}
	sim.sumUp(tb, &t, latency, late)
	return t
}

func (sim simulation) sumUp(tb testing.TB, t *Target, latency, late *hist.Histogram) {
	tb.Helper()
	if sim.failing > 0 {
		t.Failures["timeout"] = t.Failures["status"] / 7
		t.Failures["status"] -= t.Failures["timeout"]
		t.FirstFailure = "status: 503, want 200 to 299"
	}
	t.Due = t.Requests + t.failed() + t.Unsent
	t.Queued = t.Due / 50
	t.Rate = float64(t.Requests) / float64(len(t.Series))
	t.Bytes = t.Requests * 1024
	for _, of := range []struct {
		into  *Latency
		h     *hist.Histogram
		whole bool
	}{{&t.Latency, latency, true}, {&t.Service, latency, false}, {&t.Late, late, false}} {
		var err error
		if *of.into, err = LatencyOf(of.h, of.whole); err != nil {
			tb.Fatal(err)
		}
	}
}

func (sim simulation) draw(rnd *rand.Rand) float64 {
	us := sim.median * math.Exp(sim.spread*rnd.NormFloat64())
	if rnd.Float64() < sim.slow {
		us += sim.pause * rnd.ExpFloat64()
	}
	return us
}

// at is a quantile of sorted values.
func at(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// comparison judges as the tool does.
func comparison(base, test *Target, b budget.Budget) Comparison {
	c := Comparison{Test: test.Name}
	if base != nil {
		c.Base = base.Name
	}
	for _, name := range percentilesOf() {
		c.Findings = append(c.Findings, percentileFinding(base, test, name, b))
	}
	lost, all := test.lost()
	failed := float64(lost) / float64(max(all, 1))
	c.Findings = append(c.Findings, Finding{
		What: "errors", Unit: unitShare, Test: failed, Added: failed, Budget: &b.Failures, Absolute: true,
		Verdict: budget.JudgeFailures(lost, all, b.Failures),
	})
	c.Findings = append(c.Findings, costFindings(test, b)...)
	var verdicts []budget.Verdict
	for _, f := range c.Findings {
		if f.Verdict != "" {
			verdicts = append(verdicts, f.Verdict)
		}
	}
	c.Verdict = budget.Worst(verdicts...)
	return c
}

func percentileFinding(base, test *Target, name string, b budget.Budget) Finding {
	values := test.perRound(name)
	f := Finding{What: name, Unit: unitMicros, Test: stats.TrimmedMean(values), Absolute: base == nil}
	if base != nil {
		bases := base.perRound(name)
		f.Base = stats.TrimmedMean(bases)
		for i := range values {
			values[i] -= bases[i]
		}
	}
	f.Added = stats.TrimmedMean(values)
	in, known := stats.MeanInterval(values, 1)
	if known {
		f.Interval = &in
	}
	for _, l := range b.Latency {
		if l.Name == name {
			most := float64(l.Most) / 1e3
			f.Budget, f.Absolute, f.Verdict = &most, !l.Added, budget.Judge(in, known, most)
			if test.Late.P99 > 1000 {
				f.Verdict = budget.Undecided
			}
		}
	}
	return f
}

func costFindings(test *Target, b budget.Budget) []Finding {
	if len(test.Watched) == 0 {
		return nil
	}
	cpu, rss := Finding{What: "cpu", Unit: unitPerRequest, Absolute: true}, Finding{What: "rss", Unit: unitBytes, Absolute: true}
	for _, w := range test.Watched {
		cpu.Test, rss.Test = cpu.Test+w.CPU, rss.Test+float64(w.RSS)
	}
	if b.CPU > 0 {
		most := float64(b.CPU) / 1e3
		cpu.Budget, cpu.Verdict = &most, budget.Judge(stats.Interval{Low: cpu.Test - 1, High: cpu.Test + 1}, true, most)
	}
	if b.RSS > 0 {
		most := float64(b.RSS)
		rss.Budget, rss.Verdict = &most, budget.Judge(stats.Interval{Low: rss.Test, High: rss.Test}, true, most)
	}
	return []Finding{cpu, rss}
}

func (t *Target) perRound(name string) []float64 {
	values := make([]float64, len(t.Rounds))
	for i, r := range t.Rounds {
		values[i] = r.Micros[name]
	}
	return values
}

// document puts scenarios into a report.
func document(scenarios ...Scenario) *Document {
	d := &Document{
		Schema: Schema, Tool: "outrider-load v0.4.0",
		Command: []string{
			"outrider-load", "run", "--target", "direct=http://127.0.0.1:8080/v1/charges",
			"--target", "outrider=http://127.0.0.1:15001/v1/charges", "--rate", "1000", "--poisson", "--rounds", "20", "--json", "load.json",
		},
		Date: time.Date(2026, 11, 22, 14, 3, 7, 0, time.UTC),
		Machine: watch.Machine{
			CPUModel: "AMD EPYC 7763 64-Core Processor", CPUs: 4, Kernel: "6.8.0-48-generic", Arch: "amd64",
			Go: "go1.26.8", MemoryBytes: 16<<30 - 300<<20, LoadAverage: "0.31 0.22 0.18 1/412 20133",
		},
		Scenarios: scenarios,
	}
	var verdicts []budget.Verdict
	for _, s := range scenarios {
		for _, c := range s.Comparisons {
			if c.Verdict != "" {
				verdicts = append(verdicts, c.Verdict)
			}
		}
	}
	if verdicts != nil {
		d.Verdict = budget.Worst(verdicts...)
	}
	return d
}

func openLoop(rate string, rounds int) Load {
	return Load{
		Protocol: "http1", Request: "GET /v1/charges", Arrivals: "poisson", Rate: rate, Callers: 32, Streams: 1,
		Rounds: rounds, WarmupSeconds: 1, BlockSeconds: simulatedSeconds, Seed: 7,
	}
}

func cost(name string, cpu float64, mib float64) Watched {
	return Watched{Name: name, CPU: cpu, User: cpu * 0.31, System: cpu * 0.68, RSS: int64(mib * (1 << 20))}
}

// The simulated targets of most documents.
func direct() simulation {
	return simulation{
		name: "direct", url: "http://127.0.0.1:8080/v1/charges", median: 212, spread: 0.18, slow: 0.02, pause: 350, late: 12,
		watched: []Watched{cost("app", 61.2, 18.4)},
	}
}

func sidecar() simulation {
	return simulation{
		name: "outrider", url: "http://127.0.0.1:15001/v1/charges", median: 318, spread: 0.2, slow: 0.03, pause: 420, late: 13,
		watched: []Watched{cost("app", 62.8, 18.6), cost("sidecars", 88.4, 35.1)},
	}
}

func inspecting() simulation {
	return simulation{
		name: "outrider+waf", url: "http://127.0.0.1:15001/inspected/v1/charges", median: 402, spread: 0.24, slow: 0.05, pause: 900,
		late: 13, watched: []Watched{cost("app", 62.1, 18.6), cost("sidecars", 171, 58.7)},
	}
}

// everything is a report with most of what there can be: three targets within and
// beyond their budgets, then a closed loop without.
func everything(t testing.TB) *Document {
	t.Helper()
	closed := openLoop("", 12)
	closed.Arrivals, closed.Protocol, closed.Streams, closed.BodyBytes, closed.Request = "closed", "grpc", 8, 2048, "POST /shop.Charges/Create"
	return document(
		experiment{
			name: "charges", load: openLoop("1000", 20), perSec: 1000, budgets: "p50=+150us,p99=+500us,cpu=200us,rss=80MiB",
			targets: []simulation{direct(), sidecar(), inspecting()},
		}.run(t, 1),
		experiment{name: "capacity", load: closed, perSec: 2000, targets: []simulation{direct(), sidecar()}}.run(t, 2),
	)
}

// failing is a target that breaks down under its load.
func failing(t testing.TB) *Document {
	t.Helper()
	broken := sidecar()
	broken.failing, broken.unsent = 0.013, 211
	return document(experiment{
		name: "charges at twice the load", load: openLoop("100@2s,2000", 8), perSec: 800, budgets: "p99=+500us,errors=0.1%",
		targets: []simulation{direct(), broken},
		doubts:  []string{"outrider: 211 of 32211 requests could not be sent within their block: the target is slower than the rate, or there are too few callers"},
	}.run(t, 3))
}

// unbounded has no budget.
func unbounded(t testing.TB) *Document {
	t.Helper()
	d := document(experiment{name: "charges", load: openLoop("500", 8), perSec: 500, targets: []simulation{direct(), sidecar()}}.run(t, 4))
	d.Verdict = ""
	for i := range d.Scenarios[0].Comparisons {
		c := &d.Scenarios[0].Comparisons[i]
		c.Verdict = ""
		for j := range c.Findings {
			c.Findings[j].Budget, c.Findings[j].Verdict = nil, ""
		}
	}
	return d
}

// alone has one target, under an absolute budget.
func alone(t testing.TB) *Document {
	t.Helper()
	only := sidecar()
	only.watched = nil
	return document(experiment{
		name: "charges", load: openLoop("200", 10), perSec: 200, budgets: "p99=5ms,p99.9=20ms", targets: []simulation{only},
	}.run(t, 5))
}

// saturated is a generator that cannot produce the load.
func saturated(t testing.TB) *Document {
	t.Helper()
	slow := sidecar()
	slow.late = 900
	return document(experiment{
		name: "charges", load: openLoop("50000", 8), perSec: 400, budgets: "p50=+150us,p99=+2ms", targets: []simulation{direct(), slow},
		doubts: []string{"outrider: the generator itself sent 1 % of the requests 2.88ms or more too late: the machine is busy with something else, or the rate is more than it can produce"},
	}.run(t, 6))
}

// short has too few rounds to decide anything.
func short(t testing.TB) *Document {
	t.Helper()
	return document(experiment{
		name: "charges", load: openLoop("100", 3), perSec: 100, budgets: "p99=+500us", targets: []simulation{direct(), sidecar()},
	}.run(t, 7))
}

// hostile has names that would like to be something else.
func hostile(t testing.TB) *Document {
	t.Helper()
	base, test := direct(), sidecar()
	base.name = "<script>alert(1)</script>"
	test.name, test.url = "\"><img src=x onerror=alert(2)>", "javascript:alert(3)//</title></svg><script>alert(4)</script>"
	test.watched = []Watched{cost("</style><b>\x1b[2Jx\u202e", 1, 1)}
	test.failing = 0.01
	d := document(experiment{
		name: "</script><h1>'`${alert(5)}", load: openLoop("100", 8), perSec: 100, budgets: "p99=+500us",
		targets: []simulation{base, test}, doubts: []string{"<a href=http://example.com/>\x07doubt</a> &amp; \"quoted\" --></template>"},
	}.run(t, 8))
	d.Tool, d.Command = "<tool>\x1b]0;title\x07", []string{"<command>", "\n\n\r", "\xff\xfe"}
	d.Machine.CPUModel = "<model onclick='alert(6)'>"
	d.Scenarios[0].Load.Request = "GET /<iframe src=//example.com>"
	d.Scenarios[0].Targets[1].FirstFailure = "status: <object data=//example.com>"
	return d
}

// documents are all of them, by name.
func documents(t testing.TB) map[string]*Document {
	t.Helper()
	return map[string]*Document{
		"everything": everything(t), "failing": failing(t), "unbounded": unbounded(t), "alone": alone(t),
		"saturated": saturated(t), "short": short(t), "hostile": hostile(t), "empty": document(),
	}
}
