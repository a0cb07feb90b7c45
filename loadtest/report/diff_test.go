package report

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/loadtest/stats"
)

// charges is one scenario of two targets, as a run of some day shows it.
func charges(t testing.TB, seed uint64, change func(*experiment)) *Document {
	t.Helper()
	e := experiment{
		name: "charges", load: openLoop("400", 16), perSec: 400, budgets: "p99=+500us", targets: []simulation{direct(), sidecar()},
	}
	if change != nil {
		change(&e)
	}
	return document(e.run(t, seed))
}

// pairs are two reports each, with what is to be found.
func pairs(t testing.TB) map[string]struct {
	older, newer *Document
	want         Outcome
} {
	t.Helper()
	was := charges(t, 11, nil)
	slower := func(e *experiment) { e.targets[1].median, e.targets[1].watched[1].CPU = 360, 110 }
	elsewhere := charges(t, 12, slower)
	elsewhere.Machine.CPUModel, elsewhere.Machine.Kernel = "Intel Xeon 8370C", "6.11.0"
	renamed := charges(t, 12, func(e *experiment) { e.name = "payments" })
	renamed.Scenarios = append(renamed.Scenarios, was.Scenarios...)
	return map[string]struct {
		older, newer *Document
		want         Outcome
	}{
		"itself": {was, was, Undecided},
		"worse":  {was, charges(t, 12, slower), Worse},
		"improved": {charges(t, 12, func(e *experiment) {
			slower(e)
			e.budgets = "" // that there was no budget is no matter
		}), was, Improved},
		"failing": {was, charges(t, 12, func(e *experiment) { e.targets[1].failing = 0.01 }), Worse},
		"slower machine": {was, charges(t, 12, func(e *experiment) {
			e.targets[0].median, e.targets[1].median = 240, 240+318-212
		}), Undecided},
		"another machine": {was, elsewhere, Undecided},
		"another load":    {was, charges(t, 12, func(e *experiment) { slower(e); e.load.Rate, e.load.Callers = "500", 64 }), Undecided},
		"too few rounds":  {was, charges(t, 12, func(e *experiment) { slower(e); e.load.Rounds = 4 }), Undecided},
		"late generator":  {was, charges(t, 12, func(e *experiment) { slower(e); e.targets[1].late = 900; e.doubts = []string{"late"} }), Undecided},
		"target gone": {charges(t, 12, func(e *experiment) { e.targets[0].median = 280 }), charges(t, 11, func(e *experiment) {
			e.targets = e.targets[:1]
		}), Undecided},
		"scenario gone": {document(append(renamed.Scenarios[:1:1], charges(t, 12, slower).Scenarios...)...), was, Undecided},
		"scenario new":  {was, renamed, Undecided},
		"one target": {alone(t), document(experiment{
			name: "charges", load: openLoop("200", 10), perSec: 200, targets: []simulation{{name: "outrider", median: 600, spread: 0.2, late: 12}},
		}.run(t, 5)), Worse},
		"nothing": {document(), document(), Undecided},
		"hostile": {hostile(t), hostile(t), Undecided},
	}
}

func TestDifferences(t *testing.T) {
	all := pairs(t)
	if len(all) < 15 {
		t.Fatalf("only %d pairs", len(all))
	}
	for name, p := range all {
		t.Run(name, func(t *testing.T) {
			d := Diff(p.older, p.newer)
			if d.Outcome != p.want {
				t.Errorf("outcome %q, want %q", d.Outcome, p.want)
			}
			var b strings.Builder
			if err := d.WriteTable(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, "diff/"+strings.ReplaceAll(name, " ", "-")+".txt", b.String())
			checkTerminal(t, b.String())
		})
	}
}

func TestDifferenceAsJSON(t *testing.T) {
	p := pairs(t)["worse"]
	var b strings.Builder
	if err := Diff(p.older, p.newer).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "diff/worse.json", b.String())
	var back Difference
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil || back.Outcome != Worse || len(back.Scenarios) != 1 {
		t.Errorf("it is read back as %+v, %v", back, err)
	}
}

func TestOutcomes(t *testing.T) {
	cases := []struct {
		name       string
		low, high  float64
		difference float64
		want       Outcome
	}{
		{"nothing", 0, 0, 0, Same},
		{"within the tolerance", -9, 9, 0, Same},
		{"as large as the tolerance", -10, 10, 0, Same},
		{"certain, and too small to matter", 2, 8, 5, Same},
		{"certain and large", 12, 30, 20, Worse},
		{"certain, and probably large", 2, 30, 20, Worse},
		{"certain, and probably small", 2, 12, 6, Undecided},
		{"large by chance", -5, 60, 30, Undecided},
		{"anything", -50, 60, 0, Undecided},
		{"certainly less", -30, -12, -20, Improved},
		{"certainly less, probably much", -30, -2, -20, Improved},
		{"certainly less, probably little", -12, -2, -6, Undecided},
	}
	if len(cases) < 12 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if got := outcome(stats.Interval{Low: c.low, High: c.high}, c.difference, 10); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	for want, all := range map[Outcome][]Outcome{
		Worse: {Improved, Worse, Same}, Improved: {Same, Undecided, Improved}, Undecided: {Same, Undecided}, Same: {Same, Same},
	} {
		if got := together(all); got != want {
			t.Errorf("%v together are %s, want %s", all, got, want)
		}
	}
	if got := together(nil); got != Undecided {
		t.Errorf("nothing is %s", got)
	}
}

// The first figures are those of Newcombe's paper (table II, method 10).
func TestFailuresAreComparedAsProportions(t *testing.T) {
	failing := func(n, of int64) Target { return Target{Requests: of - n, Failures: map[string]int64{"status": n}} }
	cases := []struct {
		name      string
		was, is   Target
		low, high float64 // both 0: no interval
		want      Outcome
	}{
		{"48 of 80, then 56 of 70", failing(48, 80), failing(56, 70), 0.0524, 0.3339, Worse},
		{"3 of 10, then 9 of 10", failing(3, 10), failing(9, 10), 0.1705, 0.8090, Worse},
		{"56 of 70, then 48 of 80", failing(56, 70), failing(48, 80), -0.3339, -0.0524, Improved},
		{"none and none", failing(0, 10), failing(0, 5), 0, 0, Same},
		{"none of many, then one", failing(0, 1_000_000), failing(1, 1_000_000), -0.0000029, 0.0000057, Same},
		{"one more of few", failing(1, 100), failing(2, 100), -0.0368, 0.0607, Undecided},
		{"nothing was sent", failing(0, 0), failing(0, 100), -1, 0.037, Undecided},
	}
	if len(cases) < 7 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		f := failureFigure(c.was, c.is)
		if known := c.low != 0 || c.high != 0; known != (f.Interval != nil) {
			t.Errorf("%s: the interval is %v", c.name, f.Interval)
		} else if known && (math.Abs(f.Interval.Low-c.low) > 1e-4 || math.Abs(f.Interval.High-c.high) > 1e-4) {
			t.Errorf("%s: %+v, want %g to %g", c.name, *f.Interval, c.low, c.high)
		}
		f.judge(0.95)
		if f.Outcome != c.want {
			t.Errorf("%s: %s, want %s", c.name, f.Outcome, c.want)
		}
	}
}

// invented is a report whose rounds are drawn at once, without their requests.
func invented(rnd *rand.Rand, slower float64) *Document {
	s := Scenario{Name: "charges", Load: openLoop("1000", 20), Comparisons: []Comparison{{Base: "direct", Test: "outrider"}}}
	base, test := Target{Name: "direct", Requests: 1}, Target{Name: "outrider", Requests: 1}
	for range s.Load.Rounds {
		machine := math.Exp(0.1 * rnd.NormFloat64())
		b, o := Round{Micros: map[string]float64{}}, Round{Micros: map[string]float64{}}
		for i, p := range []string{"p50", "p90", "p99"} {
			noise := 0.02 * math.Pow(2, float64(i))
			b.Micros[p] = machine * 200 * math.Exp(noise*rnd.NormFloat64())
			o.Micros[p] = machine*300*math.Exp(noise*rnd.NormFloat64()) + slower
		}
		base.Rounds, test.Rounds = append(base.Rounds, b), append(test.Rounds, o)
	}
	s.Targets = []Target{base, test}
	return document(s)
}

// Of pairs of runs of the same thing not one in twenty is called worse or improved,
// for all the figures that are looked at; of those that are slower most are found.
// Of 400 pairs that were alike, 16 were called different and 6 of them worse.
func TestChanceIsNotCalledWorse(t *testing.T) {
	if testing.Short() {
		t.Skip("80 comparisons")
	}
	const simulations = 40
	found := map[float64]map[Outcome]int{0: {}, 25: {}}
	for slower, n := range found {
		rnd := rand.New(rand.NewPCG(5, 6))
		for range simulations {
			n[Diff(invented(rnd, 0), invented(rnd, slower)).Outcome]++
		}
	}
	t.Logf("%v", found)
	if n := found[0][Worse] + found[0][Improved]; n > simulations/20+1 {
		t.Errorf("%d of %d pairs that are alike are called different", n, simulations)
	}
	if n := found[25][Worse]; n < simulations*9/10 {
		t.Errorf("only %d of %d that are slower are found", n, simulations)
	}
}

func TestWhatIsOnlyInOneReport(t *testing.T) {
	p := pairs(t)
	d := Diff(p["scenario gone"].older, p["scenario gone"].newer)
	if !slices.Equal(d.OnlyOld, []string{"payments"}) || d.OnlyNew != nil || len(d.Doubts) != 1 {
		t.Errorf("only old %q, only new %q, doubts %q", d.OnlyOld, d.OnlyNew, d.Doubts)
	}
	d = Diff(p["scenario gone"].newer, p["scenario gone"].older)
	if !slices.Equal(d.OnlyNew, []string{"payments"}) || d.OnlyOld != nil || d.Doubts != nil {
		t.Errorf("only old %q, only new %q, doubts %q", d.OnlyOld, d.OnlyNew, d.Doubts)
	}
	c := Diff(p["target gone"].older, p["target gone"].newer).Scenarios[0]
	if !slices.Equal(c.OnlyOld, []string{"outrider"}) || len(c.Changes) != 1 || !c.Changes[0].Counts {
		t.Errorf("only old %q, changes %v", c.OnlyOld, c.Changes)
	}
	c = Diff(p["target gone"].newer, p["target gone"].older).Scenarios[0]
	if !slices.Equal(c.OnlyNew, []string{"outrider"}) {
		t.Errorf("only new %q", c.OnlyNew)
	}
	twice := document(p["worse"].older.Scenarios[0], p["worse"].older.Scenarios[0])
	if d := Diff(twice, twice); len(d.Scenarios) != 1 || len(d.Doubts) != 1 {
		t.Errorf("of a scenario that is there twice: %d, doubts %q", len(d.Scenarios), d.Doubts)
	}
}

// What differs, and whether that is decisive.
func TestOtherLoadsAndMachinesAreTold(t *testing.T) {
	cases := map[string]struct {
		change   func(*Document)
		decisive bool
	}{
		"processor":                         {func(d *Document) { d.Machine.CPUModel = "x" }, true},
		"number of processors":              {func(d *Document) { d.Machine.CPUs = 64 }, true},
		"architecture":                      {func(d *Document) { d.Machine.Arch = "arm64" }, true},
		"kernel":                            {func(d *Document) { d.Machine.Kernel = "x" }, false},
		"Go version":                        {func(d *Document) { d.Machine.Go = "x" }, false},
		"protocol":                          {func(d *Document) { d.Scenarios[0].Load.Protocol = "http2" }, true},
		"request":                           {func(d *Document) { d.Scenarios[0].Load.Request = "GET /" }, true},
		"length of the body":                {func(d *Document) { d.Scenarios[0].Load.BodyBytes = 1 }, true},
		"kind of arrivals":                  {func(d *Document) { d.Scenarios[0].Load.Arrivals = "even" }, true},
		"rate":                              {func(d *Document) { d.Scenarios[0].Load.Rate = "1" }, true},
		"number of callers":                 {func(d *Document) { d.Scenarios[0].Load.Callers = 1 }, true},
		"number of callers to a connection": {func(d *Document) { d.Scenarios[0].Load.Streams = 4 }, true},
		"number of rounds":                  {func(d *Document) { d.Scenarios[0].Load.Rounds = 99 }, false},
		"length of the warm-up":             {func(d *Document) { d.Scenarios[0].Load.WarmupSeconds = 9 }, false},
		"length of a round":                 {func(d *Document) { d.Scenarios[0].Load.BlockSeconds = 9 }, false},
	}
	if len(cases) < 15 {
		t.Fatalf("only %d cases", len(cases))
	}
	for what, c := range cases {
		was, is := short(t), short(t)
		c.change(is)
		d := Diff(was, is)
		doubts := slices.Concat(d.Doubts, d.Scenarios[0].Doubts)
		if len(doubts) != 1 || !strings.HasPrefix(doubts[0], "another "+what+": ") {
			t.Errorf("%s: doubts are %q", what, doubts)
		}
		if d.Scenarios[0].Incomparable != c.decisive {
			t.Errorf("%s: incomparable is %t", what, d.Scenarios[0].Incomparable)
		}
	}
}

func TestPercentilesAreInOrderAndCommon(t *testing.T) {
	of := func(names ...string) *Target {
		r := Round{Micros: map[string]float64{}}
		for _, n := range names {
			r.Micros[n] = 1
		}
		return &Target{Rounds: []Round{{}, r}}
	}
	got := commonPercentiles(of("p99.9", "p50", "p99", "p5", "not one", "p10"), of("p5", "p99.9", "p50", "p99", "not one"))
	if diff := cmp.Diff([]string{"p5", "p50", "p99", "p99.9"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
