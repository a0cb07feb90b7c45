package report

import (
	"slices"

	"github.com/outrider-mesh/outrider/loadtest/stats"
)

// judge decides about all figures, and from them upwards.
func (d *Difference) judge() {
	confidence := 1 - (1-stats.Confidence)/float64(max(d.counting(), 1))
	var outcomes []Outcome
	for i := range d.Scenarios {
		c := &d.Scenarios[i]
		c.judge(confidence)
		outcomes = append(outcomes, c.Outcome)
	}
	d.Outcome = together(outcomes)
	if len(d.OnlyOld) > 0 && d.Outcome != Worse {
		// What is not measured any more can't be found worse, which must not look
		// like being no worse.
		d.Outcome = Undecided
	}
}

// counting is how many intervals have to hold at once.
func (d *Difference) counting() int {
	n := 0
	for _, c := range d.Scenarios {
		for _, change := range c.Changes {
			for _, f := range change.Figures {
				if change.Counts && f.older != nil {
					n++
				}
			}
		}
	}
	return n
}

func (c *Comparable) judge(confidence float64) {
	var outcomes []Outcome
	for i := range c.Changes {
		change := &c.Changes[i]
		var own []Outcome
		for j := range change.Figures {
			f := &change.Figures[j]
			f.judge(confidence)
			if f.Outcome != "" {
				own = append(own, f.Outcome)
			}
		}
		change.Outcome = together(own)
		if change.Counts {
			outcomes = append(outcomes, change.Outcome)
		}
	}
	c.Outcome = together(outcomes)
	if c.Incomparable || len(c.OnlyOld) > 0 && c.Outcome != Worse {
		c.Outcome = Undecided // whatever the figures look like
	}
}

// judge compares the interval with what does not matter.
func (f *Figure) judge(confidence float64) {
	if f.older != nil {
		if in, ok := (stats.Samples{Old: f.older, New: f.newer}).Difference(confidence, 1); ok {
			f.Interval = &in
		}
	}
	switch {
	case f.Unit == unitBytes, f.Outcome != "":
	case f.Interval == nil:
		f.Outcome = Undecided
	default:
		f.Outcome = outcome(*f.Interval, f.Difference, f.Tolerance)
	}
}

// outcome of a figure of which less is better.
func outcome(in stats.Interval, difference, tolerance float64) Outcome {
	switch {
	case in.Low >= -tolerance && in.High <= tolerance:
		return Same
	case in.Low > 0 && difference > tolerance:
		return Worse
	case in.High < 0 && difference < -tolerance:
		return Improved
	}
	return Undecided
}

// together is what several outcomes come to: what is worse or improved is found, and
// what is undecided beside it is not; without either, one that is undecided keeps
// the rest from being called the same. None decide nothing.
func together(outcomes []Outcome) Outcome {
	for _, o := range []Outcome{Worse, Improved, Undecided, Same} {
		if slices.Contains(outcomes, o) {
			return o
		}
	}
	return Undecided
}
