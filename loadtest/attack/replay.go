package attack

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/attack/evidence"
	"github.com/outrider-mesh/outrider/loadtest/attack/wire"
	"github.com/outrider-mesh/outrider/loadtest/pace"
	"github.com/outrider-mesh/outrider/loadtest/target"
)

// A sender makes requests, one at a time; a *wire.Client is one.
type sender interface {
	Send(ctx context.Context, m wire.Message) (wire.Answer, error)
	Close() error
}

// exchange is what is known of one sample that was sent.
type exchange struct {
	answer   wire.Answer
	err      error
	adjusted bool
	trace    string // the trace id it carried; empty: none
	record   *evidence.Record
}

func (x *exchange) key() evidence.Key {
	return evidence.Key{Trace: x.trace, Decision: x.answer.Decision}
}

// giveUpAfter is how many connections in a row may fail, over all workers, before
// the rest of the samples is not tried: the target is gone, and each try may take
// as long as a connection may.
const giveUpAfter = 20

// errGaveUp is the outcome of the samples that were not tried.
var errGaveUp = fmt.Errorf("not sent: %d connections in a row had failed", giveUpAfter)

// replay is a run under way.
type replay struct {
	opts   *Options
	open   func() sender
	prefix [8]byte // of this run's trace ids
	start  time.Time

	// exchanges are the samples', by index; each is written by the worker that took
	// it, and read when all are done.
	exchanges []exchange
	done      atomic.Int64
	failed    atomic.Int64
	inRow     atomic.Int64 // connections that failed since one was made

	mu       sync.Mutex     // guards next, and arrivals with it: they are in step
	next     int            // index of the next sample
	arrivals *pace.Arrivals // nil: each is due at once
}

func newReplay(opts *Options, open func() sender) *replay {
	r := &replay{opts: opts, open: open, exchanges: make([]exchange, len(opts.Corpus.Samples))}
	_, _ = rand.Read(r.prefix[:]) // it never fails
	if opts.Rate != nil {
		r.arrivals = pace.Even(opts.Rate)
	}
	return r
}

// run sends every sample. Its error is that of ctx.
func (r *replay) run(ctx context.Context) error {
	r.start = time.Now()
	ended, reported := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(reported)
		r.report(ended)
	}()
	var workers sync.WaitGroup
	for range min(r.opts.Connections, len(r.exchanges)) {
		workers.Go(func() { r.worker(ctx) })
	}
	workers.Wait()
	close(ended)
	<-reported
	return context.Cause(ctx)
}

// progressEvery is often enough for eyes.
const progressEvery = 250 * time.Millisecond

// report tells about the progress until the end, and of the end.
func (r *replay) report(ended <-chan struct{}) {
	if r.opts.Progress == nil {
		return
	}
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-tick.C:
		case <-ended:
			running = false
		}
		r.opts.Progress(Progress{Done: int(r.done.Load()), All: len(r.exchanges), Failed: int(r.failed.Load())})
	}
}

// worker sends samples until none is left.
func (r *replay) worker(ctx context.Context) {
	s := r.open()
	defer func() { _ = s.Close() }() // whatever is still to come is not wanted
	for {
		i, ok := r.take(ctx)
		if !ok {
			return
		}
		x := &r.exchanges[i]
		if x.err = errGaveUp; r.inRow.Load() < giveUpAfter {
			r.send(ctx, s, i)
		}
		if r.done.Add(1); x.err != nil {
			r.failed.Add(1)
		}
	}
}

// take waits until the next sample is due. It is not ok when there is none, or ctx
// has ended.
func (r *replay) take(ctx context.Context) (i int, ok bool) {
	i, due, ok := r.following()
	return i, ok && wait(ctx, due)
}

func (r *replay) following() (i int, due time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == len(r.exchanges) {
		return 0, due, false
	}
	if r.arrivals != nil {
		due = r.start.Add(r.arrivals.Next())
	}
	r.next++
	return r.next - 1, due, true
}

// wait returns false when ctx ends first. There is nothing to wait for in a time
// that has passed.
func wait(ctx context.Context, until time.Time) bool {
	if left := time.Until(until); left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

func (r *replay) send(ctx context.Context, s sender, i int) {
	x := &r.exchanges[i]
	rules := wire.Rules{Host: r.opts.Host}
	id := r.traceID(i)
	if r.opts.AccessLog != nil {
		// Not sampled: a replay is no traffic that anybody wants traces of.
		rules.Trace = "00-" + id + "-" + id[16:] + "-00"
	}
	m := wire.Render(&r.opts.Corpus.Samples[i], rules)
	if x.adjusted = m.Adjusted; m.Traced {
		x.trace = id
	}
	x.answer, x.err = s.Send(ctx, m)
	if f, ok := errors.AsType[*target.Failure](x.err); ok && f.Kind == target.Connect {
		r.inRow.Add(1)
		return
	}
	r.inRow.Store(0)
}

// traceID is unique in this run, and all but certainly among others: a random half
// and the number of the sample.
func (r *replay) traceID(i int) string {
	return hex.EncodeToString(r.prefix[:]) + fmt.Sprintf("%016x", i+1)
}
