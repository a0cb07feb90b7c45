package report

import (
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestMetrics(t *testing.T) {
	all := documents(t)
	if len(all) < 8 {
		t.Fatalf("only %d documents", len(all))
	}
	for name, d := range all {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := d.WritePrometheus(&b); err != nil {
				t.Fatal(err)
			}
			checkExposition(t, b.String())
			if name == "failing" || name == "hostile" {
				golden(t, "prometheus/"+name+".txt", b.String())
			}
		})
	}
}

// checkExposition reads the text as a collector does, and finds nothing to be
// said against its names.
func checkExposition(t *testing.T, text string) {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(families) < 3 {
		t.Errorf("only %d metrics", len(families))
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// What is written is what was measured, in base units.
func TestMetricsAreInBaseUnits(t *testing.T) {
	d := everything(t)
	var b strings.Builder
	if err := d.WritePrometheus(&b); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	target := d.Scenarios[0].Targets[1]
	summaries := families["outrider_load_latency_seconds"].GetMetric()
	if len(summaries) != 5 {
		t.Fatalf("%d summaries, want one for each of 5 targets", len(summaries))
	}
	s := summaries[1].GetSummary()
	if got := s.GetQuantile()[3]; got.GetQuantile() != 0.99 || math.Abs(got.GetValue()*1e6-target.Latency.P99) > 1e-6 {
		t.Errorf("p99 is %v, want %g µs", got, target.Latency.P99)
	}
	if s.GetSampleCount() != uint64(target.Requests) {
		t.Errorf("%d samples, want %d", s.GetSampleCount(), target.Requests)
	}
	held := 0
	for _, m := range families["outrider_load_run_verdict"].GetMetric() {
		if m.GetGauge().GetValue() == 1 {
			held++
			if got := m.GetLabel()[0].GetValue(); got != "exceeded" {
				t.Errorf("the verdict is %q", got)
			}
		}
	}
	if held != 1 {
		t.Errorf("%d verdicts are 1", held)
	}
	if n := len(families["outrider_load_generator_late_seconds"].GetMetric()); n != 3 {
		t.Errorf("the lateness of %d targets, want that of the 3 in an open loop", n)
	}
}

// A collector refuses a file with two values of one series; we rather write none.
func TestMetricsOfTwoAlikeAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Document){
		"scenarios": func(d *Document) { d.Scenarios = append(d.Scenarios, d.Scenarios[0]) },
		"targets":   func(d *Document) { d.Scenarios[0].Targets[1].Name = "direct" },
		"watched":   func(d *Document) { d.Scenarios[0].Targets[1].Watched[1].Name = "app" },
	} {
		d := unbounded(t)
		spoil(d)
		var b strings.Builder
		if err := d.WritePrometheus(&b); err == nil || b.Len() > 0 {
			t.Errorf("%s: error %v, %d bytes", name, err, b.Len())
		}
	}
}

// One percentile may have two budgets.
func TestMetricsOfTwoBudgetsOfOnePercentile(t *testing.T) {
	d := alone(t)
	c := &d.Scenarios[0].Comparisons[0]
	again := c.Findings[3]
	again.Absolute = false
	c.Base, c.Findings = "direct", append(c.Findings, again)
	var b strings.Builder
	if err := d.WritePrometheus(&b); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), `outrider_load_budget_seconds{scenario="charges",base="direct",target="outrider",percentile="p99"`); n != 2 {
		t.Errorf("%d budgets of p99, want 2", n)
	}
}

// Whatever stands in a name is read back as it was, but for what is no text.
func TestNamesAreEscapedInMetrics(t *testing.T) {
	names := map[string]string{
		"two\nlines": "two\nlines", `back\slash`: `back\slash`, `a "quote"`: `a "quote"`, `\n`: `\n`, "{x=1} 2": "{x=1} 2", "no \xff text": "no \ufffd text",
	}
	if len(names) < 6 {
		t.Fatalf("only %d names", len(names))
	}
	for name, want := range names {
		d := unbounded(t)
		d.Scenarios[0].Name = name
		var b strings.Builder
		if err := d.WritePrometheus(&b); err != nil {
			t.Fatal(err)
		}
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(b.String()))
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if got := families["outrider_load_doubts"].GetMetric()[0].GetLabel()[0].GetValue(); got != want {
			t.Errorf("%q is read back as %q, want %q", name, got, want)
		}
	}
}
