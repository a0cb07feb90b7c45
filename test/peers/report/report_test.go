package report

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/peers/engines"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMedian(t *testing.T) {
	cases := []struct {
		name   string
		values []float64
		want   float64
	}{
		{"of nothing is zero", nil, 0},
		{"of one is itself", []float64{3}, 3},
		{"of an odd number is the middle one", []float64{9, 1, 5}, 5},
		{"of an even number is the mean of two", []float64{4, 1, 9, 2}, 3},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := append([]float64(nil), c.values...)
			if got := Median(c.values); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if diff := cmp.Diff(before, c.values); diff != "" {
				t.Errorf("the argument was changed: %s", diff)
			}
		})
	}
}

// cpu is a sample of which only CPU time matters.
func cpu(peer string, round int, micros float64) Sample {
	return Sample{
		Load: Load{Connections: 32, Size: 1024}, Peer: peer, Round: round, Requests: 1,
		Figures: Figures{CPUMicros: micros, Throughput: 1000 / micros, P99Micros: 10 * micros},
	}
}

func broken(s Sample) Sample {
	s.Errors, s.FirstError = 2, "connection reset"
	return s
}

func TestRatios(t *testing.T) {
	cases := []struct {
		name    string
		samples []Sample
		better  string
		ratio   float64 // of outrider
	}{
		{"the rival with the lower median is the mark", []Sample{
			cpu("outrider", 0, 20), cpu("nginx", 0, 50), cpu("haproxy", 0, 40),
		}, "haproxy", 0.5},
		{"rounds are paired before the median is taken", []Sample{
			cpu("outrider", 0, 10), cpu("outrider", 1, 90), cpu("outrider", 2, 30),
			cpu("nginx", 2, 30), cpu("nginx", 0, 20), cpu("nginx", 1, 100),
		}, "nginx", 0.9},
		{"a round that one of them lacks is left out", []Sample{
			cpu("outrider", 0, 10), cpu("outrider", 7, 99), cpu("nginx", 0, 20),
		}, "nginx", 0.5},
		{"a rival with errors is no mark", []Sample{
			cpu("outrider", 0, 20), broken(cpu("nginx", 0, 10)), cpu("haproxy", 0, 40),
		}, "haproxy", 0.5},
		{"envoy is no mark", []Sample{
			cpu("outrider", 0, 20), cpu("envoy", 0, 10), cpu("nginx", 0, 40),
		}, "nginx", 0.5},
		{"without a rival there is no ratio", []Sample{cpu("outrider", 0, 20), cpu("envoy", 0, 10)}, "", 0},
		{"errors of our own void the ratio", []Sample{
			broken(cpu("outrider", 0, 20)), cpu("nginx", 0, 40),
		}, "nginx", 0},
		{"a rival that measured nothing is no mark", []Sample{
			cpu("outrider", 0, 20), cpu("nginx", 0, 0), cpu("haproxy", 0, 40),
		}, "haproxy", 0.5},
	}
	if len(cases) < 8 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cells := Summarise(c.samples, []string{"outrider", "nginx", "haproxy", "envoy"}, Rivals())
			if len(cells) != 1 {
				t.Fatalf("%d cells, want 1", len(cells))
			}
			if got := cells[0].Better; got != c.better {
				t.Errorf("the better rival is %q, want %q", got, c.better)
			}
			if got := cells[0].Results[0].Ratio.CPU; math.Abs(got-c.ratio) > 1e-9 {
				t.Errorf("ratio is %v, want %v", got, c.ratio)
			}
		})
	}
}

func TestSummariseKeepsTheOrderOfLoadsAndPeers(t *testing.T) {
	at := func(connections, size int, peer string) Sample {
		return Sample{Load: Load{Connections: connections, Size: size}, Peer: peer}
	}
	cells := Summarise([]Sample{
		at(32, 0, "b"), at(32, 0, "a"), at(1, 1024, "b"), at(32, 0, "b"), at(1, 1024, "stranger"),
	}, []string{"a", "b", "c"}, Rivals())
	var got []string
	for _, c := range cells {
		for _, r := range c.Results {
			got = append(got, strings.Join([]string{plural(c.Connections, "connection"), bodySize(c.Size), r.Peer}, ", "))
		}
	}
	want := []string{"32 connections, empty body, a", "32 connections, empty body, b", "1 connection, 1 KiB, b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// example is a report with everything in it: a good cell, a cell with a failed
// peer, an absent program, a noisy machine.
func example() *Report {
	mib := func(rss int64) watch.Memory { return watch.Memory{RSS: rss << 20, Anon: rss << 19, PSS: rss << 19} }
	r := &Report{
		Date:    time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC),
		Command: []string{"go", "run", "./test/peers", "--rounds", "2"},
		Machine: watch.Machine{CPUModel: "Example CPU", CPUs: 2, Kernel: "6.1.0", Arch: "amd64", Go: "go1.26.0"},
		Setup:   Setup{Rounds: 2, BlockSeconds: 1.5, WarmupSeconds: 0.3, Seed: 7, Fairness: []string{"the same for all"}},
		Peers: []Peer{
			{Name: "outrider", Version: "outrider/1", Processes: 2},
			{Name: "nginx", Version: "nginx/1.22.1", Processes: 6},
			{Name: "haproxy", Version: "haproxy/2.6.12", Processes: 2},
		},
		Absent: map[string]string{"envoy": "envoy: not installed"},
		Samples: []Sample{
			cpu("outrider", 0, 30), cpu("nginx", 0, 40), cpu("haproxy", 0, 45),
			cpu("haproxy", 1, 47), cpu("outrider", 1, 34), cpu("nginx", 1, 42),
		},
		Memory: []Memory{{"outrider", mib(10), mib(11), mib(12), mib(13)}, {"nginx", mib(20), mib(21), mib(22), mib(23)}},
	}
	for _, s := range r.Samples[:3] {
		s.Load, s.ForeignShare = Load{Connections: 1, Size: 100}, 0.5
		if s.Peer == "nginx" {
			s = broken(s)
		}
		r.Samples = append(r.Samples, s)
	}
	for i := range r.Samples {
		r.Samples[i].StolenShare = 0.06
	}
	r.Cells = Summarise(r.Samples, []string{"outrider", "nginx", "haproxy"}, Rivals())
	r.Open = exampleOpen()
	r.Inspection = exampleInspection(mib)
	return r
}

// exampleOpen has a program that is faster than Outrider, one that failed, and a
// late generator.
func exampleOpen() *Open {
	peers := []string{Direct, "outrider", "nginx", "haproxy"}
	var samples []Sample
	for round := range 8 {
		wobble := float64(round%4) * 3
		samples = append(samples,
			open(Direct, round, 100+wobble, 200+wobble), open("outrider", round, 250+2*wobble, 500+2*wobble),
			open("nginx", round, 240+wobble, 450+wobble), broken(open("haproxy", round, 1, 2)))
	}
	samples[2].Queued, samples[2].Unsent, samples[2].LateP99Micros = 7, 3, 50
	o := SummariseOpen(samples, peers, 1)
	o.BlockSeconds, o.WarmupSeconds = 1.5, 0.3
	return o
}

func exampleInspection(mib func(int64) watch.Memory) *Inspection {
	load := Load{Connections: 4, Size: 1024, Request: "GET, 3 arguments"}
	at := func(s Sample) Sample { s.Load = load; return s }
	in := Inspected{Name: "GET, 3 arguments", Line: "GET /1024?a=1", Samples: []Sample{
		at(cpu("outrider+waf", 0, 900)), at(cpu(Mark, 0, 1000)), at(cpu("outrider", 0, 50)),
		Void(load, "outrider+waf-mesh", "an attack is answered with 200, not 403"),
	}}
	names := []string{"outrider+waf", "outrider+waf-mesh", Mark, "outrider"}
	in.Closed = Summarise(in.Samples, names, []string{Mark})[0]
	late := open(Mark, 0, 900, 2100)
	late.LateP99Micros = 1200
	in.Open = SummariseOpen([]Sample{open(Direct, 0, 100, 200), open("outrider+waf", 0, 800, 1900), late}, append([]string{Direct}, names...), 1)
	in.Open.Request, in.Open.BlockSeconds = load.Request, 1.5
	return &Inspection{
		Peers:  []Peer{{Name: "outrider+waf", Version: "outrider/1, CRS 4"}, {Name: "outrider+waf-mesh", Version: "outrider/1, CRS 4"}, {Name: Mark, Version: "nginx/1, CRS 3"}, {Name: "outrider", Version: "outrider/1"}},
		Absent: map[string]string{"haproxy": "no module"}, Fairness: []string{"the same rules | for all"},
		Requests: []Inspected{in},
		Memory:   []Memory{{"outrider+waf", mib(10), mib(11), mib(42), mib(63)}},
	}
}

func TestThePartOfAPage(t *testing.T) {
	golden(t, "page.md", example().Markdown())
}

// Inspection has a part of its own, with the engines by themselves first.
func TestThePartOfAPageAboutInspection(t *testing.T) {
	r := example()
	r.Engines = &Engines{
		Names: []string{"stock", "a", "b"}, Rounds: 3, WindowSeconds: 0.2, InspectBytes: 1 << 17,
		Rows: []engines.Row{
			{Name: "GET, 3 arguments", Cells: []engines.Cell{
				{CPUMicros: 1234.5, Allocations: 3000, Times: 1}, {CPUMicros: 12.345, Allocations: 9, Times: 100.2}, {CPUMicros: 9.876, Allocations: 7, Times: 123.4},
			}},
			{Name: "not sent through a hop", Cells: []engines.Cell{{CPUMicros: 5, Times: 1}, {CPUMicros: 5, Times: 1}, {CPUMicros: 5, Times: 1}}},
		},
	}
	golden(t, "waf.md", r.Markdown())
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil || !strings.Contains(b.String(), "123×") {
		t.Errorf("%v, the table is\n%s", err, b.String())
	}
}

func TestTheTableForPeople(t *testing.T) {
	var b strings.Builder
	if err := example().WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", b.String())
}

func TestTheJSONForPrograms(t *testing.T) {
	text, err := json.MarshalIndent(example(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", string(text)+"\n")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-update rewrites it):\n%s", path, diff)
	}
}

func TestTheRepositorysOwnPageHasItsMarkers(t *testing.T) {
	for _, r := range []Report{{}, {Engines: &Engines{}}} {
		if err := r.Page().Check(filepath.Join("..", "..", "..", "docs", "benchmarks.md")); err != nil {
			t.Error(err)
		}
	}
}
