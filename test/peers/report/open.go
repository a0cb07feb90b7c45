package report

import (
	"fmt"
	"slices"

	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/stats"
)

// Open is an open loop: requests fall due at a rate that does not depend on how
// fast the answers come, and a latency counts from then.
type Open struct {
	Load
	Rounds        int     `json:"rounds"`
	BlockSeconds  float64 `json:"block_seconds"`
	WarmupSeconds float64 `json:"warmup_seconds"`
	// Results hold Direct first, then the programs in the order of the tables.
	Results []OpenResult `json:"results"`
	// Others is as in a Cell.
	Others float64 `json:"others_share"`
	// Goals are what Outrider shall keep; none where it did not take part.
	Goals []Goal `json:"goals,omitempty"`
	// Samples holds every block in the order it ran.
	Samples []Sample `json:"samples"`
}

// An OpenResult is one peer in an open loop.
type OpenResult struct {
	Peer string `json:"peer"`
	// P50Micros and P99Micros are trimmed means over the rounds.
	P50Micros float64 `json:"p50_us"`
	P99Micros float64 `json:"p99_us"`
	// AddedP50 and AddedP99 are what it takes more than Direct in the same round.
	AddedP50 Difference `json:"added_p50"`
	AddedP99 Difference `json:"added_p99"`
	// CPUMicros is the median of CPU time per request over both proxies.
	CPUMicros float64 `json:"cpu_us_per_request"`
	// Requests and Arrivals are of all rounds; of lateness the trimmed mean.
	Requests uint64 `json:"requests"`
	Arrivals
	// Errors above zero make the result void.
	Errors     int    `json:"errors"`
	FirstError string `json:"first_error,omitempty"`
}

// A Difference is the trimmed mean of differences within a round, in µs.
type Difference struct {
	Micros float64 `json:"us"`
	// Interval is where it lies with 95 % confidence; nil for too few rounds.
	Interval *Interval `json:"interval,omitempty"`
}

// An Interval has two ends, in µs.
type Interval struct {
	Low  float64 `json:"low_us"`
	High float64 `json:"high_us"`
}

// A Goal is what became of a bound on latency.
type Goal struct {
	// What is bounded, in words.
	What string `json:"what"`
	// Figure must be at most MostMicros.
	Figure     Difference     `json:"figure"`
	MostMicros float64        `json:"most_us"`
	Verdict    budget.Verdict `json:"verdict"`
	// Why it could not be decided whatever the figure is; empty otherwise.
	Why string `json:"why,omitempty"`
}

const (
	// mostAdded is what two sidecars may add to the 99th percentile, in µs.
	mostAdded = 500
	// tooLate is how late the generator may be at the 99th percentile, in µs,
	// before its own failing decides about what it measures.
	tooLate = 1000
)

// SummariseOpen sums up the samples of one open loop.
func SummariseOpen(samples []Sample, peers []string, seed uint64) *Open {
	o := &Open{Samples: samples, Others: others(samples)}
	byPeer := map[string][]Sample{}
	for _, s := range samples {
		o.Load = s.Load
		byPeer[s.Peer] = append(byPeer[s.Peer], s)
		o.Rounds = max(o.Rounds, len(byPeer[s.Peer]))
	}
	for _, peer := range peers {
		if own := byPeer[peer]; len(own) > 0 {
			o.Results = append(o.Results, openResult(peer, own, byPeer[Direct], seed))
		}
	}
	o.Goals = goals(o.Results, byPeer, seed)
	return o
}

func openResult(peer string, own, direct []Sample, seed uint64) OpenResult {
	r := OpenResult{
		Peer: peer, P50Micros: trimmed(own, p50), P99Micros: trimmed(own, p99),
		AddedP50: difference(own, direct, p50, seed), AddedP99: difference(own, direct, p99, seed),
	}
	r.LateP99Micros = trimmed(own, func(s Sample) float64 { return s.LateP99Micros })
	var cpu []float64
	for _, s := range own {
		cpu = append(cpu, s.CPUMicros)
		r.Requests += s.Requests
		r.Queued += s.Queued
		r.Unsent += s.Unsent
		r.Errors += s.Errors
		if r.FirstError == "" {
			r.FirstError = s.FirstError
		}
	}
	r.CPUMicros = Median(cpu)
	return r
}

func p50(s Sample) float64 { return s.P50Micros }
func p99(s Sample) float64 { return s.P99Micros }

func trimmed(samples []Sample, of func(Sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return stats.TrimmedMean(values)
}

// difference subtracts round by round, so that what slowed the machine in one
// round slowed both sides.
func difference(own, base []Sample, of func(Sample) float64, seed uint64) Difference {
	var values []float64
	for _, a := range own {
		if i := slices.IndexFunc(base, func(b Sample) bool { return b.Round == a.Round }); i >= 0 {
			values = append(values, of(a)-of(base[i]))
		}
	}
	if len(values) == 0 {
		return Difference{}
	}
	d := Difference{Micros: stats.TrimmedMean(values)}
	if in, known := stats.MeanInterval(values, seed); known {
		d.Interval = &Interval{Low: in.Low, High: in.High}
	}
	return d
}

// goals judge Outrider by its budget and by each of the others.
func goals(results []OpenResult, byPeer map[string][]Sample, seed uint64) []Goal {
	at := func(name string) int {
		return slices.IndexFunc(results, func(r OpenResult) bool { return r.Peer == name })
	}
	subject, direct := at(Subject), at(Direct)
	if subject < 0 || direct < 0 {
		return nil
	}
	all := []Goal{judge(Goal{
		What: "added p99 is at most 0.5 ms", Figure: results[subject].AddedP99, MostMicros: mostAdded,
	}, results[subject], results[direct])}
	for _, r := range results {
		if r.Peer == Subject || r.Peer == Direct {
			continue
		}
		all = append(all, judge(Goal{
			What:   fmt.Sprintf("p99 is no higher than %s's", r.Peer),
			Figure: difference(byPeer[Subject], byPeer[r.Peer], p99, seed),
		}, results[subject], r))
	}
	return all
}

// judge decides a goal, unless one of the results it rests on is none.
func judge(g Goal, on ...OpenResult) Goal {
	g.Verdict = budget.Undecided
	for _, r := range on {
		if g.Why = r.unfit(); g.Why != "" {
			return g
		}
	}
	if in := g.Figure.Interval; in != nil {
		g.Verdict = budget.Judge(stats.Interval{Low: in.Low, High: in.High}, true, g.MostMicros)
	}
	return g
}

// unfit is why nothing follows from a result; empty if something does.
func (r OpenResult) unfit() string {
	switch {
	case r.Errors > 0:
		return r.Peer + " had errors"
	case r.Unsent > 0:
		return "requests could not be sent in time at " + r.Peer
	case r.LateP99Micros > tooLate:
		return "the generator was late at " + r.Peer
	}
	return ""
}
