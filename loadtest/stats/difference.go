package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Samples are two, taken independently of each other: of the same figure in two
// runs. They need not be of the same length.
type Samples struct{ Old, New []float64 }

// Difference is where the true trimmed mean of New less that of Old lies, with
// the given confidence, between 0 and 1: by the bootstrap-t as [MeanInterval],
// with the standard error of Yuen's test for samples that vary differently. ok is
// false if either has fewer than MinRounds values.
//
// Of m differences that are looked at together, ask each with a confidence of
// 1 - (1-Confidence)/m: then all of the intervals hold at once as often as
// Confidence says (Bonferroni), and chance alone does not find something just
// because there was much to look at.
func (s Samples) Difference(confidence float64, seed uint64) (_ Interval, ok bool) {
	// Ten resamples beyond each end, or its place is a matter of luck.
	tail := (1 - confidence) / 2
	return s.difference(confidence, seed, int(min(max(10/tail, resamples), mostResamples)))
}

// mostResamples bounds the time of one interval to a twentieth of a second.
const mostResamples = 10_000

func (s Samples) difference(confidence float64, seed uint64, resamples int) (_ Interval, ok bool) {
	if len(s.Old) < MinRounds || len(s.New) < MinRounds {
		return Interval{}, false
	}
	return s.bootstrap(seed, resamples).interval(confidence), true
}

// bootstrapped is a difference, its standard error, and by how many of those it was
// missed in each resample, from low to high.
type bootstrapped struct {
	center, err float64
	ts          []float64
}

func (s Samples) bootstrap(seed uint64, resamples int) (b bootstrapped) {
	rnd := rand.New(rand.NewPCG(seed, uint64(len(s.Old)+len(s.New)))) //nolint:gosec // chance, not secrecy
	b.center, b.err = difference(slices.Sorted(slices.Values(s.Old)), slices.Sorted(slices.Values(s.New)))
	b.ts = make([]float64, 0, resamples)
	older, newer := make([]float64, len(s.Old)), make([]float64, len(s.New))
	for range resamples {
		resample(older, s.Old, rnd)
		resample(newer, s.New, rnd)
		if again, e := difference(older, newer); e > 0 {
			b.ts = append(b.ts, (again-b.center)/e)
		}
	}
	slices.Sort(b.ts)
	return b
}

func (b bootstrapped) interval(confidence float64) Interval {
	if b.err == 0 || len(b.ts) == 0 {
		return Interval{b.center, b.center} // all values are alike
	}
	tail := (1 - confidence) / 2
	return Interval{
		Low:  b.center - quantile(b.ts, 1-tail)*b.err,
		High: b.center - quantile(b.ts, tail)*b.err,
	}
}

// difference of two sorted samples, and its standard error.
func difference(older, newer []float64) (center, err float64) {
	return sortedTrimmedMean(newer) - sortedTrimmedMean(older), math.Hypot(standardError(newer), standardError(older))
}

func sortedTrimmedMean(sorted []float64) float64 {
	cut := int(trim * float64(len(sorted)))
	return mean(sorted[cut : len(sorted)-cut])
}

// resample draws as many of values as into holds, and sorts them.
func resample(into, values []float64, rnd *rand.Rand) {
	for i := range into {
		into[i] = values[rnd.IntN(len(values))]
	}
	slices.Sort(into)
}
