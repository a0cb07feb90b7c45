package plot

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTicks(t *testing.T) {
	nan := math.NaN()
	cases := []struct {
		name  string
		scale Scale
		want  []float64
	}{
		{"tens", Linear(0, 47, 6), []float64{0, 10, 20, 30, 40, 50}},
		{"twos", Linear(0, 9, 6), []float64{0, 2, 4, 6, 8, 10}},
		{"fives, around zero", Linear(-3, 14, 5), []float64{-5, 0, 5, 10, 15}},
		{"an end too many: the next step", Linear(-1, 101, 6), []float64{-50, 0, 50, 100, 150}},
		{"tenths without the noise of floats", Linear(0, 0.7, 8), []float64{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}},
		{"below zero", Linear(-0.9, -0.2, 5), []float64{-1, -0.8, -0.6, -0.4, -0.2}},
		{"round ends stay", Linear(100, 300, 5), []float64{100, 150, 200, 250, 300}},
		{"one value", Linear(5, 5, 5), []float64{4.5, 5, 5.5}},
		{"zero alone", Linear(0, 0, 3), []float64{-0.5, 0, 0.5}},
		{"the wrong way round", Linear(10, 0, 3), []float64{0, 5, 10}},
		{"no number", Linear(nan, 3, 3), []float64{0, 0.5, 1}},
		{"millions", Linear(0, 3.2e6, 5), []float64{0, 1e6, 2e6, 3e6, 4e6}},

		{"one decade", Log(100, 1000, 6), []float64{100, 200, 500, 1000}},
		{"within a decade", Log(400, 480, 6), []float64{200, 500}},
		{"extended at both ends", Log(130, 1300, 6), []float64{100, 200, 500, 1000, 2000}},
		{"decades when there are many", Log(130, 45_000, 6), []float64{100, 1000, 10_000}},
		{"every second decade", Log(1, 1e8, 5), []float64{1, 100, 1e4, 1e6, 1e8}},
		{"below one", Log(0.02, 0.3, 6), []float64{0.02, 0.05, 0.1, 0.2, 0.5}},
		{"one value", Log(200, 200, 6), []float64{200, 500}},
		{"from nothing", Log(0, 900, 6), []float64{1, 10, 100, 1000}},
		{"nothing", Log(0, 0, 6), []float64{1, 2, 5, 10}},
		{"no number", Log(1, math.Inf(1), 6), []float64{1, 2, 5, 10}},

		{"two nines", Nines(2), []float64{0, 0.5, 0.9, 0.99}},
		{"four nines", Nines(4), []float64{0, 0.5, 0.9, 0.99, 0.999, 0.9999}},
		{"one at least", Nines(-3), []float64{0, 0.5, 0.9}},
		{"six at most", Nines(40), []float64{0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999}},
	}
	if len(cases) < 26 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, c.scale.Ticks); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestShares(t *testing.T) {
	cases := []struct {
		name  string
		scale Scale
		value float64
		share float64
		holds bool
	}{
		{"the middle", Linear(0, 10, 3), 5, 0.5, true},
		{"the beginning", Linear(0, 10, 3), 0, 0, true},
		{"the end", Linear(0, 10, 3), 10, 1, true},
		{"beyond the end", Linear(0, 10, 3), 12, 1, false},
		{"before the beginning", Linear(0, 10, 3), -1, 0, false},
		{"the middle of two decades", Log(10, 1000, 9), 100, 0.5, true},
		{"zero has no logarithm", Log(10, 1000, 9), 0, 0, false},
		{"p99 of four nines", Nines(4), 0.99, 0.5, true},
		{"p50 of one nine", Nines(1), 0.5, math.Log10(2), true},
		{"the longest of all", Nines(4), 1, 1, false},
	}
	if len(cases) < 10 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if got := c.scale.Share(c.value); math.Abs(got-c.share) > 1e-9 {
			t.Errorf("%s: %g, want %g", c.name, got, c.share)
		}
		if got := c.scale.Holds(c.value); got != c.holds {
			t.Errorf("%s: holds %t, want %t", c.name, got, c.holds)
		}
	}
}

// Whatever the numbers are, an axis has a few ticks in order, none outside of
// it, and keeps what it was made for inside.
func FuzzScales(f *testing.F) {
	for _, v := range [][2]float64{{0, 1}, {-5, 1e9}, {1e-9, 1e-9}, {math.Inf(-1), 3}, {math.NaN(), 0}, {math.MaxFloat64, -math.MaxFloat64}, {0.1, 0.30000000000000004}} {
		for _, n := range []uint8{0, 2, 6} {
			f.Add(v[0], v[1], n)
		}
	}
	f.Fuzz(func(t *testing.T, low, high float64, n uint8) {
		most := int(n%20) + 3
		for name, s := range map[string]Scale{"linear": Linear(low, high, most), "log": Log(low, high, most)} {
			if len(s.Ticks) < 1 || len(s.Ticks) > most {
				t.Errorf("%s: ticks %v, want at most %d", name, s.Ticks, most)
			}
			if !slices.IsSorted(s.Ticks) || len(slices.Compact(slices.Clone(s.Ticks))) != len(s.Ticks) {
				t.Errorf("%s: ticks are not in order: %v", name, s.Ticks)
			}
			for _, v := range append([]float64{low, high}, s.Ticks...) {
				if share := s.Share(v); finite(v) && (math.IsNaN(share) || share < 0 || share > 1) {
					t.Errorf("%s: %g is at %g", name, v, share)
				}
			}
			const huge = 1e14
			if name == "linear" && low <= high && math.Abs(low) < huge && math.Abs(high) < huge {
				for _, v := range []float64{low, high} {
					if d := math.Abs(v-s.at(s.Share(v))) / max(math.Abs(low), math.Abs(high), 1); d > 1e-6 {
						t.Errorf("linear: %g is outside of %v", v, s.Ticks)
					}
				}
			}
		}
	})
}

// at is the value at a share of a linear axis.
func (s Scale) at(share float64) float64 { return s.low + share*(s.high-s.low) }
