package budget

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/loadtest/stats"
)

func TestParse(t *testing.T) {
	got, err := Parse("p99=+500us, p50=+150us,p99.9=20ms,errors=0.1%,cpu=60us,rss=20MiB")
	want := Budget{
		Asked: true,
		Latency: []Latency{
			{"p99", 0.99, true, 500 * time.Microsecond},
			{"p50", 0.5, true, 150 * time.Microsecond},
			{"p99.9", 0.999, false, 20 * time.Millisecond},
		},
		Failures: 0.001, CPU: 60 * time.Microsecond, RSS: 20 << 20,
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	bad := []struct{ text, says string }{
		{"", "write p99=+500us"},
		{"p99", "write p99=+500us"},
		{"p99=", "write p99=+500us"},
		{"=5ms", "write p99=+500us"},
		{"p99=5ms,", "write p99=+500us"},
		{"p99=5ms,p99=6ms", "twice"},
		{"p99=5", "is no time"},
		{"p99=-5ms", "is no time"},
		{"p99=++5ms", "is no time"},
		{"p0=5ms", "no percentile"},
		{"p101=5ms", "no percentile"},
		{"px=5ms", "no percentile"},
		{"p+5=5ms", "no percentile"},
		{"pNaN=5ms", "no percentile"},
		{"q99=5ms", "want a percentile"},
		{"errors=1", "is no share"},
		{"errors=-1%", "is no share"},
		{"errors=101%", "is no share"},
		{"cpu=fast", "is no time"},
		{"rss=20", "no amount"},
		{"rss=20MB", "no amount"},
		{"rss=-1MiB", "no amount"},
		{"rss=9999999999GiB", "no amount"},
	}
	if len(bad) < 23 {
		t.Fatalf("only %d cases", len(bad))
	}
	for _, c := range bad {
		if b, err := Parse(c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %+v, %v, want %q in it", c.text, b, err, c.says)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name  string
		in    stats.Interval
		known bool
		want  Verdict
	}{
		{"all of it is below", stats.Interval{Low: 10, High: 90}, true, Holds},
		{"its end is the budget", stats.Interval{Low: 10, High: 100}, true, Holds},
		{"the budget lies within", stats.Interval{Low: 90, High: 110}, true, Undecided},
		{"its beginning is the budget", stats.Interval{Low: 100, High: 110}, true, Undecided},
		{"all of it is above", stats.Interval{Low: 101, High: 110}, true, Exceeded},
		{"below zero", stats.Interval{Low: -20, High: -10}, true, Holds},
		{"nothing is known", stats.Interval{}, false, Undecided},
	} {
		if got := Judge(c.in, c.known, 100); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		failed, n int64
		share     float64
		want      Verdict
	}{
		{0, 1000, 0, Holds},
		{1, 1000, 0, Exceeded},
		{1, 1000, 0.001, Holds},
		{2, 1000, 0.001, Exceeded},
		{0, 0, 0.5, Undecided},
	} {
		if got := JudgeFailures(c.failed, c.n, c.share); got != c.want {
			t.Errorf("%d of %d, %g allowed: %s, want %s", c.failed, c.n, c.share, got, c.want)
		}
	}
}

func TestWorst(t *testing.T) {
	for _, c := range []struct {
		of   []Verdict
		want Verdict
	}{
		{nil, Holds},
		{[]Verdict{Holds, Holds}, Holds},
		{[]Verdict{Holds, Undecided, Holds}, Undecided},
		{[]Verdict{Undecided, Exceeded, Holds}, Exceeded},
		{[]Verdict{Exceeded, Undecided}, Exceeded},
	} {
		if got := Worst(c.of...); got != c.want {
			t.Errorf("%v: %s, want %s", c.of, got, c.want)
		}
	}
}
