package admissions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Side is a place where pods are created.
type Side struct {
	// Create makes one pod. No two calls get the same number.
	Create func(ctx context.Context, n int64) error
	// Clear removes what was made, after each block and outside of its time; nil: nothing
	// is kept.
	Clear func(ctx context.Context) error
}

// A Kind of creation is measured on both sides.
type Kind struct {
	Name          string
	With, Without Side
}

// Options say how long is measured, and what besides latency.
type Options struct {
	// Rounds is how often each side has its turn.
	Rounds int
	// Block is how long a turn takes; before the first there is one that doesn't count.
	Block time.Duration
	// Callers are how many create pods at the same time, one load after the other.
	Callers []int
	// CPU is what the webhook's process has used so far.
	CPU func() (time.Duration, error)
}

// A Block is one turn of one side.
type Block struct {
	// Took is from the start to the last answer.
	Took time.Duration
	// CPU is what the webhook's process used meanwhile.
	CPU time.Duration
	// Latencies are those of all pods, from low to high.
	Latencies []time.Duration
}

// A Load is what was measured of one kind with so many callers. Blocks of the same
// index are of the same round.
type Load struct {
	Kind          string
	Callers       int
	With, Without []Block
}

// Measure runs all loads of a kind.
func (k Kind) Measure(ctx context.Context, o Options) ([]Load, error) {
	var count atomic.Int64
	all := make([]Load, 0, len(o.Callers))
	for _, callers := range o.Callers {
		l := Load{Kind: k.Name, Callers: callers}
		for round := range o.Rounds + 1 {
			with, without, err := k.round(ctx, turn{callers, o, &count}, round%2 == 0)
			if err != nil {
				return nil, fmt.Errorf("%s, %d callers: %w", k.Name, callers, err)
			}
			if round > 0 { // the first warms up connections and caches
				l.With, l.Without = append(l.With, with), append(l.Without, without)
			}
		}
		all = append(all, l)
	}
	return all, nil
}

// round gives each side a turn. Who is first changes, since the second finds the API
// server busy with what the first has left behind.
func (k Kind) round(ctx context.Context, t turn, withFirst bool) (with, without Block, err error) {
	sides := []struct {
		Side
		into *Block
	}{{k.With, &with}, {k.Without, &without}}
	if !withFirst {
		slices.Reverse(sides)
	}
	for _, s := range sides {
		if *s.into, err = t.run(ctx, s.Side); err != nil {
			return with, without, err
		}
	}
	return with, without, nil
}

// A turn is what a block needs to know.
type turn struct {
	callers int
	Options
	count *atomic.Int64
}

func (t turn) run(ctx context.Context, s Side) (b Block, err error) {
	before, err := t.CPU()
	if err != nil {
		return b, err
	}
	start := time.Now()
	b.Latencies, err = t.create(ctx, s, start)
	b.Took = time.Since(start)
	if err != nil {
		return b, err
	}
	after, err := t.CPU()
	b.CPU = after - before
	if err == nil && s.Clear != nil {
		err = s.Clear(ctx)
	}
	return b, err
}

// create has all callers create pods, each one after the other, until the block is
// over. What has begun by then is waited for and counts. The first error ends all.
func (t turn) create(ctx context.Context, s Side, start time.Time) ([]time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wait   sync.WaitGroup
		each   = make([][]time.Duration, t.callers)
		failed = make([]error, t.callers)
	)
	for i := range t.callers {
		wait.Go(func() {
			each[i], failed[i] = t.caller(ctx, s, start)
			if failed[i] != nil {
				cancel()
			}
		})
	}
	wait.Wait()
	all := slices.Concat(each...)
	slices.Sort(all)
	return all, errors.Join(failed...)
}

func (t turn) caller(ctx context.Context, s Side, start time.Time) (all []time.Duration, err error) {
	for began := time.Now(); began.Sub(start) < t.Block; {
		if err := s.Create(ctx, t.count.Add(1)); err != nil {
			return all, err
		}
		now := time.Now()
		all = append(all, now.Sub(began))
		began = now
	}
	return all, nil
}
