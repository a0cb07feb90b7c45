package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
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
	calls, deciders, turns := s.calls(n), make([]decide, len(r.cells)), make([]int, len(r.cells))
	for i, e := range engines() {
		started := time.Now()
		d, err := e.make(s, n, calls)
		if err != nil {
			return row{}, err
		}
		if d == nil {
			continue
		}
		r.cells[i].present, r.cells[i].build, deciders[i] = true, time.Since(started), d
		if err := agrees(d, calls); err != nil {
			return row{}, fmt.Errorf("%s: %w", e.name, err)
		}
		turns[i] = calibrate(d, len(calls), window)
		r.cells[i].allocs = allocations(d, len(calls), turns[i])
	}
	runtime.GC()
	for range rounds {
		for _, i := range rand.Perm(len(r.cells)) {
			if c := &r.cells[i]; c.present && !c.enough(turns[i]) {
				c.rounds = append(c.rounds, nanos(deciders[i], len(calls), turns[i]))
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

// agrees checks that the engine decides as it should: what is not equivalent is not
// compared.
func agrees(d decide, calls []call) error {
	for i, c := range calls {
		got, err := d(i)
		if err != nil {
			return err
		}
		if got != c.allowed {
			return fmt.Errorf("%+v: allowed %v", c, got)
		}
	}
	return nil
}

// nanos is the time of one decision, taken over many.
func nanos(d decide, calls, times int) float64 {
	started := time.Now()
	for i := range times {
		_, _ = d(i % calls) // has been seen to work
	}
	return float64(time.Since(started).Nanoseconds()) / float64(times)
}

// calibrate finds how many decisions fill the window; each call has its turn at
// least once.
func calibrate(d decide, calls int, window time.Duration) int {
	per := nanos(d, calls, calls)
	per = nanos(d, calls, max(calls, int(float64(window)/10/per)))
	return max(calls, int(float64(window)/per))
}

func allocations(d decide, calls, times int) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	nanos(d, calls, times)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(times)
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
