package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/outrider-mesh/outrider/loadtest/report/plot"
)

// mostPoints is how many a timeline has; what takes longer is drawn in coarser
// steps, so that a day's page is no larger than a minute's.
const mostPoints = 300

// timelines draw p50 and p99 second by second, one chart for each target, all on
// the same scales.
func (s Scenario) timelines() []chart {
	low, high, longest := math.Inf(1), 0.0, 0
	for _, t := range s.Targets {
		longest = max(longest, len(t.Series))
		for _, step := range coarser(t.Series) {
			if step.P50 > 0 {
				low, high = min(low, step.P50), max(high, step.P99)
			}
		}
	}
	if longest == 0 {
		return nil
	}
	y := plot.Log(low, high, 7)
	all := make([]chart, len(s.Targets))
	for i, t := range s.Targets {
		all[i] = s.timeline(t, i, y, longest)
	}
	return all
}

// A step is one or more seconds of a series.
type step struct {
	Second
	at, seconds int
}

// coarser draws seconds together until there are few enough: the middle p50, the
// worst p99, all failures. It does not average a bad second away.
func coarser(series []Second) []step {
	n := max((len(series)+mostPoints-1)/mostPoints, 1)
	var steps []step
	for i := 0; i < len(series); i += n {
		part := series[i:min(i+n, len(series))]
		st := step{at: i, seconds: len(part)}
		var middle []float64
		for _, s := range part {
			st.Requests, st.Failed = st.Requests+s.Requests, st.Failed+s.Failed
			st.P99 = max(st.P99, s.P99)
			if s.Requests > 0 {
				middle = append(middle, s.P50)
			}
		}
		slices.Sort(middle)
		if len(middle) > 0 {
			st.P50 = middle[len(middle)/2]
		}
		steps = append(steps, st)
	}
	return steps
}

func (s Scenario) timeline(t Target, i int, y plot.Scale, longest int) chart {
	c := wideChart(t.Name, wideHeight, 44)
	x := span(longest)
	steps := coarser(t.Series)
	round := s.Load.secondsPerRound()
	label := "second of measured time; shades are rounds"
	if len(steps) < len(t.Series) || round <= 1 {
		// A step may belong to two rounds, or there is nothing within one.
		label, round = "second of measured time", 0
	}
	c.rounds(x, round, longest)
	c.horizontal(x, label, func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) })
	c.vertical(y, "latency", micros)
	c.addSteps(steps, x, y, round, seriesClass(i))
	best, worst := bounds(steps)
	c.Summary = fmt.Sprintf("%s second by second: p99 between %s and %s%s.", t.Name, micros(best), micros(worst), failedSeconds(steps))
	return c
}

// span is a scale of seconds that ends where the measured time does.
func span(seconds int) plot.Scale {
	x := plot.Linear(0, float64(seconds), 9)
	if last := x.Ticks[len(x.Ticks)-1]; last > float64(seconds) {
		return plot.Within(0, float64(seconds), x.Ticks[:len(x.Ticks)-1])
	}
	return x
}

// secondsPerRound is how many seconds of a series are one turn.
func (l Load) secondsPerRound() int {
	if !finite(l.BlockSeconds) || l.BlockSeconds <= 0 || l.BlockSeconds > 1e6 {
		return 0
	}
	return int(math.Ceil(l.BlockSeconds))
}

// rounds shades every second one.
func (c *chart) rounds(x plot.Scale, round, seconds int) {
	for from := round; round > 0 && from < seconds; from += 2 * round {
		left := c.Frame.Point(x.Share(float64(from)), 0).X
		right := c.Frame.Point(x.Share(float64(min(from+round, seconds))), 0).X
		c.Bands = append(c.Bands, band{left, c.Frame.Top, right - left, c.Frame.Bottom - c.Frame.Top, "round"})
	}
}

// addSteps draws both percentiles, interrupted where a round ends: the seconds
// beside each other were minutes apart.
func (c *chart) addSteps(steps []step, x, y plot.Scale, round int, class string) {
	var p50, p99 []plot.Point
	var all []reading
	for _, st := range steps {
		at := float64(st.at) + float64(st.seconds)/2
		if round > 0 && st.at%round == 0 {
			p50, p99 = append(p50, plot.Gap()), append(p99, plot.Gap())
		}
		p50 = append(p50, c.place(x, y, at, st.P50))
		p99 = append(p99, c.place(x, y, at, st.P99))
		px := c.Frame.Point(x.Share(at), 0).X
		if st.Failed > 0 {
			c.Marks = append(c.Marks, markAt(plot.Point{X: px, Y: c.Frame.Top + 6}, cross, "failed", st.String()))
		}
		all = append(all, reading{px, st.String()})
	}
	low, high := lastY(p50), lastY(p99)
	if gap := labelHeight - (low - high); gap > 0 { // or they would be written over each other
		low, high = low+gap/2, high-gap/2
	}
	c.Curves = []curve{
		{Path: plot.Path(p50), Class: class + " p50", Label: "p50", LabelY: low},
		{Path: plot.Path(p99), Class: class + " p99", Label: "p99", LabelY: high},
	}
	c.Readings = readings(all)
}

// labelHeight is a line of text in a chart.
const labelHeight = 16

// lastY is the height of the last point that is drawn.
func lastY(points []plot.Point) float64 {
	for _, p := range slices.Backward(points) {
		if finite(p.Y) {
			return p.Y
		}
	}
	return 0
}

// String says what a step shows.
func (s step) String() string {
	when := fmt.Sprintf("second %d", s.at+1)
	if s.seconds > 1 {
		when = fmt.Sprintf("seconds %d to %d", s.at+1, s.at+s.seconds)
	}
	text := fmt.Sprintf("%s: p50 %s, p99 %s, %s", when, micros(s.P50), micros(s.P99), plural(int(s.Requests), "request"))
	if s.Failed > 0 {
		text += ", " + count(s.Failed) + " failed"
	}
	return text
}

// bounds are the lowest and the highest p99 of the steps that have one.
func bounds(steps []step) (low, high float64) {
	low = math.Inf(1)
	for _, s := range steps {
		if s.P99 > 0 {
			low, high = min(low, s.P99), max(high, s.P99)
		}
	}
	return low, high
}

func failedSeconds(steps []step) string {
	var failed int64
	for _, s := range steps {
		failed += s.Failed
	}
	if failed == 0 {
		return ""
	}
	return "; " + plural(int(failed), "request") + " failed"
}
