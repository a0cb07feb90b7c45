package main

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/outrider-mesh/outrider/loadtest/hist"
	"github.com/outrider-mesh/outrider/loadtest/report"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// measured is "measured FILE ADDED": it writes the report of a run in which mesh took
// so many microseconds more than direct, in every round a little more or less.
func measured(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: measured FILE MICROSECONDS")
	}
	added, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	const direct = 500
	d := &report.Document{
		Schema: report.Schema, Tool: "outrider-load (test)", Command: []string{"outrider-load"},
		Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Machine: watch.Machine{CPUModel: "A processor", CPUs: 2, Arch: "amd64"},
		Scenarios: []report.Scenario{{
			Name: "load", Load: report.Load{Protocol: "http1", Request: "GET /", Arrivals: "even", Rate: "100", Callers: 1, Streams: 1, Rounds: 20},
			Targets:     []report.Target{steadily(ts, "direct", direct), steadily(ts, "mesh", direct+added)},
			Comparisons: []report.Comparison{{Base: "direct", Test: "mesh"}},
		}},
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(d.WriteJSON(f))
	ts.Check(f.Close())
}

// steadily is a target whose median moves by a thousandth from round to round.
func steadily(ts *testscript.TestScript, name string, median float64) report.Target {
	t := report.Target{Name: name, URL: "http://" + name, Requests: 20000, Due: 20000, Rate: 1000}
	h := hist.New()
	h.Record(time.Duration(median) * time.Microsecond)
	var err error
	t.Latency, err = report.LatencyOf(h, true)
	ts.Check(err)
	for i := range 20 {
		us := median * (1 + float64(i%5-2)/2000)
		t.Rounds = append(t.Rounds, report.Round{Requests: 1000, Micros: map[string]float64{"p50": us}})
	}
	return t
}

// fill is "fill FILE...": it puts the session's variables in place of $NAME.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		if strings.Contains(text, "url: }") {
			ts.Fatalf("%s: a variable is not set:\n%s", name, text)
		}
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}
