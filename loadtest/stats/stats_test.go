package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestCenters(t *testing.T) {
	for _, c := range []struct {
		name            string
		values          []float64
		median, trimmed float64
	}{
		{"one", []float64{3}, 3, 3},
		{"two", []float64{1, 3}, 2, 2},
		{"unsorted", []float64{9, 1, 5}, 5, 5},
		{"five without its ends", []float64{100, 1, 2, 3, -100}, 2, 2},
		{"ten without two at each end", []float64{1e9, 1e8, 5, 6, 7, 8, 9, 10, -1e8, -1e9}, 7.5, 7.5},
	} {
		if got := Median(c.values); got != c.median {
			t.Errorf("%s: median %g, want %g", c.name, got, c.median)
		}
		if got := TrimmedMean(c.values); got != c.trimmed {
			t.Errorf("%s: trimmed mean %g, want %g", c.name, got, c.trimmed)
		}
	}
	if !math.IsNaN(Median(nil)) || !math.IsNaN(TrimmedMean(nil)) {
		t.Error("nothing has a center")
	}
}

// population draws the difference of two percentiles as a comparison of two
// systems sees it in one round: noise that both share cancels out, the rest
// does not, and now and then the machine stalls under one of them.
type population struct {
	name   string
	rounds int
	draw   func(*rand.Rand) float64
}

func populations() []population {
	logNormal := func(r *rand.Rand, sigma float64) float64 { return math.Exp(sigma * r.NormFloat64()) }
	return []population{
		{"normal noise, 20 rounds", 20, func(r *rand.Rand) float64 { return 500 + 100*r.NormFloat64() }},
		{"normal noise, 8 rounds", 8, func(r *rand.Rand) float64 { return 500 + 100*r.NormFloat64() }},
		{"skewed noise, 20 rounds", 20, func(r *rand.Rand) float64 { return 300 * logNormal(r, 0.4) }},
		{"differences of skewed percentiles, 30 rounds", 30, func(r *rand.Rand) float64 {
			return 900*logNormal(r, 0.2) - 400*logNormal(r, 0.2)
		}},
		{"stalls in one round of twenty, 20 rounds", 20, func(r *rand.Rand) float64 {
			d := 200 + 40*r.NormFloat64()
			if r.IntN(20) == 0 {
				d += 5000 * (r.Float64() - 0.5)
			}
			return d
		}},
	}
}

// truth is the trimmed mean of the population itself.
func (p population) truth() float64 {
	r := rand.New(rand.NewPCG(99, 99))
	values := make([]float64, 400_000)
	for i := range values {
		values[i] = p.draw(r)
	}
	return TrimmedMean(values)
}

// An interval of 95 % holds the truth 95 times of 100: in 2,000 simulated
// comparisons between 93 and 97 %.
func TestIntervalsHoldTheTruthAsOftenAsTheySay(t *testing.T) {
	if testing.Short() {
		t.Skip("2,000 simulations of each population")
	}
	all := populations()
	if len(all) < 5 {
		t.Fatalf("only %d populations", len(all))
	}
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			const simulations = 2000
			truth, held := p.truth(), 0
			r := rand.New(rand.NewPCG(1, 2))
			for i := range simulations {
				values := make([]float64, p.rounds)
				for j := range values {
					values[j] = p.draw(r)
				}
				in, ok := meanInterval(values, uint64(i), 400) // fewer resamples: the ends jitter, their coverage does not
				if ok && in.Low <= truth && truth <= in.High {
					held++
				}
			}
			share := float64(held) / simulations
			t.Logf("the truth of %.1f is in %.1f %% of the intervals", truth, 100*share)
			if share < 0.93 || share > 0.97 {
				t.Errorf("coverage is %.3f, want 0.93 to 0.97", share)
			}
		})
	}
}

func TestTooFewRoundsDecideNothing(t *testing.T) {
	if in, ok := MeanInterval(make([]float64, MinRounds-1), 1); ok {
		t.Errorf("%v", in)
	}
}

func TestTheSameSeedYieldsTheSameInterval(t *testing.T) {
	values := []float64{5, 3, 8, 1, 9, 4, 7, 6}
	a, _ := MeanInterval(values, 1)
	b, _ := MeanInterval(values, 1)
	c, _ := MeanInterval(values, 2)
	if a != b || a == c {
		t.Errorf("%v, %v, %v", a, b, c)
	}
	if m := TrimmedMean(values); a.Low >= m || a.High <= m {
		t.Errorf("%v does not hold %g", a, m)
	}
}

func TestValuesThatAreAllAlikeLeaveNoDoubt(t *testing.T) {
	in, ok := MeanInterval([]float64{2, 2, 2, 2, 2, 2, 2, 2}, 1)
	if !ok || in.Low != 2 || in.High != 2 {
		t.Errorf("%v, %t", in, ok)
	}
}

// The figures are of the R function binom::binom.wilson.
func TestProportion(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 0, 0, 1},
		{0, 10, 0, 0.2775},
		{10, 10, 0.7225, 1},
		{1, 10, 0.0179, 0.4042},
		{50, 100, 0.4038, 0.5962},
		{411, 575, 0.6765, 0.7502},
	} {
		got := Proportion(c.k, c.n)
		if math.Abs(got.Low-c.low) > 1e-4 || math.Abs(got.High-c.high) > 1e-4 {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", c.k, c.n, got.Low, got.High, c.low, c.high)
		}
	}
}
