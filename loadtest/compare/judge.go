package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/hist"
	"github.com/outrider-mesh/outrider/loadtest/load"
	"github.com/outrider-mesh/outrider/loadtest/report"
	"github.com/outrider-mesh/outrider/loadtest/stats"
)

// always are the percentiles that are reported whether they have a budget or not.
func always() []string { return []string{"p50", "p75", "p90", "p99", "p99.9"} }

// Scenario turns what was measured into a report, each target but the first
// compared with the first and judged by the budget. A target that is alone is
// judged alone; what a budget says of added latency cannot be decided then.
func Scenario(name string, p Plan, measured []*Measured, b budget.Budget) (report.Scenario, error) {
	s := report.Scenario{Name: name, Load: describe(p)}
	for _, m := range measured {
		t, err := m.report(quantiles(b), p)
		if err != nil {
			return report.Scenario{}, err
		}
		s.Targets = append(s.Targets, t)
	}
	s.Doubts = doubts(s.Targets)
	s.Doubts = append(s.Doubts, coarse(measured, b)...)
	if len(measured) == 1 && b.Asked {
		s.Comparisons = append(s.Comparisons, judge(nil, measured[0], b, p.Seed))
	}
	for _, test := range measured[1:] {
		s.Comparisons = append(s.Comparisons, judge(measured[0], test, b, p.Seed))
	}
	return s, nil
}

func describe(p Plan) report.Load {
	l := report.Load{
		Callers: p.Callers, Rounds: p.Rounds, Arrivals: "closed", Seed: p.Seed,
		WarmupSeconds: p.Warmup.Seconds(), BlockSeconds: p.Block.Seconds(),
	}
	if p.Rate != nil {
		l.Arrivals, l.Rate = "even", p.Rate.String()
		if p.Poisson {
			l.Arrivals = "poisson"
		}
	}
	t := p.Targets[0].Target
	l.Protocol, l.Request, l.BodyBytes, l.Streams = string(t.Protocol()), t.Request(), t.BodyBytes(), t.Streams()
	return l
}

// quantiles are those always reported and those of the budget, by name.
func quantiles(b budget.Budget) []string {
	names := always()
	for _, l := range b.Latency {
		if !slices.Contains(names, l.Name) {
			names = append(names, l.Name)
		}
	}
	return names
}

// Late is how late the generator may be, at the 99th percentile, before its own
// failing is no longer small beside what it measures.
const tooLate = time.Millisecond

// doubts are reasons not to believe the figures. What several targets share is said
// once.
func doubts(targets []report.Target) []string {
	var late, unsent, silent []string
	for _, t := range targets {
		if d := time.Duration(t.Late.P99 * 1e3); d > tooLate {
			late = append(late, fmt.Sprintf("%s for %s", d.Round(10*time.Microsecond), t.Name))
		}
		if t.Unsent > 0 {
			unsent = append(unsent, fmt.Sprintf("%d of %d to %s", t.Unsent, t.Due, t.Name))
		}
		if t.Requests == 0 {
			silent = append(silent, t.Name)
		}
	}
	var all []string
	if late != nil {
		all = append(all, "the generator itself sent 1 % of the requests too late, by at least "+strings.Join(late, ", ")+
			": the machine is busy with something else, or the rate is more than it can produce")
	}
	if unsent != nil {
		all = append(all, "requests could not be sent within their block, "+strings.Join(unsent, ", ")+
			": the target is slower than the rate, or there are too few connections")
	}
	if silent != nil {
		all = append(all, "not one request succeeded, of those to "+strings.Join(silent, ", ")+": there are no latencies")
	}
	return all
}

// coarse names the budgets of percentiles that a round has too few requests for.
func coarse(measured []*Measured, b budget.Budget) []string {
	fewest := int64(math.MaxInt64)
	for _, m := range measured {
		fewest = min(fewest, m.sum((*load.Result).Succeeded)/int64(max(len(m.Rounds), 1)))
	}
	var all []string
	for _, l := range b.Latency {
		if float64(fewest)*(1-l.Quantile) < 1 && l.Quantile < 1 {
			all = append(all, fmt.Sprintf("a round has %d requests, so its %s is its slowest one: "+
				"make blocks longer or the rate higher", fewest, l.Name))
		}
	}
	return all
}

// judge compares test with base, which is nil where there is none.
func judge(base, test *Measured, b budget.Budget, seed uint64) report.Comparison {
	c := report.Comparison{Test: test.Subject.Name}
	if base != nil {
		c.Base = base.Subject.Name
	}
	for _, name := range quantiles(b) {
		q, _ := budget.ParseQuantile(name) // they have been parsed before
		c.Findings = append(c.Findings, latency(base, test, name, q, b, seed)...)
	}
	c.Findings = append(c.Findings, failures(base, test, b))
	c.Findings = append(c.Findings, costs(test, b)...)
	var verdicts []budget.Verdict
	for _, f := range c.Findings {
		if f.Verdict != "" {
			verdicts = append(verdicts, f.Verdict)
		}
	}
	if len(verdicts) > 0 {
		c.Verdict = budget.Worst(verdicts...)
	}
	return c
}

// latency is one percentile: what it adds, and what became of its budgets.
func latency(base, test *Measured, name string, q float64, b budget.Budget, seed uint64) []report.Finding {
	tests, added := test.quantile(q), test.quantile(q)
	f := report.Finding{What: name, Unit: "us", Test: stats.TrimmedMean(tests), Absolute: base == nil}
	if base != nil {
		bases := base.quantile(q)
		f.Base = stats.TrimmedMean(bases)
		for i := range added {
			added[i] -= bases[i]
		}
	}
	f.Added = stats.TrimmedMean(added)
	in, known := stats.MeanInterval(added, seed)
	if known {
		f.Interval = &in
	}
	var findings []report.Finding
	for _, l := range b.Latency {
		if l.Name != name {
			continue
		}
		judged := f
		most := micros(l.Most)
		judged.Budget, judged.Absolute = &most, !l.Added
		of, ok := in, known && base != nil
		if !l.Added {
			of, ok = stats.MeanInterval(tests, seed)
		}
		judged.Verdict = budget.Judge(of, ok, most)
		if !believable(judged.Verdict, of, l, base, test) {
			judged.Verdict = budget.Undecided
		}
		findings = append(findings, judged)
	}
	if findings == nil {
		return []report.Finding{f}
	}
	return findings
}

// believable tells whether the load was what it should have been. A generator that
// was late is part of what it measured: where that is more than half of a budget, the
// budget does not hold for sure; but one that is exceeded by more than that is, for
// sure. A round without an answer passes for the fastest: it makes nothing hold, and
// at the base it makes nothing exceeded.
func believable(v budget.Verdict, in stats.Interval, l budget.Latency, base, test *Measured) bool {
	late := test.late(l.Quantile)
	switch {
	case base != nil && base.unsent() > 0:
		return false
	case v == budget.Exceeded:
		explained := late > l.Most/2 && in.Low-micros(late) <= micros(l.Most)
		return !explained && (base == nil || !l.Added || base.answered())
	case base != nil && base.late(l.Quantile) > l.Most/2:
		return false
	}
	return late <= l.Most/2 && test.answered()
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

// answered tells whether every round has latencies; one without would pass for the
// fastest.
func (m *Measured) answered() bool {
	return !slices.ContainsFunc(m.Rounds, func(r *load.Result) bool { return r.Succeeded() == 0 })
}

// quantile is one of each round, in microseconds.
func (m *Measured) quantile(q float64) []float64 {
	values := make([]float64, len(m.Rounds))
	for i, r := range m.Rounds {
		values[i] = float64(r.Latency.Quantile(q)) / 1e3
	}
	return values
}

// late is how late the generator itself was, at a percentile. Latencies at the same
// one hold about as much of it.
func (m *Measured) late(q float64) time.Duration {
	return m.merge(func(r *load.Result) *hist.Histogram { return r.Late }).Quantile(q)
}

func (m *Measured) unsent() int64 {
	return m.sum(func(r *load.Result) int64 { return r.Unsent })
}

// lost are the requests that failed, and those that could not be sent because
// every caller was still waiting for the target.
func (m *Measured) lost() (lost, all int64) {
	lost = m.sum((*load.Result).Failed) + m.unsent()
	return lost, lost + m.sum((*load.Result).Succeeded)
}

func failures(base, test *Measured, b budget.Budget) report.Finding {
	share := func(m *Measured) float64 {
		lost, all := m.lost()
		return float64(lost) / float64(max(all, 1))
	}
	f := report.Finding{What: "errors", Unit: "share", Test: share(test), Absolute: true}
	if base != nil {
		f.Base = share(base)
	}
	f.Added = f.Test - f.Base
	if !b.Asked {
		return f
	}
	lost, all := test.lost()
	f.Budget, f.Verdict = &b.Failures, budget.JudgeFailures(lost, all, b.Failures)
	if base != nil && base.unsent() > 0 {
		f.Verdict = budget.Undecided // the rate may be more than this machine can do
	}
	return f
}

// costs are those of everything watched together.
func costs(test *Measured, b budget.Budget) []report.Finding {
	watched := len(test.Subject.Watch) > 0
	if !watched && b.CPU == 0 && b.RSS == 0 {
		return nil
	}
	perRequest := test.cpuPerRequest()
	cpu := report.Finding{What: "cpu", Unit: "us/request", Absolute: true}
	memory := report.Finding{What: "rss", Unit: "bytes", Absolute: true}
	for _, n := range test.RSS {
		memory.Test += float64(n)
	}
	if len(perRequest) > 0 && watched {
		cpu.Test = stats.TrimmedMean(perRequest)
	}
	if b.CPU > 0 {
		most := float64(b.CPU) / 1e3
		in, known := stats.MeanInterval(perRequest, 1)
		cpu.Budget, cpu.Verdict = &most, budget.Judge(in, known && watched, most)
	}
	if b.RSS > 0 {
		most := float64(b.RSS)
		in := stats.Interval{Low: memory.Test, High: memory.Test}
		memory.Budget, memory.Verdict = &most, budget.Judge(in, watched, most)
	}
	return []report.Finding{cpu, memory}
}

// cpuPerRequest is what all that is watched spent in each round, in microseconds.
func (m *Measured) cpuPerRequest() []float64 {
	var rounds []float64
	for _, r := range m.Rounds {
		var cpu time.Duration
		for _, spent := range r.Spent.Groups {
			cpu += spent.Total
		}
		if n := r.Succeeded(); n > 0 {
			rounds = append(rounds, float64(cpu)/1e3/float64(n))
		}
	}
	return rounds
}
