package report

import (
	"math"
	"slices"

	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/stats"
)

// A Figure is one number of both reports.
type Figure struct {
	// What is "p99", "errors", "cpu" or "rss"; Unit is as a Finding's.
	What string `json:"what"`
	Unit string `json:"unit"`
	// Old and New are, of percentiles and CPU, trimmed means over the rounds.
	Old float64 `json:"old"`
	New float64 `json:"new"`
	// Difference is New less Old, Ratio New by Old; nil where Old is not above 0.
	Difference float64  `json:"difference"`
	Ratio      *float64 `json:"ratio,omitempty"`
	// Interval is where the true difference lies; nil where one run says nothing
	// about that.
	Interval *stats.Interval `json:"interval,omitempty"`
	// Tolerance is how large a difference may be and not matter.
	Tolerance float64 `json:"tolerance"`
	// Outcome is empty for a figure that has no interval by its nature: memory.
	Outcome Outcome `json:"outcome,omitempty"`

	older, newer []float64 // by round
}

// What does not matter: a twentieth, or of latency ten microseconds, which is what
// a wake-up of the kernel takes, and of processor time a tenth of that.
const (
	tolerableShare     = 0.05
	tolerableLatency   = 10.0   // µs
	tolerableCPU       = 1.0    // µs per request
	tolerableFailing   = 0.0001 // share of requests
	smallestDifference = 1e-9
)

func newFigure(what, unit string, older, newer []float64) Figure {
	f := Figure{What: what, Unit: unit, Old: stats.TrimmedMean(older), New: stats.TrimmedMean(newer), older: older, newer: newer}
	least := tolerableLatency
	if unit == unitPerRequest {
		least = tolerableCPU
	}
	f.Tolerance = max(tolerableShare*math.Abs(f.Old), least)
	return f.subtract()
}

func (f Figure) subtract() Figure {
	f.Difference = f.New - f.Old
	if f.Old > smallestDifference {
		ratio := f.New / f.Old
		f.Ratio = &ratio
	}
	return f
}

// commonPercentiles are those that the rounds of both have, from low to high.
func commonPercentiles(was, is *Target) []string {
	var names []string
	for _, r := range was.Rounds {
		for name := range r.Micros {
			common := slices.ContainsFunc(is.Rounds, func(o Round) bool { _, ok := o.Micros[name]; return ok })
			if _, err := budget.ParseQuantile(name); err == nil && common && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		p, _ := budget.ParseQuantile(a) // both have been parsed above
		q, _ := budget.ParseQuantile(b)
		switch {
		case p < q:
			return -1
		case p > q:
			return 1
		}
		return 0
	})
	return names
}

// otherFigures are failures, processor time and memory.
func otherFigures(was, is Target) []Figure {
	all := []Figure{failureFigure(was, is)}
	older, newer := was.cpuPerRound(), is.cpuPerRound()
	if older != nil && newer != nil {
		all = append(all, newFigure("cpu", unitPerRequest, older, newer))
	}
	if len(was.Watched) > 0 && len(is.Watched) > 0 {
		f := Figure{What: "rss", Unit: unitBytes, Old: was.rss(), New: is.rss()}
		f.Tolerance = tolerableShare * f.Old
		all = append(all, f.subtract())
	}
	return all
}

// cpuPerRound is processor time of everything watched, per request; nil if that was
// not written down round by round.
func (t *Target) cpuPerRound() []float64 {
	var values []float64
	for _, r := range t.Rounds {
		if r.CPU > 0 {
			values = append(values, r.CPU)
		}
	}
	return values
}

func (t *Target) rss() float64 {
	var sum float64
	for _, w := range t.Watched {
		sum += float64(w.RSS)
	}
	return sum
}

// failureFigure compares shares of requests that failed or could not be sent: by
// Newcombe's interval for a difference of two proportions, made of Wilson's of each
// (Statistics in Medicine 17, 1998, method 10).
func failureFigure(was, is Target) Figure {
	share := func(t Target) (float64, stats.Interval) {
		lost, all := t.lost()
		return float64(lost) / float64(max(all, 1)), stats.Proportion(int(lost), int(all))
	}
	older, oldIn := share(was)
	newer, newIn := share(is)
	f := Figure{What: "errors", Unit: unitShare, Old: older, New: newer, Tolerance: tolerableFailing}.subtract()
	if older == 0 && newer == 0 && was.Requests > 0 && is.Requests > 0 {
		// That there were too few requests to exclude a rare failure is true of
		// both.
		f.Outcome = Same
		return f
	}
	f.Interval = &stats.Interval{
		Low:  f.Difference - math.Hypot(newer-newIn.Low, oldIn.High-older),
		High: f.Difference + math.Hypot(newIn.High-newer, older-oldIn.Low),
	}
	return f
}
