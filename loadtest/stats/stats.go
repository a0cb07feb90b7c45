// Package stats judges noisy measurements: pure functions over numbers.
package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Confidence of every interval of this package.
const Confidence = 0.95

// An Interval holds the true value with the package's confidence.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// trim is the share of values that a trimmed mean leaves out at each end: a
// stall of the machine in one round of ten moves nothing.
const trim = 0.2

// TrimmedMean is the mean without the lowest and the highest fifth; NaN for no
// values.
func TrimmedMean(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	cut := int(trim * float64(len(sorted)))
	return mean(sorted[cut : len(sorted)-cut])
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// Median is the middle value, or the mean of the two in the middle; NaN for no
// values.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return math.NaN()
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// standardError is Yuen's of a trimmed mean: from the values with the fifths at
// each end drawn in to what is left (winsorized). sorted must be.
func standardError(sorted []float64) float64 {
	n := len(sorted)
	cut := int(trim * float64(n))
	low, high := sorted[cut], sorted[n-1-cut]
	m, sum := 0.0, 0.0
	at := func(i int) float64 { return min(max(sorted[i], low), high) }
	for i := range n {
		m += at(i)
	}
	m /= float64(n)
	for i := range n {
		d := at(i) - m
		sum += d * d
	}
	return math.Sqrt(sum/float64(n-1)) / ((1 - 2*trim) * math.Sqrt(float64(n)))
}

// MinRounds is how many values an interval needs at least. With fewer, chance
// alone decides.
const MinRounds = 8

// resamples of the bootstrap: the ends of an interval then move by less than a
// twentieth of its width from seed to seed.
const resamples = 2000

// MeanInterval is where the true trimmed mean lies, of a population that values
// are a sample of: by the bootstrap-t (Efron & Tibshirani, An Introduction to the
// Bootstrap, ch. 12), which keeps its word for few and skewed values where the
// plain bootstrap is too sure. ok is false for fewer than MinRounds values.
func MeanInterval(values []float64, seed uint64) (_ Interval, ok bool) {
	return meanInterval(values, seed, resamples)
}

func meanInterval(values []float64, seed uint64, resamples int) (_ Interval, ok bool) {
	n := len(values)
	if n < MinRounds {
		return Interval{}, false
	}
	center, err := TrimmedMean(values), standardError(slices.Sorted(slices.Values(values)))
	rnd := rand.New(rand.NewPCG(seed, uint64(n))) //nolint:gosec // chance, not secrecy
	ts := make([]float64, 0, resamples)
	again := make([]float64, n)
	for range resamples {
		for i := range again {
			again[i] = values[rnd.IntN(n)]
		}
		slices.Sort(again)
		if e := standardError(again); e > 0 {
			ts = append(ts, (TrimmedMean(again)-center)/e)
		}
	}
	if err == 0 || len(ts) == 0 {
		return Interval{center, center}, true // all values are alike
	}
	slices.Sort(ts)
	tail := (1 - Confidence) / 2
	return Interval{
		Low:  center - quantile(ts, 1-tail)*err,
		High: center - quantile(ts, tail)*err,
	}, true
}

// quantile of sorted values, between neighbours in proportion.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// Proportion is where a true share lies of which k of n were seen: Wilson's score
// interval, which is honest near 0 and 1. It is all there is, 0 to 1, for n = 0.
func Proportion(k, n int) Interval {
	if n == 0 {
		return Interval{0, 1}
	}
	const z = 1.959964 // of the standard normal distribution at 97.5 %
	p, m := float64(k)/float64(n), float64(n)
	center := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return Interval{max(0, center-half), min(1, center+half)}
}
