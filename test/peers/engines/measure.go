package engines

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/peers/hop"
)

// A Request is what each engine is asked about.
type Request struct {
	Name string
	hop.Request
	// Attack tells that it has to be found to be one.
	Attack bool
}

// Options say how long it takes.
type Options struct {
	Rounds int
	// Window is how long an engine is asked in each round, at least once.
	Window time.Duration
	// Seed makes the order of the turns.
	Seed uint64
	// Progress is told what comes next.
	Progress func(request string)
}

// A Cell is one engine and one request: medians over the rounds.
type Cell struct {
	CPUMicros   float64 `json:"cpu_us"`
	Allocations float64 `json:"allocations"`
	AllocBytes  float64 `json:"allocated_bytes"`
	// Times is the first engine's CPU time over this one's, in the same round.
	Times float64 `json:"times_less_than_the_first"`
	// Turns are the CPU times of the rounds.
	Turns []float64 `json:"turns_us"`
}

// A Row is one request, with a cell for each engine in the order of [Names].
type Row struct {
	Name  string `json:"name"`
	Bytes int    `json:"body_bytes"`
	Cells []Cell `json:"cells"`
}

// Measure asks every engine about every request.
func Measure(ctx context.Context, requests []Request, o Options) ([]Row, error) {
	all, err := build()
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	order := rand.New(rand.NewPCG(o.Seed, 0))
	var rows []Row
	for _, r := range requests {
		o.Progress(r.Name)
		row := Row{Name: r.Name, Bytes: len(r.Body), Cells: make([]Cell, len(all))}
		turns := make([][]turn, len(all))
		for round := range o.Rounds + 1 {
			for _, n := range order.Perm(len(all)) {
				t, err := ask(ctx, all[n], r, o.Window)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", all[n].name, r.Name, err)
				}
				if round > 0 { // the first one is to warm up
					turns[n] = append(turns[n], t)
				}
			}
		}
		for n := range all {
			row.Cells[n] = summarise(turns[n], turns[0])
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// A turn is what one request cost, on average over a window.
type turn struct{ micros, allocations, bytes float64 }

// ask asks one engine again and again.
func ask(ctx context.Context, e engine, r Request, window time.Duration) (turn, error) {
	runtime.GC() // what others have left is not this one's
	attacked := e.prepare(r)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, err := watch.ReadCPU([]int{os.Getpid()})
	if err != nil {
		return turn{}, err
	}
	n := 0
	for started := time.Now(); n == 0 || time.Since(started) < window; n++ {
		if err := ctx.Err(); err != nil {
			return turn{}, err
		}
		if attack, err := attacked(ctx); err != nil || attack != r.Attack {
			return turn{}, fmt.Errorf("it says %v, %w", attack, err)
		}
	}
	ended, err := watch.ReadCPU([]int{os.Getpid()})
	if err != nil {
		return turn{}, err
	}
	runtime.ReadMemStats(&after)
	each := float64(n)
	return turn{
		micros:      float64(ended.Sub(began).Total.Nanoseconds()) / 1e3 / each,
		allocations: float64(after.Mallocs-before.Mallocs) / each,
		bytes:       float64(after.TotalAlloc-before.TotalAlloc) / each,
	}, nil
}

func summarise(turns, first []turn) Cell {
	var c Cell
	var allocations, bytes, times []float64
	for i, t := range turns {
		c.Turns = append(c.Turns, t.micros)
		allocations, bytes = append(allocations, t.allocations), append(bytes, t.bytes)
		times = append(times, first[i].micros/t.micros)
	}
	c.CPUMicros, c.Allocations, c.AllocBytes, c.Times = median(c.Turns), median(allocations), median(bytes), median(times)
	return c
}

// median is that of an odd number, or the lower one of two.
func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[(len(values)-1)/2]
}
