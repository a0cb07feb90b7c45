package attack

import (
	"math"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/loadtest/budget"
)

func TestGates(t *testing.T) {
	share := func(p float64) *float64 { return &p }
	cases := []struct {
		name        string
		gates       Gates
		detected    [2]int // of how many
		alarms      [2]int
		errors, all int
		want        budget.Verdict
		note        string // in the first gate's
	}{
		{"no gates, no verdict", Gates{}, [2]int{0, 10}, [2]int{10, 10}, 0, 20, "", ""},
		{"detection is surely high enough", Gates{MinDetection: share(0.7)}, [2]int{80, 100}, [2]int{}, 0, 100, budget.Holds, ""},
		{"detection is surely too low", Gates{MinDetection: share(0.7)}, [2]int{60, 100}, [2]int{}, 0, 100, budget.Exceeded, ""},
		{"detection may be either", Gates{MinDetection: share(0.7)}, [2]int{72, 100}, [2]int{}, 0, 100, budget.Undecided, "100 attacks are too few to tell 72.0 % from 70.0 %"},
		{"no attack at all", Gates{MinDetection: share(0.7)}, [2]int{}, [2]int{0, 10}, 0, 10, budget.Undecided, ""},
		{"everything, of very few", Gates{MinDetection: share(0.7)}, [2]int{3, 3}, [2]int{}, 0, 3, budget.Undecided, "3 attacks are too few"},
		{"false positives are surely few", Gates{MaxFalseAlarms: share(0.01)}, [2]int{}, [2]int{0, 400}, 0, 400, budget.Holds, ""},
		{"the least number that shows it", Gates{MaxFalseAlarms: share(0.01)}, [2]int{}, [2]int{0, 381}, 0, 381, budget.Holds, ""},
		{"one less does not", Gates{MaxFalseAlarms: share(0.01)}, [2]int{}, [2]int{0, 380}, 0, 380, budget.Undecided, "it takes 381 benign requests"},
		{"false positives are surely many", Gates{MaxFalseAlarms: share(0.01)}, [2]int{}, [2]int{10, 100}, 0, 100, budget.Exceeded, ""},
		{"false positives may be either", Gates{MaxFalseAlarms: share(0.01)}, [2]int{}, [2]int{1, 100}, 0, 100, budget.Undecided, "100 benign requests are too few to tell 1.00 % from 1.00 %"},
		{"none may be: one is too many", Gates{MaxFalseAlarms: share(0)}, [2]int{}, [2]int{1, 100}, 0, 100, budget.Exceeded, ""},
		{"both are kept", Gates{MinDetection: share(0.5), MaxFalseAlarms: share(0.05)}, [2]int{80, 100}, [2]int{0, 100}, 0, 200, budget.Holds, ""},
		{"one violated is enough", Gates{MinDetection: share(0.9), MaxFalseAlarms: share(0.05)}, [2]int{80, 100}, [2]int{0, 100}, 0, 200, budget.Exceeded, ""},
		{"one undecided spoils one kept", Gates{MinDetection: share(0.5), MaxFalseAlarms: share(0.01)}, [2]int{80, 100}, [2]int{0, 100}, 0, 200, budget.Undecided, ""},
		{"as many errors as there may be", Gates{MinDetection: share(0.7), MaxErrors: 0.02}, [2]int{80, 98}, [2]int{}, 2, 100, budget.Holds, ""},
		{"one more decides nothing", Gates{MinDetection: share(0.7), MaxErrors: 0.02}, [2]int{80, 97}, [2]int{}, 3, 100, budget.Undecided, ""},
		{"not even what is surely too low", Gates{MinDetection: share(0.7)}, [2]int{1, 97}, [2]int{}, 3, 100, budget.Undecided, ""},
		{"nor without gates", Gates{}, [2]int{1, 97}, [2]int{}, 3, 100, budget.Undecided, ""},
	}
	if len(cases) < 19 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := &Report{Detection: shareOf(c.detected[0], c.detected[1]), FalseAlarms: shareOf(c.alarms[0], c.alarms[1])}
			c.gates.judge(r, c.errors, c.all)
			if r.Verdict != c.want {
				t.Errorf("verdict %q, want %q: %+v", r.Verdict, c.want, r)
			}
			inconclusive := float64(c.errors) > c.gates.MaxErrors*float64(c.all)
			if (r.Inconclusive != "") != inconclusive {
				t.Errorf("inconclusive: %q", r.Inconclusive)
			}
			for _, g := range r.Gates {
				if inconclusive && (g.Verdict != budget.Undecided || g.Note != "") {
					t.Errorf("an inconclusive run has decided %+v", g)
				}
			}
			if len(r.Gates) > 0 && !strings.Contains(r.Gates[0].Note, c.note) {
				t.Errorf("note %q, want %q in it", r.Gates[0].Note, c.note)
			}
		})
	}
}

func TestGatesAreShares(t *testing.T) {
	for _, bad := range []float64{-0.1, 1.1, 70, math.NaN()} {
		for _, g := range []Gates{{MinDetection: &bad}, {MaxFalseAlarms: &bad}, {MaxErrors: bad}} {
			if g.check() == nil {
				t.Errorf("%g is taken", bad)
			}
		}
	}
}

func TestSharesOfNothingAreUnknown(t *testing.T) {
	if s := shareOf(0, 0); s != (Share{High: 1}) {
		t.Errorf("%+v", s)
	}
	if s := shareOf(1, 4); s.Rate != 0.25 || s.Low >= 0.25 || s.High <= 0.25 {
		t.Errorf("%+v", s)
	}
}
