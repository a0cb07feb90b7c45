package plot

import "math"

// A Scale maps values to shares of an axis. Use one of the constructors.
type Scale struct {
	// Ticks are the values to be marked, from low to high.
	Ticks []float64

	low, high float64 // as transform has them
	transform func(float64) float64
}

// Share is where on the axis a value is: 0 at its beginning, 1 at its end, and
// there for what is beyond.
func (s Scale) Share(v float64) float64 {
	return min(max((s.transform(v)-s.low)/(s.high-s.low), 0), 1)
}

// Holds tells whether a value is within the axis.
func (s Scale) Holds(v float64) bool {
	t := s.transform(v)
	return t >= s.low && t <= s.high
}

// Linear covers low to high, extended to round values, with at most that many
// ticks.
func Linear(low, high float64, ticks int) Scale {
	low, high = span(low, high)
	step := roundStep((high - low) / float64(max(ticks-1, 1)))
	first, last := math.Floor(low/step), math.Ceil(high/step)
	for last-first > float64(max(ticks-1, 1)) {
		step = roundStep(step * 1.5)
		first, last = math.Floor(low/step), math.Ceil(high/step)
	}
	s := Scale{low: first * step, high: last * step, transform: func(v float64) float64 { return v }}
	for i := first; i <= last; i++ {
		s.Ticks = append(s.Ticks, tidy(i*step))
	}
	return s
}

// Within covers exactly low to high, which must be more, with ticks that the caller
// has chosen.
func Within(low, high float64, ticks []float64) Scale {
	return Scale{Ticks: ticks, low: low, high: high, transform: func(v float64) float64 { return v }}
}

// span makes an axis of what may be one point, the wrong way round, or no number.
func span(low, high float64) (float64, float64) {
	const most = 1e15 // beyond it a step of the axis may be below a float's
	if !finite(low) || !finite(high) {
		return 0, 1
	}
	low, high = min(max(low, -most), most), min(max(high, -most), most)
	if low > high {
		low, high = high, low
	}
	if least := max(math.Abs(low), math.Abs(high)) * 1e-9; high-low > least {
		return low, high
	}
	half := max(math.Abs(low)/10, 0.5)
	return low - half, high + half
}

// roundStep is the next of 1, 2 and 5 times a power of ten that is not below v.
func roundStep(v float64) float64 {
	exponent := math.Floor(math.Log10(v))
	for _, m := range []float64{1, 2, 5} {
		if step := times10(m, exponent); step >= v*(1-1e-9) {
			return step
		}
	}
	return times10(1, exponent+1)
}

// times10 is m·10ᵉ, so that 0.2 is 0.2: a division by a power of ten is exact to
// the last digit, a multiplication by a negative one is not.
func times10(m, exponent float64) float64 {
	if exponent < 0 {
		return m / math.Pow(10, -exponent)
	}
	return m * math.Pow(10, exponent)
}

// tidy takes the noise of a multiplication away: 0.6000000000000001 is 0.6.
func tidy(v float64) float64 {
	if v == 0 {
		return 0
	}
	digits := math.Ceil(math.Log10(math.Abs(v)))
	scale := times10(1, 12-digits)
	return math.Round(v*scale) / scale
}

// Log covers low to high by powers of ten, extended to the next of 1, 2 and 5 of
// a decade. Ticks are there, or, if those are more than that many, at powers of
// ten. What is not above zero has no place on it.
func Log(low, high float64, ticks int) Scale {
	low, high = positive(low, high)
	all := grade(low, high)
	s := Scale{
		low: math.Log10(all[0]), high: math.Log10(all[len(all)-1]),
		transform: func(v float64) float64 { return math.Log10(max(v, math.SmallestNonzeroFloat64)) },
	}
	s.Ticks = thin(all, max(ticks, 2))
	return s
}

func positive(low, high float64) (float64, float64) {
	const least, most = 1e-12, 1e15
	if !finite(low) || !finite(high) || high <= 0 {
		return 1, 10
	}
	high = min(max(high, least*10), most)
	if low <= 0 {
		low = high / 1000
	}
	return min(max(low, least), high), high
}

// grade lists 1, 2 and 5 of each decade, from the last not above low to the
// first not below high; two at least.
func grade(low, high float64) []float64 {
	const nearly = 1e-9 // of floats
	var all []float64
	for e := math.Floor(math.Log10(low)); ; e++ {
		for _, m := range []float64{1, 2, 5} {
			v := times10(m, e)
			if v <= low*(1+nearly) {
				all = all[:0] // only the last of these begins the axis
			}
			all = append(all, v)
			if v >= high*(1-nearly) && len(all) > 1 {
				return all
			}
		}
	}
}

// thin keeps powers of ten, and of those every n-th, until there are few enough.
func thin(all []float64, most int) []float64 {
	if len(all) <= most {
		return all
	}
	decade := func(v float64) int { return int(math.Round(math.Log10(v))) }
	for every := 1; ; every++ {
		var kept []float64
		for _, v := range all {
			if e := decade(v); math.Abs(v/times10(1, float64(e))-1) < 1e-6 && e%every == 0 {
				kept = append(kept, v)
			}
		}
		if len(kept) <= most {
			return kept
		}
	}
}

// MostNines is where the longest scale of percentiles ends: one in a million.
const MostNines = 6

// Nines is the scale of percentiles, as shares from 0 to 1: each further nine
// takes as much room as the one before it. It ends after that many nines.
func Nines(n int) Scale {
	n = min(max(n, 1), MostNines)
	s := Scale{Ticks: []float64{0, 0.5}, high: float64(n), transform: nines}
	for i := 1; i <= n; i++ {
		s.Ticks = append(s.Ticks, AtNines(float64(i)))
	}
	return s
}

// nines is how many a share has: 0.99 has two, 0.5 a third of one.
func nines(q float64) float64 {
	if q >= 1 {
		return math.Inf(1)
	}
	return -math.Log10(1 - max(q, 0))
}

// AtNines is the share that has so many nines: 2 is 0.99.
func AtNines(n float64) float64 { return tidy(1 - math.Pow(10, -n)) }
