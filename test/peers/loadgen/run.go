package loadgen

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/peers/hist"
)

// A phase says what a response counts as at the moment it is complete.
type phase = int32

const (
	warming phase = iota
	measuring
	stopping
)

// Run does the job. Broken responses are part of the Result; an error means
// that the block could not be run at all, or that ctx ended it.
func Run(ctx context.Context, job Job) (Result, error) {
	if err := job.validate(); err != nil {
		return Result{}, err
	}
	var now atomic.Int32
	clients := make([]*client, job.Connections)
	for i := range clients {
		c, err := dial(ctx, job)
		if err != nil {
			closeAll(clients[:i])
			return Result{}, err
		}
		clients[i] = c
	}
	defer closeAll(clients)

	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() { c.err = c.loop(&now) })
	}
	result, err := measure(ctx, job, &now)
	now.Store(stopping)
	if ctx.Err() != nil {
		closeAll(clients) // do not wait for an answer that may never come
	}
	wg.Wait()
	if err != nil {
		return Result{}, err
	}
	summarise(clients, &result)
	return result, nil
}

// measure sleeps through the block and reads the clocks at its two ends.
func measure(ctx context.Context, job Job, now *atomic.Int32) (Result, error) {
	if err := sleep(ctx, job.Warmup); err != nil {
		return Result{}, err
	}
	before, err := look(job.Watch)
	if err != nil {
		return Result{}, err
	}
	now.Store(measuring)
	if err := sleep(ctx, job.Measure); err != nil {
		return Result{}, err
	}
	now.Store(stopping)
	after, err := look(job.Watch)
	if err != nil {
		return Result{}, err
	}
	return after.since(before), nil
}

// A reading is all clocks at one moment.
type reading struct {
	at      time.Time
	groups  map[string]watch.CPU
	own     watch.CPU
	machine watch.Busy
}

// look reads the clocks, the watched ones in the same order every time, so
// that what the reading itself takes cancels out.
func look(groups map[string][]int) (reading, error) {
	r := reading{at: time.Now(), groups: make(map[string]watch.CPU, len(groups))}
	var err error
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		if r.groups[name], err = watch.ReadCPU(groups[name]); err != nil {
			return reading{}, fmt.Errorf("read the CPU time of %q: %w", name, err)
		}
	}
	if r.own, err = watch.ReadCPU([]int{os.Getpid()}); err != nil {
		return reading{}, err
	}
	r.machine, err = watch.ReadBusy()
	return r, err
}

func (r reading) since(before reading) Result {
	result := Result{
		Elapsed: r.at.Sub(before.at),
		CPU:     make(map[string]watch.CPU, len(r.groups)),
		Own:     r.own.Sub(before.own),
		Machine: watch.Busy{
			Work:  r.machine.Work - before.machine.Work,
			Steal: r.machine.Steal - before.machine.Steal,
		},
	}
	for name, cpu := range r.groups {
		result.CPU[name] = cpu.Sub(before.groups[name])
	}
	return result
}

// summarise merges what the clients saw.
func summarise(clients []*client, result *Result) {
	var all hist.Histogram
	for _, c := range clients {
		all.Merge(&c.latency)
		if c.err == nil {
			continue
		}
		result.Errors++
		if result.FirstError == "" {
			result.FirstError = c.err.Error()
		}
	}
	result.Requests = all.Count()
	result.P50, result.P99, result.Max = all.Quantile(0.5), all.Quantile(0.99), all.Max()
}

func closeAll(clients []*client) {
	for _, c := range clients {
		c.conn.Close()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
