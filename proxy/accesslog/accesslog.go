// Package accesslog writes one JSON record for every HTTP request and for every
// opaque or refused connection.
//
// Traffic never waits for the log: records go to a bounded buffer that one
// goroutine empties into the sink, and when a sink is slower than the traffic,
// records are dropped and counted. The record is documented in
// docs/access-log.md; it holds no header values, no bodies and by default no
// query.
package accesslog

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

const (
	// defaultInterval bounds how long a record waits: short enough to follow a
	// log by eye, long enough that a busy sidecar writes in batches.
	defaultInterval = 100 * time.Millisecond
	// defaultBuffered, in bytes, is about two seconds at 1,000 requests a second.
	defaultBuffered = 1 << 20
	// batch, in bytes, is the size of the pieces that the buffer is made of:
	// half of a Linux pipe.
	batch = 32 << 10
	// burst is which part of the buffer is written without waiting for more. A
	// write takes its thread into the kernel for long enough to wake the
	// runtime's monitor, which then keeps itself busy for a while: few bursts
	// cost less than many single writes.
	burst = 4
	// spares is how many empty pieces outlive the peak that needed them.
	spares = 2
)

// Options says where records go and which are kept.
type Options struct {
	// Output is the sink; each Write has whole records, except after it failed
	// in the middle of one. It is never closed. Nil writes nothing, for the sake
	// of Recent alone.
	Output io.Writer
	// Recent keeps what was refused, whether or not it is written; nil keeps
	// nothing.
	Recent *Recent
	// Feed gives what is recorded to whoever follows it; nil gives nothing.
	Feed *Feed
	// RefusalsOnly leaves out the records of requests and connections that
	// were served. Those that were refused, cut short, found to attack, or not
	// inspected although a policy asks for it are written always, and ten a
	// second of those that policies in trial would refuse.
	RefusalsOnly bool
	// Query adds the query of the request target. It often holds secrets.
	Query bool
	// IDs makes ids for records that have none; nil means an own generator.
	IDs *IDs
	// Dropped is told of records that were lost; nil means that nobody counts.
	// It is called by whoever logs, so it must be quick.
	Dropped func(records int)
	// FlushInterval is how long a record may wait; 0 means 100 ms.
	FlushInterval time.Duration
	// MaxBuffered is how many bytes may wait, those being written included;
	// 0 means 1 MiB.
	MaxBuffered int
}

// A Writer is the access log. Its methods may be called concurrently.
type Writer struct {
	options  Options
	recorder recorder
	frugal   recorder  // the same without queries
	scratch  sync.Pool // of *[]byte, for records being made
	samples  sampler

	mu      sync.Mutex // for what follows
	sealed  [][]byte   // full pieces of whole records, oldest first
	filling []byte     // the piece that records are added to
	free    [][]byte   // empty pieces
	waiting int        // bytes of records, those being written included
	closed  bool

	wake    chan struct{} // 1: there is something to write, or closed is set
	full    chan struct{} // 1: there is a batch to write, or closed is set
	stopped chan struct{} // closed when the flusher has returned
	err     error         // first error of Output; read it after stopped
}

// New returns a Writer and starts the goroutine that flushes it. Call
// [Writer.Close] to end that.
func New(options Options) *Writer {
	if options.IDs == nil {
		options.IDs = NewIDs()
	}
	if options.Dropped == nil {
		options.Dropped = func(int) {}
	}
	if options.FlushInterval <= 0 {
		options.FlushInterval = defaultInterval
	}
	if options.MaxBuffered <= 0 {
		options.MaxBuffered = defaultBuffered
	}
	w := &Writer{
		options:  options,
		recorder: recorder{ids: options.IDs, query: options.Query},
		frugal:   recorder{ids: options.IDs},
		wake:     make(chan struct{}, 1),
		full:     make(chan struct{}, 1),
		stopped:  make(chan struct{}),
	}
	w.scratch.New = func() any { return new([]byte) }
	if options.Output == nil {
		close(w.stopped) // there is nothing to flush
		return w
	}
	go w.flushLoop()
	return w
}

// Request logs a finished request. It does not keep req, and names its decision if
// nothing has.
func (w *Writer) Request(req *flow.Request) {
	keep := w.options.Recent != nil && memorable(req.Refusal.Reason)
	write := w.options.Output != nil && (!w.options.RefusalsOnly || req.Refusal.Reason != flow.None ||
		suspicious(&req.Inspection) || w.sampled(req.Decision, req.Shadow, req.Started))
	follow := w.options.Feed.followed()
	if (keep || follow) && req.DecisionID == "" {
		req.DecisionID = w.options.IDs.Next()
	}
	w.record(uses{keep, write, follow}, req.DecisionID, func(r *recorder, dst []byte) []byte { return r.request(dst, req) })
}

// uses are what a record is made for.
type uses struct{ keep, write, follow bool }

// record renders once what is kept, written or followed. A log with queries differs
// from what is kept and followed.
func (w *Writer) record(u uses, id string, render func(*recorder, []byte) []byte) {
	if u == (uses{}) {
		return
	}
	buf := w.scratch.Get().(*[]byte)
	defer w.scratch.Put(buf)
	if u.write {
		*buf = render(&w.recorder, (*buf)[:0])
		w.add(*buf)
	}
	if (u.keep || u.follow) && (!u.write || w.recorder.query) {
		*buf = render(&w.frugal, (*buf)[:0])
	}
	if u.keep {
		w.options.Recent.add(id, *buf)
	}
	if u.follow {
		w.options.Feed.add(*buf)
	}
}

// suspicious inspections are logged even when only refusals are.
func suspicious(i *flow.Inspection) bool {
	return i.Outcome != flow.InspectionOff && (i.Outcome != flow.Clean || i.Uninspected != flow.Inspected) ||
		i.Trial != nil && suspicious(i.Trial)
}

// Connection logs a connection that has ended. It does not keep conn, and names
// its decision if nothing has. An HTTP connection that was not refused is left out:
// its requests have records.
func (w *Writer) Connection(conn *flow.Connection) {
	keep := w.options.Recent != nil && memorable(conn.Refusal.Reason)
	write := w.options.Output != nil && (conn.Refusal.Reason != flow.None || w.served(conn))
	follow := w.options.Feed.followed() && (conn.Refusal.Reason != flow.None || !conn.Protocol.IsHTTP())
	if (keep || follow) && conn.DecisionID == "" {
		conn.DecisionID = w.options.IDs.Next()
	}
	w.record(uses{keep, write, follow}, conn.DecisionID, func(r *recorder, dst []byte) []byte { return r.connection(dst, conn) })
}

// served tells whether a connection that was not refused has a record.
func (w *Writer) served(conn *flow.Connection) bool {
	if conn.Protocol.IsHTTP() {
		return false
	}
	return !w.options.RefusalsOnly || w.sampled(conn.Decision, conn.Shadow, conn.Opened)
}

// add queues a record or drops it; either way at once.
func (w *Writer) add(record []byte) {
	w.mu.Lock()
	room := !w.closed && w.waiting+len(record) <= w.options.MaxBuffered
	first, ripe := false, false
	if room {
		first = len(w.filling) == 0
		if !first && len(w.filling)+len(record) > batch {
			w.sealed = append(w.sealed, w.filling)
			w.filling = nil
			ripe = w.waiting >= w.options.MaxBuffered/burst
		}
		if w.filling == nil {
			w.filling = w.piece()
		}
		w.filling = append(w.filling, record...)
		w.waiting += len(record)
	}
	w.mu.Unlock()

	if !room {
		w.options.Dropped(1)
	}
	if first {
		notify(w.wake)
	}
	if ripe {
		notify(w.full)
	}
}

// notify sets a flag that is a channel of length 1.
func notify(flag chan<- struct{}) {
	select {
	case flag <- struct{}{}:
	default:
	}
}

// Close flushes what is buffered and stops. Records logged later are dropped.
// It waits until ctx ends; then the sink is told to give up if it knows
// deadlines, and what is left is lost with the process. Close returns the first
// error of the sink, or that of ctx. It may be called more than once.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	notify(w.wake)
	notify(w.full)
	select {
	case <-w.stopped:
		return w.err
	case <-ctx.Done():
	}
	if d, ok := w.options.Output.(interface{ SetWriteDeadline(time.Time) error }); ok {
		if d.SetWriteDeadline(time.Unix(1, 0)) == nil {
			<-w.stopped
			return w.err
		}
	}
	return errors.Join(errors.New("access log: flush before closing"), ctx.Err())
}
