// Package ledger keeps the books of connections: each is known while it is open,
// can be told to end, and is written down when it has ended. Both directions do
// that alike; what they do with a connection in between is theirs.
package ledger

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/proxy/accesslog"
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/httpflow"
	"github.com/outrider-mesh/outrider/proxy/socket"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

// Books are where connections are written down.
type Books struct {
	Tracker *drain.Tracker
	Metrics *telemetry.Metrics
	// AccessLog is nil where no log is kept.
	AccessLog *accesslog.Writer
}

// An Entry is one connection. It belongs to the goroutine that serves it, but for
// the methods of [drain.Ender] and [drain.Abandoner].
type Entry struct {
	Flow flow.Connection
	// Tracked is how others know of the connection.
	Tracked *drain.Conn
	// Metrics are nil until Count.
	Metrics *telemetry.ConnectionMetrics

	books *Books
	raw   net.Conn // as accepted
	// http is set while HTTP is served, for a graceful end.
	http atomic.Pointer[served]
	// finished: it was served to the end, and not ended by a panic.
	finished bool
}

// Open begins an entry for the connection raw, of which f is known. From now on
// it can be told to end: it is judged afterwards, so that no change is missed.
// Close must follow, deferred.
func (b *Books) Open(e *Entry, raw net.Conn, f flow.Connection) {
	e.books, e.raw, e.Flow = b, raw, f
	e.Flow.Opened = time.Now()
	e.Flow.Remote = httpflow.AddrPortOf(raw.RemoteAddr())
	e.Tracked = b.Tracker.Add(e)
	e.Flow.ID = e.Tracked.ID()
}

// Refused writes down a connection that was not let in at all.
func (b *Books) Refused(raw net.Conn, f flow.Connection, r flow.Refusal) {
	f.Opened, f.Remote, f.Refusal = time.Now(), httpflow.AddrPortOf(raw.RemoteAddr()), r
	b.Metrics.Connection(&f).Closed(&f)
	b.log(&f)
}

func (b *Books) log(f *flow.Connection) {
	if b.AccessLog != nil {
		b.AccessLog.Connection(f)
	}
}

// Count counts the connection as open. What metrics tell apart is known by now; where
// that changes it is counted on as what it has become.
func (e *Entry) Count() {
	if e.Metrics != nil {
		e.Metrics.Becomes(&e.Flow)
		return
	}
	e.Metrics = e.books.Metrics.Connection(&e.Flow)
}

// served is a connection of either HTTP engine.
type served struct{ drain.Ender }

// Serve tells that h reads the requests of the connection from now on.
func (e *Entry) Serve(h drain.Ender) {
	e.http.Store(&served{h})
	if e.Tracked.Reason() != flow.None { // told to end before there was an h
		h.CloseGracefully()
	}
}

// Finish tells that the connection was served to its end. Without it, Close takes
// it that a panic passes by.
func (e *Entry) Finish() { e.finished = true }

// Close closes the connection and writes it down.
func (e *Entry) Close() {
	e.books.Tracker.Remove(e.Tracked)
	if r := e.Tracked.Reason(); r != flow.None && !decided(e.Flow.Refusal.Reason) {
		e.Flow.Refusal = flow.Refusal{Reason: r}
	}
	if !e.finished {
		e.Flow.Refusal = flow.Refusal{Reason: flow.Internal, Detail: "panic; the process log has its stack"}
	}
	_ = e.raw.Close() // closed already where it ended in good order
	if e.Metrics == nil {
		e.Count()
	}
	e.Metrics.Closed(&e.Flow)
	e.Flow.Times.Total = time.Since(e.Flow.Opened)
	e.books.log(&e.Flow)
}

// decided tells whether r is a decision about the connection, and not just how
// its end showed itself after it was told to end.
func decided(r flow.Reason) bool { return r == flow.AccessDenied || r == flow.PlaintextRefused }

// CloseGracefully implements [drain.Ender]. Opaque bytes know no graceful end.
func (e *Entry) CloseGracefully() {
	if h := e.http.Load(); h != nil {
		h.CloseGracefully()
	}
}

// AbandonIfGone implements [drain.Abandoner].
func (e *Entry) AbandonIfGone() {
	if h := e.http.Load(); h != nil {
		if a, ok := h.Ender.(drain.Abandoner); ok {
			a.AbandonIfGone()
		}
	}
}

// Abort implements [drain.Ender].
func (e *Entry) Abort() { socket.Abort(e.raw) }
