package compare

import (
	"time"

	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/hist"
	"github.com/outrider-mesh/outrider/loadtest/load"
	"github.com/outrider-mesh/outrider/loadtest/report"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// report sums up one target.
func (m *Measured) report(names []string, p Plan) (t report.Target, err error) {
	t = report.Target{
		Name: m.Subject.Name, URL: m.Subject.Target.String(),
		Requests: m.sum((*load.Result).Succeeded), Failures: map[string]int64{},
		Due:    m.sum(func(r *load.Result) int64 { return r.Due }),
		Unsent: m.sum(func(r *load.Result) int64 { return r.Unsent }),
		Queued: m.sum(func(r *load.Result) int64 { return r.Queued }),
		Bytes:  m.sum(func(r *load.Result) int64 { return r.Bytes }),
	}
	t.Rate = float64(t.Requests) / (float64(len(m.Rounds)) * p.Block.Seconds())
	for _, of := range []struct {
		into  *report.Latency
		which func(*load.Result) *hist.Histogram
		whole bool
	}{
		{&t.Latency, func(r *load.Result) *hist.Histogram { return r.Latency }, true},
		{&t.Service, func(r *load.Result) *hist.Histogram { return r.Service }, false},
		{&t.Late, func(r *load.Result) *hist.Histogram { return r.Late }, false},
	} {
		if *of.into, err = report.LatencyOf(m.merge(of.which), of.whole); err != nil {
			return t, err
		}
	}
	for _, r := range m.Rounds {
		m.addRound(&t, r, names)
	}
	t.Watched = m.watched()
	return t, nil
}

func (m *Measured) addRound(t *report.Target, r *load.Result, names []string) {
	for kind, n := range r.Failures {
		t.Failures[string(kind)] += n
	}
	if t.FirstFailure == "" {
		t.FirstFailure = r.First
	}
	for _, s := range r.Series {
		t.Series = append(t.Series, report.Second{
			Requests: s.Latency.Count(), Failed: s.Failed,
			P50: float64(s.Latency.Quantile(0.5)) / 1e3, P99: float64(s.Latency.Quantile(0.99)) / 1e3,
		})
	}
	round := report.Round{Requests: r.Succeeded(), Micros: map[string]float64{}}
	for _, name := range names {
		q, _ := budget.ParseQuantile(name) // they have been parsed before
		round.Micros[name] = float64(r.Latency.Quantile(q)) / 1e3
	}
	if n := r.Succeeded(); n > 0 {
		var cpu time.Duration
		for _, spent := range r.Spent.Groups {
			cpu += spent.Total
		}
		round.CPU = float64(cpu) / 1e3 / float64(n)
	}
	t.Rounds = append(t.Rounds, round)
}

// watched is what each group cost, over all rounds.
func (m *Measured) watched() []report.Watched {
	var all []report.Watched
	n := float64(max(m.sum((*load.Result).Succeeded), 1))
	for _, g := range m.Subject.Watch {
		var cpu watch.CPU
		for _, r := range m.Rounds {
			cpu = cpu.Add(r.Spent.Groups[g.Name])
		}
		all = append(all, report.Watched{
			Name: g.Name, CPU: float64(cpu.Total) / 1e3 / n, User: float64(cpu.User) / 1e3 / n,
			System: float64(cpu.System) / 1e3 / n, RSS: m.RSS[g.Name],
		})
	}
	return all
}
