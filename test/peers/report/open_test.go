package report

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/stats"
)

// open is a sample of an open loop.
func open(peer string, round int, p50, p99 float64) Sample {
	return Sample{
		Load: Load{Connections: 32, Size: 1024, Rate: 1000}, Peer: peer, Round: round, Requests: 1500, StolenShare: 0.06,
		Figures: Figures{CPUMicros: p50 / 2, P50Micros: p50, P99Micros: p99},
	}
}

// rounds are eight samples of a peer, whose p99 differs from the base of the round
// by add and a little more or less.
func rounds(peer string, add, wobble float64) []Sample {
	var all []Sample
	for round := range 8 {
		base := float64(1000 * (round + 1)) // what the machine does meanwhile
		all = append(all, open(peer, round, base/2+add, base+add+wobble*float64(round%3-1)))
	}
	return all
}

func TestAddedLatencyIsTakenWithinTheRound(t *testing.T) {
	samples := append(rounds(Direct, 0, 0), rounds("outrider", 300, 10)...)
	o := SummariseOpen(samples, []string{Direct, "outrider", "absent"}, 1)
	if len(o.Results) != 2 || o.Rounds != 8 || o.Rate != 1000 || o.Connections != 32 {
		t.Fatalf("%d results, %d rounds, load %s", len(o.Results), o.Rounds, o.Load)
	}
	r := o.Results[1]
	// The machine's own seven thousand microseconds up and down are not in it.
	for _, d := range []Difference{r.AddedP50, r.AddedP99} {
		if math.Abs(d.Micros-300) > 5 || d.Interval == nil || d.Interval.Low < 285 || d.Interval.High > 315 {
			t.Errorf("added is %s", d)
		}
	}
	if direct := o.Results[0]; direct.AddedP99.Micros != 0 || r.Requests != 8*1500 || r.CPUMicros != 1275 {
		t.Errorf("direct adds %s; %d requests, %v µs", direct.AddedP99, r.Requests, r.CPUMicros)
	}
}

func TestFewRoundsAddWithoutAnInterval(t *testing.T) {
	o := SummariseOpen(append(rounds(Direct, 0, 0)[:stats.MinRounds-1], rounds("outrider", 300, 0)[:stats.MinRounds-1]...), []string{Direct, "outrider"}, 1)
	if d := o.Results[1].AddedP99; d.Micros != 300 || d.Interval != nil {
		t.Errorf("added is %s", d)
	}
	if o.Goals[0].Verdict != budget.Undecided {
		t.Errorf("the goal is %s", o.Goals[0].Verdict)
	}
}

func TestGoals(t *testing.T) {
	with := func(samples []Sample, change func(*Sample)) []Sample {
		for i := range samples {
			change(&samples[i])
		}
		return samples
	}
	late := func(s *Sample) { s.LateP99Micros = 1500 }
	unsent := func(s *Sample) { s.Unsent = 1 }
	void := func(s *Sample) { s.Errors = 1 }
	const holds, exceeded, undecided = budget.Holds, budget.Exceeded, budget.Undecided
	cases := []struct {
		name                  string
		direct, outrider, own []Sample // own: nginx's
		added, versus         budget.Verdict
	}{
		{"less than allowed, and less than the other", rounds(Direct, 0, 0), rounds("outrider", 300, 10), rounds("nginx", 400, 10), holds, holds},
		{"more than allowed, and more than the other", rounds(Direct, 0, 0), rounds("outrider", 600, 10), rounds("nginx", 400, 10), exceeded, exceeded},
		{"about as much as allowed", rounds(Direct, 0, 0), rounds("outrider", 500, 30), rounds("nginx", 600, 10), undecided, holds},
		{"about as much as the other", rounds(Direct, 0, 0), rounds("outrider", 300, 30), rounds("nginx", 300, 10), holds, undecided},
		{"a generator that was late", rounds(Direct, 0, 0), with(rounds("outrider", 300, 10), late), rounds("nginx", 400, 10), undecided, undecided},
		{"one that was late at the base", with(rounds(Direct, 0, 0), late), rounds("outrider", 300, 10), rounds("nginx", 400, 10), undecided, holds},
		{"requests that were not sent", rounds(Direct, 0, 0), with(rounds("outrider", 300, 10), unsent), rounds("nginx", 400, 10), undecided, undecided},
		{"errors of the other", rounds(Direct, 0, 0), rounds("outrider", 300, 10), with(rounds("nginx", 400, 10), void), holds, undecided},
		{"errors of our own", rounds(Direct, 0, 0), with(rounds("outrider", 300, 10), void), rounds("nginx", 400, 10), undecided, undecided},
	}
	if len(cases) < 9 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		o := SummariseOpen(append(append(c.direct, c.outrider...), c.own...), []string{Direct, "outrider", "nginx"}, 1)
		if len(o.Goals) != 2 {
			t.Fatalf("%s: %d goals", c.name, len(o.Goals))
		}
		got := []budget.Verdict{o.Goals[0].Verdict, o.Goals[1].Verdict}
		if diff := cmp.Diff([]budget.Verdict{c.added, c.versus}, got); diff != "" {
			t.Errorf("%s: %s%s, %s", c.name, diff, o.Goals[0].Figure, o.Goals[1].Figure)
		}
	}
	if o := SummariseOpen(rounds("nginx", 0, 0), []string{"nginx"}, 1); o.Goals != nil {
		t.Errorf("goals without Outrider: %+v", o.Goals)
	}
}
