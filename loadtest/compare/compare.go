// Package compare measures targets side by side: short blocks of the same load,
// in turns, in an order that chance decides anew in every round. What the
// machine does meanwhile then meets all of them, and the difference within a
// round is about the targets.
package compare

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/hist"
	"github.com/outrider-mesh/outrider/loadtest/load"
	"github.com/outrider-mesh/outrider/loadtest/pace"
	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// Plan says what is measured.
type Plan struct {
	// Targets take turns; at least one. The first is the base.
	Targets []Subject
	// Rate is the open loop's shape, which begins anew with the warm-up of each
	// block; nil for a closed loop.
	Rate pace.Shape
	// Poisson makes arrivals random.
	Poisson bool
	// Callers is how many requests may be under way; at least 1.
	Callers int
	// Rounds is how often each target has its turn; at least 1.
	Rounds int
	// Warmup passes before Block is measured.
	Warmup, Block time.Duration
	// Seed decides about order and random arrivals.
	Seed uint64
	// Progress is told what happens; nil: nobody wants to know.
	Progress func(Progress)
}

// A Subject is a target under the name that reports give it.
type Subject struct {
	Name   string
	Target *target.Target
	// Watch are the processes that work for it.
	Watch []watch.Group
	// Between is called after each of its blocks; nil: nothing is to be done.
	Between func() error
}

// Progress is how far a plan is.
type Progress struct {
	// Done of All blocks are over; Target is under way.
	Done, All int
	Target    string
	// Left is how long the rest takes.
	Left time.Duration
	// Result is what the block under way has measured so far; nil at its
	// beginning.
	Result *load.Result
}

// Measured is what one target showed.
type Measured struct {
	Subject Subject
	// Rounds are its blocks, in order.
	Rounds []*load.Result
	// RSS is by group the highest seen at the end of a block, in bytes.
	RSS map[string]int64
}

// Run carries a plan out. Callers stay open from block to block.
func Run(ctx context.Context, p Plan) (_ []*Measured, err error) {
	r := &runner{Plan: p, rng: rand.New(rand.NewPCG(p.Seed, 1))} //nolint:gosec // chance, not secrecy
	defer func() { err = errors.Join(err, r.close()) }()
	for _, s := range p.Targets {
		session, err := load.Open(ctx, s.Target, p.Callers)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		r.sessions = append(r.sessions, session)
		r.measured = append(r.measured, &Measured{Subject: s, RSS: map[string]int64{}})
	}
	for range p.Rounds {
		for _, i := range r.rng.Perm(len(p.Targets)) {
			if err := r.block(ctx, i); err != nil {
				return nil, fmt.Errorf("%s: %w", p.Targets[i].Name, err)
			}
		}
	}
	return r.measured, nil
}

// runner is a plan under way.
type runner struct {
	Plan
	rng      *rand.Rand
	sessions []*load.Session
	measured []*Measured
	done     int
}

func (r *runner) close() error {
	var errs []error
	for _, s := range r.sessions {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// block gives one target its turn.
func (r *runner) block(ctx context.Context, i int) error {
	m := r.measured[i]
	r.report(m.Subject.Name, nil)
	result, err := r.sessions[i].Run(ctx, load.Block{
		Arrivals: r.arrivals(), Warmup: r.Warmup, Measure: r.Block, Watch: m.Subject.Watch,
		Progress: func(so *load.Result) { r.report(m.Subject.Name, so) },
	})
	if err != nil {
		return err
	}
	m.Rounds = append(m.Rounds, result)
	r.done++
	for _, g := range m.Subject.Watch {
		memory, err := g.Memory()
		if err != nil {
			return fmt.Errorf("watch %q: %w", g.Name, err)
		}
		m.RSS[g.Name] = max(m.RSS[g.Name], memory.RSS)
	}
	if m.Subject.Between != nil {
		return m.Subject.Between()
	}
	return nil
}

func (r *runner) arrivals() *pace.Arrivals {
	switch {
	case r.Rate == nil:
		return nil
	case r.Poisson:
		return pace.Poisson(r.Rate, r.rng.Uint64())
	}
	return pace.Even(r.Rate)
}

func (r *runner) report(name string, so *load.Result) {
	if r.Progress == nil {
		return
	}
	all := r.Rounds * len(r.Targets)
	r.Progress(Progress{
		Done: r.done, All: all, Target: name, Result: so,
		Left: time.Duration(all-r.done) * (r.Warmup + r.Block),
	})
}

// Latency is all rounds together.
func (m *Measured) Latency() *hist.Histogram {
	return m.merge(func(r *load.Result) *hist.Histogram { return r.Latency })
}

func (m *Measured) merge(of func(*load.Result) *hist.Histogram) *hist.Histogram {
	all := hist.New()
	for _, r := range m.Rounds {
		all.Add(of(r))
	}
	return all
}

// sum adds a count up over the rounds.
func (m *Measured) sum(of func(*load.Result) int64) int64 {
	var n int64
	for _, r := range m.Rounds {
		n += of(r)
	}
	return n
}
