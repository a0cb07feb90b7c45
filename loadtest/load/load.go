// Package load sends requests and measures how long they took.
//
// In an open loop a request is due at a time that does not depend on how fast the
// answers come, and its latency counts from then: a request that had to wait
// because every caller was still waiting for an answer has waited all the same.
// In a closed loop every caller sends its next request when it has its answer,
// which measures capacity.
//
// What the generator itself is late is measured apart, and said: a load that the
// machine could not produce is no result about the target.
package load

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/hist"
	"github.com/outrider-mesh/outrider/loadtest/pace"
	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// An Opener makes callers; a *target.Target is one.
type Opener interface {
	Open(ctx context.Context) (target.Caller, error)
}

// A Session holds the callers of one target open, from one block of load to the
// next. It runs one block at a time.
type Session struct {
	callers []target.Caller
	clock   clock
}

// Open makes n callers. If it fails, none is left.
func Open(ctx context.Context, to Opener, n int) (*Session, error) {
	s := &Session{clock: systemClock{}}
	for range n {
		c, err := to.Open(ctx)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.callers = append(s.callers, c)
	}
	return s, nil
}

// Close ends the callers.
func (s *Session) Close() error {
	var errs []error
	for _, c := range s.callers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// A Block is one stretch of load.
type Block struct {
	// Arrivals are when requests are due, the first ones during the warm-up; nil
	// for a closed loop.
	Arrivals *pace.Arrivals
	// Warmup passes before Measure begins; what falls into it is not counted.
	Warmup, Measure time.Duration
	// Watch are whose clocks are read at both ends of the measured time.
	Watch []watch.Group
	// Progress is called a few times a second with what has been measured so
	// far, from one goroutine; nil: nobody wants to know.
	Progress func(*Result)
}

// Result is what a block showed. While the block runs only its methods and its
// histograms may be used.
type Result struct {
	// Latency of the requests that succeeded: in an open loop from when they
	// were due, in a closed one from when they were sent.
	Latency *hist.Histogram
	// Service is from when they were sent.
	Service *hist.Histogram
	// Late is how much later than due requests were sent by callers that had
	// been waiting for just that: the generator's own failing.
	Late *hist.Histogram
	// Series is the latency second by second.
	Series []Second
	// Due is how many requests should have been sent in the measured time,
	// Unsent how many of them were not before it ended.
	Due, Unsent int64
	// Queued is how many were due when no caller was free.
	Queued int64
	// Bytes is the payload of the answers.
	Bytes int64
	// Failures are counted by kind; First is the text of the first.
	Failures map[target.Kind]int64
	First    string
	// Outside are failures that do not count, of the warm-up above all. Whoever
	// wants a block without any looks at them too; FirstOutside is the first.
	Outside      int64
	FirstOutside string
	// Spent is what passed on the clocks.
	Spent watch.Spent

	mu sync.Mutex // guards the counts, not the histograms, which guard themselves
}

// A Second is one second of the measured time.
type Second struct {
	Latency *hist.Histogram
	Failed  int64
}

// Succeeded is how many requests did.
func (r *Result) Succeeded() int64 { return r.Latency.Count() }

// Failed is how many did not.
func (r *Result) Failed() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var n int64
	for _, k := range r.Failures {
		n += k
	}
	return n
}

// count adds to one of the result's own counts.
func (r *Result) count(field *int64, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*field += n
}

func (r *Result) fail(second *Second, err error) {
	kind := target.Malformed
	if f, ok := errors.AsType[*target.Failure](err); ok {
		kind = f.Kind
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Failures[kind]++
	second.Failed++
	if r.First == "" {
		r.First = excerpt(err)
	}
}

func (r *Result) failOutside(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Outside++; r.Outside == 1 {
		r.FirstOutside = excerpt(err)
	}
}

// maxExcerpt bounds what is kept of an error, in bytes: it may quote a whole head
// that a target sent.
const maxExcerpt = 500

func excerpt(err error) string {
	text := err.Error()
	if len(text) > maxExcerpt {
		return strings.ToValidUTF8(text[:maxExcerpt], "") + "…"
	}
	return text
}

func newResult(measure time.Duration) *Result {
	r := &Result{
		Latency: hist.New(), Service: hist.New(), Late: hist.New(), Failures: map[target.Kind]int64{},
		Series: make([]Second, (measure+time.Second-1)/time.Second),
	}
	for i := range r.Series {
		r.Series[i].Latency = hist.New()
	}
	return r
}
