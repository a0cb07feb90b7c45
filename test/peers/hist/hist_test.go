package hist

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantileIsWithinHalfABucketOfTheSortedSamples(t *testing.T) {
	const minCases = 40
	cases := 0
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 7, 100, 5000} {
		for _, scale := range []float64{1e2, 1e5, 1e9} {
			h, samples := &Histogram{}, make([]time.Duration, n)
			for i := range samples {
				samples[i] = time.Duration(rng.ExpFloat64() * scale)
				h.Record(samples[i])
			}
			slices.Sort(samples)
			for _, q := range []float64{0, 0.5, 0.99, 1} {
				cases++
				rank := max(int(float64(n)*q+0.999999999), 1)
				want := samples[rank-1]
				got := h.Quantile(q)
				if diff := (got - want).Abs(); float64(diff) > float64(want)/256+1 {
					t.Errorf("n=%d scale=%g q=%g: got %v, sorted samples say %v", n, scale, q, got, want)
				}
			}
		}
	}
	if cases < minCases {
		t.Fatalf("ran %d cases, want at least %d", cases, minCases)
	}
}

func TestMergeEqualsRecordingIntoOne(t *testing.T) {
	var all, a, b Histogram
	for i := range 10_000 {
		d := time.Duration(i*i) * time.Nanosecond
		all.Record(d)
		if i%3 != 0 { // the largest goes to b
			a.Record(d)
		} else {
			b.Record(d)
		}
	}
	a.Merge(&b)
	if a != all {
		t.Error("merging two parts differs from recording the whole")
	}
}

func TestEmptyAndExtremeValues(t *testing.T) {
	var h Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("empty histogram answers %v, want 0", got)
	}
	h.Record(-time.Second)
	if got := h.Quantile(1); got != 0 {
		t.Errorf("a negative duration counts as %v, want 0", got)
	}
	h.Record(1 << 62)
	if got := h.Max(); got != 1<<62 {
		t.Errorf("max is %v, want %v", got, time.Duration(1<<62))
	}
	if h.Count() != 2 {
		t.Errorf("count is %d, want 2", h.Count())
	}
}

func FuzzBucketsAreMonotonicAndCloseToTheirValues(f *testing.F) {
	for _, v := range []uint64{0, 1, 127, 128, 129, 255, 256, 1 << 20, 1<<40 - 1, 1 << 40} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v uint64) {
		v %= 1 << maxBits
		i := bucketOf(v)
		if i < 0 || i >= buckets {
			t.Fatalf("bucketOf(%d) = %d, outside 0…%d", v, i, buckets-1)
		}
		if v > 0 && bucketOf(v-1) > i {
			t.Errorf("bucketOf(%d) > bucketOf(%d)", v-1, v)
		}
		if diff := (middleOf(i) - time.Duration(v)).Abs(); uint64(diff) > v/256+1 {
			t.Errorf("middleOf(bucketOf(%d)) = %d", v, middleOf(i))
		}
	})
}
