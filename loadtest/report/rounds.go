package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/report/plot"
	"github.com/outrider-mesh/outrider/loadtest/stats"
)

// roundCharts draw a comparison round by round, one chart for each percentile that
// has a budget or is looked at anyway: dots, the interval of their mean, and the
// budget.
func (s Scenario) roundCharts(c Comparison) []chart {
	test, series := s.target(c.Test)
	base, _ := s.target(c.Base)
	if test == nil || c.Base != "" && base == nil {
		return nil
	}
	var all []chart
	for _, f := range c.charted() {
		values := addedPerRound(base, test, f.What)
		if len(values) == 0 {
			continue
		}
		all = append(all, c.roundChart(f, values, series))
	}
	return all
}

// target finds one by name, and its place.
func (s Scenario) target(name string) (*Target, int) {
	i := slices.IndexFunc(s.Targets, func(t Target) bool { return t.Name == name })
	if i < 0 {
		return nil, 0
	}
	return &s.Targets[i], i
}

// charted are the findings with a chart: of each percentile the first, or the one
// whose budget can be drawn.
func (c Comparison) charted() []Finding {
	var all []Finding
	for _, f := range c.Findings {
		if f.Unit != unitMicros || !c.drawsBudget(f) && !slices.Contains([]string{"p50", "p99", "p99.9"}, f.What) {
			continue
		}
		i := slices.IndexFunc(all, func(other Finding) bool { return other.What == f.What })
		switch {
		case i < 0:
			all = append(all, f)
		case c.drawsBudget(f):
			all[i] = f
		}
	}
	return all
}

// drawsBudget tells whether the budget bounds what the dots are: what is added, or
// of a target by itself the figure.
func (c Comparison) drawsBudget(f Finding) bool {
	return f.Budget != nil && f.Absolute == (c.Base == "")
}

// addedPerRound is what the test took more than the base in each round; without a
// base, what it took.
func addedPerRound(base, test *Target, name string) []float64 {
	n := len(test.Rounds)
	if base != nil {
		n = min(n, len(base.Rounds))
	}
	var values []float64
	for i := range n {
		v, ok := test.Rounds[i].Micros[name]
		if base != nil {
			b, known := base.Rounds[i].Micros[name]
			v, ok = v-b, ok && known
		}
		if ok {
			values = append(values, v)
		}
	}
	return values
}

func (c Comparison) roundChart(f Finding, values []float64, series int) chart {
	ch := panelChart(f.What)
	write := func(v float64) string { return signed(v, micros) }
	label := "added"
	if c.Base == "" {
		write, label = micros, "latency"
	}
	y := c.roundScale(f, values)
	x := plot.Within(0, float64(len(values))+1, roundTicks(len(values)))
	ch.horizontal(x, "round", func(v float64) string { return fmt.Sprint(int(v)) })
	ch.vertical(y, label, write)
	if in := f.Interval; in != nil {
		top, bottom := ch.Frame.Point(0, y.Share(in.High)).Y, ch.Frame.Point(0, y.Share(in.Low)).Y
		ch.Bands = append(ch.Bands, band{ch.Frame.Left, top, ch.Frame.Right - ch.Frame.Left, max(bottom-top, 1), "interval " + seriesClass(series)})
	}
	if c.Base != "" {
		ch.level(y, 0, "zero")
	}
	ch.level(y, f.Added, "mean "+seriesClass(series))
	if c.drawsBudget(f) {
		ch.level(y, *f.Budget, "budget").note("budget "+f.bound(), f.Added <= *f.Budget, ch.Frame)
	}
	for i, v := range values {
		ch.Marks = append(ch.Marks, dot(&ch, x, y, i+1, v, write, seriesClass(series)))
	}
	ch.Summary = c.roundSummary(f, values, write)
	return ch
}

// dot is one round; one that is beyond the axis is a triangle at its end.
func dot(c *chart, x, y plot.Scale, round int, v float64, write func(float64) string, class string) mark {
	at, title := c.point(x, y, float64(round), v), fmt.Sprintf("round %d: %s", round, write(v))
	switch {
	case y.Holds(v):
		return markAt(at, circle, "dot "+class, title)
	case y.Share(v) > 0:
		return markAt(at, above, "beyond "+class, title)
	}
	return markAt(at, below, "beyond "+class, title)
}

// roundScale holds the interval, the budget and zero, and of the dots those that
// are not far from the others: one stall must not press the rest flat.
func (c Comparison) roundScale(f Finding, values []float64) plot.Scale {
	middle := stats.Median(values)
	away := make([]float64, len(values))
	for i, v := range values {
		away[i] = math.Abs(v - middle)
	}
	reach := 10 * stats.Median(away)
	held := []float64{middle, f.Added}
	if c.Base != "" {
		held = append(held, 0)
	}
	for _, v := range values {
		if math.Abs(v-middle) <= reach {
			held = append(held, v)
		}
	}
	if f.Interval != nil {
		held = append(held, f.Interval.Low, f.Interval.High)
	}
	if c.drawsBudget(f) {
		held = append(held, *f.Budget)
	}
	held = slices.DeleteFunc(held, func(v float64) bool { return !finite(v) })
	if len(held) == 0 {
		return plot.Linear(0, 1, 5)
	}
	return plot.Linear(slices.Min(held), slices.Max(held), 6)
}

// roundTicks are the first and the last round, and some between.
func roundTicks(n int) []float64 {
	ticks := []float64{1}
	every := max((n+4)/5, 1)
	if every > 5 {
		every = (every + 4) / 5 * 5
	}
	for i := every; i <= n; i += every {
		if i > 1 {
			ticks = append(ticks, float64(i))
		}
	}
	return ticks
}

func (c Comparison) roundSummary(f Finding, values []float64, write func(float64) string) string {
	text := fmt.Sprintf("%s of %s over %s: trimmed mean %s", f.What, c.Test, plural(len(values), "round"), write(f.Added))
	if f.Interval != nil {
		text += ", 95 % interval " + c.intervalText(f)
	}
	if c.drawsBudget(f) {
		text += ", budget " + f.bound()
		if f.Verdict != budget.Verdict("") {
			text += ": " + string(f.Verdict)
		}
	}
	return text + "."
}
