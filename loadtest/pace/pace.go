// Package pace says when requests are due. A [Shape] is a rate over time and a
// pure function; [Arrivals] lay requests along it, evenly or at random.
//
// Nothing here waits or looks at a clock: the times are what a caller measures
// latency from, so that a request which could not be sent in time has waited
// (no coordinated omission).
package pace

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Shape is a rate over time.
type Shape interface {
	// Count is how many requests are due before t, fractions included. It is 0
	// at 0 and never decreases.
	Count(t time.Duration) float64
	// Time is the inverse: when Count reaches n.
	Time(n float64) time.Duration
	// String is the shape as [Parse] reads it.
	String() string
}

// Constant is a rate in requests per second.
type Constant float64

// Count implements [Shape].
func (c Constant) Count(t time.Duration) float64 { return float64(c) * t.Seconds() }

// Time implements [Shape].
func (c Constant) Time(n float64) time.Duration { return seconds(n / float64(c)) }

// String implements [Shape].
func (c Constant) String() string { return number(float64(c)) }

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// A Ramp goes evenly from one rate to another and stays there.
type Ramp struct {
	From, To float64 // requests per second
	Over     time.Duration
}

// Count implements [Shape]: the area under the slope, r(t) = From + (To-From)·t/Over.
func (r Ramp) Count(t time.Duration) float64 {
	s, over := t.Seconds(), r.Over.Seconds()
	if s >= over {
		return r.area() + r.To*(s-over)
	}
	return r.From*s + (r.To-r.From)*s*s/(2*over)
}

func (r Ramp) area() float64 { return (r.From + r.To) / 2 * r.Over.Seconds() }

// Time implements [Shape]: the root of slope/2·t² + From·t - n.
func (r Ramp) Time(n float64) time.Duration {
	if n >= r.area() {
		return later(r.Over, seconds((n-r.area())/r.To))
	}
	slope := (r.To - r.From) / r.Over.Seconds()
	if slope == 0 {
		return seconds(n / r.From)
	}
	// In this form nothing cancels out when the slope is small.
	return seconds(2 * n / (r.From + math.Sqrt(r.From*r.From+2*slope*n)))
}

// String implements [Shape].
func (r Ramp) String() string { return number(r.From) + ".." + number(r.To) + "@" + r.Over.String() }

// A Step is a constant rate that holds for a time.
type Step struct {
	Rate float64 // requests per second
	For  time.Duration
}

// Steps follow each other; the last one goes on.
type Steps []Step

// Count implements [Shape].
func (s Steps) Count(t time.Duration) float64 {
	var n float64
	for i, step := range s {
		if t <= step.For || i == len(s)-1 {
			return n + step.Rate*t.Seconds()
		}
		n += step.Rate * step.For.Seconds()
		t -= step.For
	}
	return n
}

// Time implements [Shape].
func (s Steps) Time(n float64) time.Duration {
	var t time.Duration
	for i, step := range s {
		due := step.Rate * step.For.Seconds()
		if i == len(s)-1 || n < due {
			return later(t, seconds(n/step.Rate))
		}
		n -= due
		t += step.For
	}
	return t
}

// String implements [Shape].
func (s Steps) String() string {
	words := make([]string, len(s))
	for i, step := range s {
		words[i] = number(step.Rate)
		if step.For > 0 {
			words[i] += "@" + step.For.String()
		}
	}
	return strings.Join(words, ",")
}

// never is later than any run ends.
const never = time.Duration(math.MaxInt64)

func seconds(s float64) time.Duration {
	if ns := s * float64(time.Second); ns < float64(never) {
		return time.Duration(ns)
	}
	return never // also for a division by a rate of zero
}

// later is t+d, or never.
func later(t, d time.Duration) time.Duration {
	if d > never-t {
		return never
	}
	return t + d
}

// Arrivals are the times at which requests are due. Next may be called from any
// goroutine; each time is handed out once.
type Arrivals struct {
	shape Shape

	mu   sync.Mutex
	n    float64
	gaps *rand.Rand // nil for even arrivals
}

// Even lays requests evenly: the n-th is due when the shape's count reaches n,
// the first at once.
func Even(s Shape) *Arrivals { return &Arrivals{shape: s} }

// Poisson lays requests at random, as many independent callers would: the gaps
// of a constant rate are exponentially distributed. The same seed yields the
// same times.
func Poisson(s Shape, seed uint64) *Arrivals {
	a := &Arrivals{shape: s, gaps: rand.New(rand.NewPCG(seed, seed))} //nolint:gosec // a load needs no secrets
	a.n = a.gaps.ExpFloat64()
	return a
}

// Next is when the next request is due, from the beginning.
func (a *Arrivals) Next() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.shape.Time(a.n)
	if a.gaps == nil {
		a.n++
	} else {
		a.n += a.gaps.ExpFloat64()
	}
	return t
}

var errRate = errors.New("want a number above zero and below a million")

func checkRate(r float64) error {
	if !(r > 0 && r < 1e6) { // also for NaN
		return fmt.Errorf("rate %g: %w", r, errRate)
	}
	return nil
}
