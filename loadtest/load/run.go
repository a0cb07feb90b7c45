package load

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// run is a block under way.
type run struct {
	Block
	session *Session
	result  *Result
	start   time.Time // of the warm-up
	begin   time.Time // of the measured time
	end     time.Time
}

// Run sends one block and returns when every answer is there. Requests that fail
// are part of the result; an error means that there is none.
func (s *Session) Run(ctx context.Context, b Block) (*Result, error) {
	now := s.clock.Now()
	r := &run{
		Block: b, session: s, result: newResult(b.Measure),
		start: now, begin: now.Add(b.Warmup), end: now.Add(b.Warmup + b.Measure),
	}
	spent, clocks := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(clocks)
		spent <- r.readClocks(ctx)
	}()
	var callers sync.WaitGroup
	for _, c := range s.callers {
		callers.Go(func() { r.caller(ctx, c) })
	}
	callers.Wait()
	<-clocks
	if err := errors.Join(context.Cause(ctx), <-spent); err != nil {
		return nil, err
	}
	r.countUnsent()
	return r.result, nil
}

// readClocks reads the clocks at both ends of the measured time, and reports
// progress between them.
func (r *run) readClocks(ctx context.Context) error {
	if !r.session.clock.Wait(ctx, r.begin) {
		return nil // the caller says why
	}
	before, err := watch.Look(r.Watch)
	if err != nil {
		return err
	}
	for next := r.begin.Add(progressEvery); r.Progress != nil && next.Before(r.end); next = next.Add(progressEvery) {
		if !r.session.clock.Wait(ctx, next) {
			return nil
		}
		r.Progress(r.result)
	}
	if !r.session.clock.Wait(ctx, r.end) {
		return nil
	}
	after, err := watch.Look(r.Watch)
	if err != nil {
		return err
	}
	r.result.Spent = after.Since(before)
	return nil
}

const progressEvery = 250 * time.Millisecond

// caller makes the requests of one caller until the block ends.
func (r *run) caller(ctx context.Context, c target.Caller) {
	w := r.session.clock.Waiter()
	defer w.Close()
	for {
		due, sent, ok := r.next(ctx, w)
		if !ok {
			return
		}
		answer, err := c.Call(ctx)
		if ctx.Err() != nil {
			return
		}
		r.record(due, sent, r.session.clock.Now(), answer, err)
		if err != nil {
			r.pause(ctx, w, err)
		}
	}
}

// next waits until the next request is due. It is not ok when the block is over.
func (r *run) next(ctx context.Context, w waiter) (due, sent time.Time, ok bool) {
	now := r.session.clock.Now()
	if r.Arrivals == nil {
		return now, now, now.Before(r.end)
	}
	offset := r.Arrivals.Next()
	if offset >= r.end.Sub(r.start) {
		return now, now, false
	}
	due = r.start.Add(offset)
	if now.Before(due) {
		if !w.Wait(ctx, due) {
			return now, now, false
		}
		now = r.session.clock.Now()
		if r.measured(due) {
			r.result.Late.Record(now.Sub(due))
		}
		return due, now, true
	}
	if !now.Before(r.end) { // nobody was free to send it
		r.unsent(due)
		return now, now, false
	}
	if r.measured(due) {
		r.result.count(&r.result.Queued, 1)
	}
	return due, now, true
}

// measured tells whether a request that was due then counts.
func (r *run) measured(due time.Time) bool { return !due.Before(r.begin) && due.Before(r.end) }

func (r *run) unsent(due time.Time) {
	if r.measured(due) {
		r.result.count(&r.result.Due, 1)
		r.result.count(&r.result.Unsent, 1)
	}
}

// countUnsent counts what was due and not taken by any caller before the end.
func (r *run) countUnsent() {
	if r.Arrivals == nil {
		return
	}
	for {
		offset := r.Arrivals.Next()
		if offset >= r.end.Sub(r.start) {
			return
		}
		r.unsent(r.start.Add(offset))
	}
}

// record counts a request. In a closed loop one counts that ended in the measured
// time; in an open loop one that was due in it, however long it took.
func (r *run) record(due, sent, done time.Time, a target.Answer, err error) {
	at := due
	if r.Arrivals == nil {
		at = done
	}
	if !r.measured(at) {
		if err != nil {
			r.result.failOutside(err)
		}
		return
	}
	r.result.count(&r.result.Due, 1)
	second := &r.result.Series[at.Sub(r.begin)/time.Second]
	if err != nil {
		r.result.fail(second, err)
		return
	}
	r.result.Latency.Record(done.Sub(due))
	r.result.Service.Record(done.Sub(sent))
	second.Latency.Record(done.Sub(due))
	r.result.count(&r.result.Bytes, a.Bytes)
}

// pause keeps a caller whose target is gone from spinning in a closed loop.
func (r *run) pause(ctx context.Context, w waiter, err error) {
	f, ok := errors.AsType[*target.Failure](err)
	if r.Arrivals == nil && (!ok || f.Kind != target.Status) {
		w.Wait(ctx, r.session.clock.Now().Add(afterFailure))
	}
}

const afterFailure = 10 * time.Millisecond
