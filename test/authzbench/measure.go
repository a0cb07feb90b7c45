package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// decide decides about the call with that number, which has been prepared as the
// engine wants it.
type decide func(call int) (allowed bool, err error)

// An engine makes decide for n rules of a shape; nil where it has no way to
// express them.
type engine struct {
	name string
	make func(s shape, n int, calls []call) (decide, error)
}

func engines() []engine {
	return []engine{
		{"Outrider", outrider},
		{"cedar-go", cedarAll},
		{"cedar-go, chosen by hand", cedarChosen},
		{"OPA, rules", opaRules},
		{"OPA, data", opaData},
	}
}

// A cell is what was measured of one engine; absent if it has no decide.
type cell struct {
	present bool
	build   time.Duration
	// nanos and ratio are medians over the rounds, the ratio that of the engine
	// over Outrider within one.
	nanos, ratio float64
	allocs       float64
	rounds       []float64
}

// A row is one size of one shape, with a cell for each engine.
type row struct {
	shape shape
	n     int
	cells []cell
}

func measure(s shape, n, rounds int, window time.Duration, out io.Writer) (row, error) {
	r := row{shape: s, n: n, cells: make([]cell, len(engines()))}
	calls, subjects := s.calls(n), make([]subject, len(r.cells))
	for i, e := range engines() {
		started := time.Now()
		d, err := e.make(s, n, calls)
		if err != nil {
			return row{}, err
		}
		if d == nil {
			continue
		}
		r.cells[i].present, r.cells[i].build = true, time.Since(started)
		used, err := agrees(d, calls)
		if err != nil {
			return row{}, fmt.Errorf("%s: %w", e.name, err)
		}
		subjects[i] = subject{d, used, used}
		subjects[i].calibrate(window)
		r.cells[i].allocs = subjects[i].allocations()
	}
	runtime.GC()
	for range rounds {
		for _, i := range rand.Perm(len(r.cells)) {
			if c := &r.cells[i]; c.present && !c.enough(subjects[i].turn) {
				c.rounds = append(c.rounds, subjects[i].nanos())
			}
		}
	}
	r.summarise()
	for i, c := range r.cells {
		if c.present {
			fmt.Fprintf(out, "  %-26s %12.0f ns %8.1f allocs %9.1f x   built in %v\n",
				engines()[i].name, c.nanos, c.allocs, c.ratio, c.build.Round(time.Millisecond))
		}
	}
	return r, nil
}

// enough tells that an engine has had three turns and ten seconds, which is for
// those that look at 100,000 policies each time.
func (c *cell) enough(turn int) bool {
	spent := 0.0
	for _, v := range c.rounds {
		spent += v * float64(turn)
	}
	return len(c.rounds) >= 3 && spent > float64(10*time.Second)
}

// patience is how long the 64 calls may take to be checked. An engine that takes
// longer is measured with those that it got to.
const patience = 5 * time.Second

// agrees checks that the engine decides as it should: what is not equivalent is not
// compared. It returns how many calls there was time for.
func agrees(d decide, calls []call) (used int, err error) {
	started := time.Now()
	for i, c := range calls {
		got, err := d(i)
		if err != nil {
			return 0, err
		}
		if got != c.allowed {
			return 0, fmt.Errorf("%+v: allowed %v", c, got)
		}
		if time.Since(started) > patience {
			return i + 1, nil
		}
	}
	return len(calls), nil
}

// A subject is an engine ready to be measured: with so many of the calls, and so
// many decisions in one turn.
type subject struct {
	decide      decide
	calls, turn int
}

// nanos is the CPU time of one decision, taken over a turn.
func (s *subject) nanos() float64 {
	before := spent()
	for i := range s.turn {
		_, _ = s.decide(i % s.calls) // has been seen to work
	}
	return max(1, float64((spent()-before).Nanoseconds())/float64(s.turn))
}

// spent is the CPU time of this process: that of collecting garbage belongs to whom
// made it, and that of other programs on the machine to nobody here.
func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // it can't fail with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// calibrate finds how many decisions fill the window; each call has its turn at
// least once.
func (s *subject) calibrate(window time.Duration) {
	for _, share := range []float64{0.1, 1} {
		s.turn = max(s.calls, int(float64(window)*share/s.nanos()))
	}
}

func (s *subject) allocations() float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.nanos()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(s.turn)
}

func (r *row) summarise() {
	own := r.cells[0].rounds
	for i := range r.cells {
		c := &r.cells[i]
		var ratios []float64
		for k, v := range c.rounds {
			ratios = append(ratios, v/own[k])
		}
		c.nanos, c.ratio = median(c.rounds), median(ratios)
	}
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
