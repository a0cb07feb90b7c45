package report

import (
	"fmt"
	"strings"
)

// sheet is an open loop as a table.
func (o *Open) sheet() *sheet {
	s := &sheet{
		title: fmt.Sprintf("Open loop: %s; what is added to asking the app itself, mean of %s of %.4g s, and where it lies with 95 %% confidence",
			o.String(), plural(o.Rounds, "round"), o.BlockSeconds),
		header: []string{"peer", "p50 µs", "p99 µs", "added p50", "95 %", "added p99", "95 %", "CPU µs/req", "late p99", "queued", "unsent"},
	}
	for _, r := range o.Results {
		if r.Errors > 0 {
			s.note("%s FAILED: %s, the first: %s", r.Peer, plural(r.Errors, "error"), r.FirstError)
			continue
		}
		s.add(r.row()...)
	}
	s.busy(o.Others)
	o.doubts(s)
	for _, g := range o.Goals {
		s.note("%s", g)
	}
	return s
}

func (r OpenResult) row() []string {
	row := []string{r.Peer, whole(r.P50Micros), whole(r.P99Micros), "-", "-", "-", "-", "-"}
	if r.Peer != Direct {
		row = append(row[:3], r.AddedP50.sum(), r.AddedP50.within(), r.AddedP99.sum(), r.AddedP99.within(), tenths(r.CPUMicros))
	}
	return append(row, whole(r.LateP99Micros), fmt.Sprint(r.Queued), fmt.Sprint(r.Unsent))
}

// doubts are what a reader must know before believing the figures.
func (o *Open) doubts(s *sheet) {
	var late, unsent []string
	for _, r := range o.Results {
		if r.LateP99Micros > tooLate {
			late = append(late, r.Peer)
		}
		if r.Unsent > 0 {
			unsent = append(unsent, fmt.Sprintf("%s (%d)", r.Peer, r.Unsent))
		}
	}
	if len(late) > 0 {
		s.note("! the generator itself was late at %s: their latencies are partly its own", strings.Join(late, ", "))
	}
	if len(unsent) > 0 {
		s.note("! requests could not be sent in time at %s: they don't carry this rate here", strings.Join(unsent, ", "))
	}
}

// String is the goal with its outcome and what that rests on.
func (g Goal) String() string {
	if g.Why != "" {
		return fmt.Sprintf("%s: %s, %s", g.What, g.Verdict, g.Why)
	}
	return fmt.Sprintf("%s: %s (%s)", g.What, g.Verdict, g.Figure)
}

func (d Difference) sum() string { return fmt.Sprintf("%+.0f", d.Micros) }

// within is where a difference lies.
func (d Difference) within() string {
	if d.Interval == nil {
		return "?"
	}
	return fmt.Sprintf("%+.0f…%+.0f", d.Interval.Low, d.Interval.High)
}

// String is the difference with where it lies.
func (d Difference) String() string {
	if d.Interval == nil {
		return fmt.Sprintf("%+.0f µs, too few rounds to say how sure", d.Micros)
	}
	return fmt.Sprintf("%+.0f µs, between %+.0f and %+.0f", d.Micros, d.Interval.Low, d.Interval.High)
}
