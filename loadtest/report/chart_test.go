package report

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/loadtest/report/plot"
	"github.com/outrider-mesh/outrider/loadtest/stats"
)

func TestPercentilesBetweenTheRoundOnes(t *testing.T) {
	cases := []struct {
		q          float64
		name, fine string
	}{
		{0, "0", "p0"},
		{0.5, "p50", "p50"},
		{0.75, "p75", "p75"},
		{0.9, "p90", "p90"},
		{0.93, "p93", "p93"},
		{0.99, "p99", "p99"},
		{0.9937, "p99.37", "p99.37"},
		{0.999, "p99.9", "p99.9"},
		{0.99987, "p99.987", "p99.987"},
		{0.2501, "p25.01", "p25"},
		{0.99999, "p99.999", "p99.999"},
	}
	if len(cases) < 11 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if got := percentile(c.q); got != c.name {
			t.Errorf("%g is %q, want %q", c.q, got, c.name)
		}
		if got := finePercentile(c.q); got != c.fine {
			t.Errorf("%g is finely %q, want %q", c.q, got, c.fine)
		}
	}
}

// A distribution is drawn only as far as there are requests to speak of.
func TestDistributionEndsWhereRequestsDo(t *testing.T) {
	for requests, want := range map[int64]int{0: 2, 999: 2, 1000: 2, 10_000: 3, 99_999: 3, 100_000: 4, 1_000_000: 5, 1 << 40: 5} {
		s := Scenario{Targets: []Target{{Requests: 1}, {Requests: requests}}}
		if got := s.nines(); got != want {
			t.Errorf("%d requests are drawn to %d nines, want %d", requests, got, want)
		}
	}
}

// The curve says what the percentiles of the table say.
func TestDistributionIsOfTheHistogram(t *testing.T) {
	l := everything(t).Scenarios[0].Targets[2].Latency
	qs := []float64{0.5, 0.75, 0.9, 0.99, 0.999, 1}
	want := []float64{l.P50, l.P75, l.P90, l.P99, l.P999, l.Max}
	if diff := cmp.Diff(want, l.quantiles(qs)); diff != "" {
		t.Errorf("of the histogram (-want +got):\n%s", diff)
	}
	for _, without := range []string{"", "no histogram", "HISTFAAAAB"} {
		l.Histogram = without
		if diff := cmp.Diff(want, l.quantiles(qs)); diff != "" {
			t.Errorf("of the percentiles alone, for %q (-want +got):\n%s", without, diff)
		}
	}
}

func TestLongSeriesAreDrawnInCoarserSteps(t *testing.T) {
	series := make([]Second, 3601)
	for i := range series {
		series[i] = Second{Requests: 10, P50: 100 + float64(i%3), P99: 500}
	}
	series[1003] = Second{Requests: 1, Failed: 9, P50: 9000, P99: 9000}
	series[2000] = Second{}
	steps := coarser(series)
	if len(steps) > mostPoints || len(steps) < mostPoints/2 {
		t.Errorf("%d steps", len(steps))
	}
	var requests, failed int64
	worst, next := 0.0, 0
	for _, s := range steps {
		if s.at != next {
			t.Errorf("a step begins at %d, want %d", s.at, next)
		}
		next = s.at + s.seconds
		requests, failed, worst = requests+s.Requests, failed+s.Failed, max(worst, s.P99)
		if s.P50 < 100 || s.P50 > 102 {
			t.Errorf("the middle of step %d is %g", s.at, s.P50)
		}
	}
	if next != len(series) || requests != 35_991 || failed != 9 || worst != 9000 {
		t.Errorf("%d seconds, %d requests, %d failed, %g at worst", next, requests, failed, worst)
	}
	short := coarser(series[:2])
	if len(short) != 2 || short[1].seconds != 1 {
		t.Errorf("two seconds become %v", short)
	}
}

// Where a round ends a line does, for the next second was minutes later.
func TestTimelinesAreInterruptedBetweenRounds(t *testing.T) {
	s := Scenario{Load: Load{BlockSeconds: 2}, Targets: []Target{{Name: "x", Series: []Second{
		{1, 0, 100, 200}, {1, 0, 100, 200}, {1, 2, 100, 200}, {0, 5, 0, 0},
	}}}}
	charts := s.timelines()
	if len(charts) != 1 || len(charts[0].Curves) != 2 {
		t.Fatalf("%d charts", len(charts))
	}
	c := charts[0]
	for _, curve := range c.Curves {
		if strings.Count(curve.Path, "M") != 2 || strings.Count(curve.Path, "L") != 1 || !strings.HasSuffix(curve.Path, "h0") {
			t.Errorf("%s is %q, want a line and a dot", curve.Label, curve.Path)
		}
	}
	if len(c.Marks) != 2 || !strings.Contains(c.Marks[1].Title, "second 4: p50 0 µs, p99 0 µs, 0 requests, 5 failed") {
		t.Errorf("failures are marked as %v", c.Marks)
	}
	if len(c.Bands) != 1 {
		t.Errorf("%d of two rounds are shaded", len(c.Bands))
	}
	if want := "7 requests failed"; !strings.Contains(c.Summary, want) {
		t.Errorf("%q does not say that %s", c.Summary, want)
	}
}

// Rounds of one second are joined: dots alone would be no line to follow.
func TestTimelinesOfShortRoundsAreNotInterrupted(t *testing.T) {
	s := Scenario{Load: Load{BlockSeconds: 1}, Targets: []Target{{Name: "x", Series: []Second{{1, 0, 100, 200}, {1, 0, 150, 300}, {1, 0, 100, 200}}}}}
	c := s.timelines()[0]
	if strings.Count(c.Curves[1].Path, "L") != 2 || len(c.Bands) != 0 || c.X.Label != "second of measured time" {
		t.Errorf("%q, %d bands, %q", c.Curves[1].Path, len(c.Bands), c.X.Label)
	}
}

func TestReadingsAreInOrder(t *testing.T) {
	s := everything(t).Scenarios[0]
	for _, c := range append(s.timelines(), s.distribution()) {
		var all [][2]any
		if err := json.Unmarshal([]byte(c.Readings), &all); err != nil {
			t.Fatal(err)
		}
		if len(all) < 100 {
			t.Errorf("%s has only %d readings", c.Title, len(all))
		}
		last := c.Frame.Left - 1
		for _, r := range all {
			x := r[0].(float64)
			if x < last || x > c.Frame.Right {
				t.Errorf("%s: %v is not behind %g and within the chart", c.Title, r, last)
			}
			last = x
		}
	}
}

func TestRoundTicks(t *testing.T) {
	for n, want := range map[int][]float64{
		1: {1}, 2: {1, 2}, 5: {1, 2, 3, 4, 5}, 6: {1, 2, 4, 6}, 20: {1, 4, 8, 12, 16, 20},
		30: {1, 10, 20, 30}, 100: {1, 20, 40, 60, 80, 100},
	} {
		if diff := cmp.Diff(want, roundTicks(n)); diff != "" {
			t.Errorf("%d rounds (-want +got):\n%s", n, diff)
		}
	}
}

// One stall must not press the other rounds flat, and is not hidden either.
func TestStallsAreDrawnAtTheEndOfTheAxis(t *testing.T) {
	budget := 500.0
	c := Comparison{Base: "direct", Test: "outrider"}
	f := Finding{What: "p99", Unit: unitMicros, Added: 300, Interval: &stats.Interval{Low: 280, High: 320}, Budget: &budget}
	ch := c.roundChart(f, []float64{290, 310, 300, 305, 90_000, -4000, 295}, 1)
	classes := map[string]int{}
	for _, m := range ch.Marks {
		classes[strings.Fields(m.Class)[0]]++
	}
	if classes["dot"] != 5 || classes["beyond"] != 2 {
		t.Errorf("marks are %v", classes)
	}
	if top := ch.Y.Ticks[len(ch.Y.Ticks)-1]; top.Label != "+500 µs" {
		t.Errorf("the axis ends at %s, want the budget", top.Label)
	}
	if ch.Marks[4].Title != "round 5: +90.0 ms" || !strings.HasSuffix(ch.Marks[4].Path, above) || !strings.HasSuffix(ch.Marks[5].Path, below) {
		t.Errorf("stalls are %v and %v", ch.Marks[4], ch.Marks[5])
	}
	if len(ch.Rules) != 3 || ch.Rules[2].Label != "budget +500 µs" || len(ch.Bands) != 1 {
		t.Errorf("rules %v, bands %v", ch.Rules, ch.Bands)
	}
}

func TestWhichFindingsAreCharted(t *testing.T) {
	most := 1.0
	c := Comparison{Base: "direct", Findings: []Finding{
		{What: "p50", Unit: unitMicros},
		{What: "p75", Unit: unitMicros},
		{What: "p90", Unit: unitMicros, Budget: &most},
		{What: "p99", Unit: unitMicros, Budget: &most, Absolute: true},
		{What: "p99", Unit: unitMicros, Budget: &most},
		{What: "errors", Unit: unitShare, Budget: &most},
	}}
	var got []string
	for _, f := range c.charted() {
		if f.What == "p99" && f.Absolute {
			t.Error("of two budgets of p99 the one is drawn that the dots say nothing about")
		}
		got = append(got, f.What)
	}
	if diff := cmp.Diff([]string{"p50", "p90", "p99"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Targets that a report does not have, or rounds that differ, are no reason to fail.
func TestRoundsOfWhatIsNotThere(t *testing.T) {
	d := short(t)
	s := d.Scenarios[0]
	c := s.Comparisons[0]
	s.Targets[1].Rounds = append(s.Targets[1].Rounds, Round{Micros: map[string]float64{"p99": math.Inf(1)}})
	if charts := s.roundCharts(c); len(charts) != 3 || len(charts[0].Marks) != 3 {
		t.Errorf("%d charts", len(charts))
	}
	c.Base = "gone"
	if charts := s.roundCharts(c); charts != nil {
		t.Errorf("%d charts without a base", len(charts))
	}
	s.Targets[0].Rounds[1].Micros = nil
	c.Base = "direct"
	if charts := s.roundCharts(c); len(charts) != 3 || len(charts[0].Marks) != 2 {
		t.Errorf("a round without percentiles is drawn: %d charts", len(charts))
	}
}

func TestLabelsOfCurvesAreNotWrittenOverEachOther(t *testing.T) {
	s := Scenario{Load: Load{BlockSeconds: 2}, Targets: []Target{{Name: "x", Series: []Second{{1, 0, 199, 200}, {1, 0, 199, 200}}}}}
	c := s.timelines()[0].Curves
	if d := c[0].LabelY - c[1].LabelY; d < labelHeight-1e-9 {
		t.Errorf("labels are %g apart", d)
	}
	if lastY([]plot.Point{plot.Gap()}) != 0 {
		t.Error("a curve without points has an end")
	}
}
