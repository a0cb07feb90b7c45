package bench

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/stats"
)

func TestOptions(t *testing.T) {
	cases := []struct{ args, problem string }{ // no problem: accepted
		{"", ""},
		{"--loss 0,0.5,1", ""},
		{"--only grpc --rounds 3 --tcp reno", ""},
		{"--loss 51", "percentage"},
		{"--loss -1", "percentage"},
		{"--loss 1,,2", "percentage"},
		{"--loss NaN", "percentage"},
		{"--rounds 0", "--rounds"},
		{"--block 1ms", "--block"},
		{"--round-trip 2s", "--round-trip"},
		{"--warmup -1s", "--warmup"},
		{"--only smtp", "no load"},
		{"loss", "not understood"},
	}
	if len(cases) < 13 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		o, err := parseOptions(strings.Fields(c.args), io.Discard)
		switch {
		case c.problem == "" && err != nil:
			t.Errorf("%q: %v", c.args, err)
		case c.problem == "" && o.seed == 0:
			t.Errorf("%q: no seed", c.args)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%q: %v, want one about %q", c.args, err, c.problem)
		}
	}
}

// The default run must not take longer than its documentation says, with a minute for
// building and starting.
func TestTheDefaultRunIsShort(t *testing.T) {
	o, cells := defaults(), 0
	for _, l := range loads() {
		cells += len(l.losses(o))
	}
	if cells < 10 {
		t.Errorf("only %d cells", cells)
	}
	if took := time.Duration(cells*len(ways())*o.rounds) * (o.block + o.warmup); took > 7*time.Minute+30*time.Second {
		t.Errorf("%d cells take %v", cells, took)
	}
}

func report() *Report {
	at := func(mean float64) Figure {
		return Figure{Mean: mean, Interval: &stats.Interval{Low: mean - 1, High: mean + 1}}
	}
	way := func(p99 float64) Way {
		return Way{P50: at(20), P99: at(p99), Max: 300, CPU: at(100), Requests: 1000, PerSecond: 200}
	}
	r := &Report{Date: time.Unix(0, 0).UTC(), Command: []string{"lossy"}, RoundTrip: 20 * time.Millisecond, Rounds: 8, Congestion: "reno"}
	for _, l := range loads() {
		c := Cell{Load: l, Loss: 0.01, TCP: way(250), QUIC: way(60), LessP99: at(190), CPU: at(2)}
		if l.Rate == 0 {
			c.Loss = 0
		}
		r.Cells = append(r.Cells, c)
	}
	return r
}

func TestTheReportSaysWhatAReaderMustKnow(t *testing.T) {
	r := report()
	r.Cells[0].TCP.Failed, r.Cells[0].TCP.First = 3, "connection reset"
	r.Cells[1].QUIC.LateP99, r.Cells[1].Others = tooLate+1, noisy+0.1
	r.Cells[2].QUIC.Unsent = 7
	text := r.Markdown()
	wants := []string{
		"TCP with reno", "8 rounds", "round trip 20ms",
		"| 1 % | 20.0 | 20.0 | 250.0 | 249.0…251.0 | 60.0 | 59.0…61.0 | +190.0 | +189.0…+191.0 |",
		"3 requests over TCP FAILED, the first: connection reset",
		"3.0 ms late over QUIC", "other programs took 25 %", "7 requests over QUIC could not be sent",
		"CPU time in µs per request over both sidecars", "| 2.00 | 1.00…3.00 |",
	}
	if len(wants) < 10 {
		t.Fatalf("only %d", len(wants))
	}
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, l := range loads() {
		if !strings.Contains(text, l.What) {
			t.Errorf("%s is not reported", l.Name)
		}
	}
}

func TestThePageHasItsPlace(t *testing.T) {
	if err := Page().Check("../../../docs/benchmarks.md"); err != nil {
		t.Error(err)
	}
}
