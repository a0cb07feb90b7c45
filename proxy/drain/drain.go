// Package drain knows every open connection, so that each can be ended for a
// reason: the process stops, a certificate expires, a trust bundle loses a root,
// a policy changes its mind.
//
// A connection is tracked before it is trusted: first registered, then judged.
// So a change between the two is never missed.
package drain

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// An Ender can end a connection. Its methods are called from any goroutine, and
// perhaps more than once.
type Ender interface {
	// CloseGracefully lets the answer in progress be finished.
	CloseGracefully()
	// Abort cuts the connection off.
	Abort()
}

// An Abandoner can also end what is under way for a client that has gone.
type Abandoner interface{ AbandonIfGone() }

// A Conn is one tracked connection.
type Conn struct {
	id    uint64
	end   Ender
	about atomic.Pointer[About]
	// reason is why it was told to end; the first one stays.
	reason atomic.Uint32
	// gracefulAt is when CloseGracefully had been called, in Unix nanoseconds.
	gracefulAt atomic.Int64
}

// About is what is known of a tracked connection. It is immutable.
type About struct {
	Direction flow.Direction
	Listener  string
	Remote    string
	Opened    time.Time
	Protocol  flow.Protocol
	// Peer is the other end of the mesh hop; zero for plaintext.
	Peer identity.Peer
	// Passed is where it goes past the mesh, in plaintext; zero where it doesn't.
	Passed netip.AddrPort
	// StillAllowed judges the connection again after a policy change; nil
	// where every request is judged anyway.
	StillAllowed func() bool
}

// Describe publishes what has become known of the connection.
func (c *Conn) Describe(a *About) { c.about.Store(a) }

// About returns what was last described; nil before.
func (c *Conn) About() *About { return c.about.Load() }

// ID is unique within the tracker.
func (c *Conn) ID() uint64 { return c.id }

// Reason is why the connection was told to end; None if it was not.
func (c *Conn) Reason() flow.Reason { return flow.Reason(c.reason.Load()) } //nolint:gosec // stored from a Reason

// Abort cuts the connection off for a reason.
func (c *Conn) Abort(r flow.Reason) {
	c.reason.CompareAndSwap(0, uint32(r))
	c.end.Abort()
}

// CloseGracefully asks the connection to end, for a reason.
func (c *Conn) CloseGracefully(r flow.Reason) {
	c.reason.CompareAndSwap(0, uint32(r))
	c.end.CloseGracefully()
	c.gracefulAt.CompareAndSwap(0, time.Now().UnixNano())
}

// Ending is why the connection has been asked to end, which it may take its time
// to do; None if it was not.
func (c *Conn) Ending() flow.Reason {
	if c.gracefulAt.Load() == 0 {
		return flow.None
	}
	return c.Reason()
}

// A Tracker is the set of open connections. Its zero value is empty and ready.
type Tracker struct {
	mu     sync.Mutex
	conns  map[uint64]*Conn
	next   uint64
	ending ending
}

// ending is what happens to connections to come.
type ending uint8

const (
	welcome    ending = iota
	gracefully        // since Drain
	atOnce            // since Abort
)

// Add registers a connection. After Drain it is asked to end at once, after
// Abort it is cut off.
func (t *Tracker) Add(end Ender) *Conn {
	t.mu.Lock()
	t.next++
	c := &Conn{id: t.next, end: end}
	if t.conns == nil {
		t.conns = make(map[uint64]*Conn)
	}
	t.conns[c.id] = c
	now := t.ending
	t.mu.Unlock()
	switch now {
	case welcome:
	case gracefully:
		c.CloseGracefully(flow.Draining)
	case atOnce:
		c.Abort(flow.Draining)
	}
	return c
}

// Remove forgets a connection that has ended.
func (t *Tracker) Remove(c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c.id)
}

// Each calls f with every connection that is open now, without holding a lock.
func (t *Tracker) Each(f func(*Conn)) {
	t.mu.Lock()
	conns := make([]*Conn, 0, len(t.conns))
	for _, c := range t.conns {
		conns = append(conns, c)
	}
	t.mu.Unlock()
	for _, c := range conns {
		f(c)
	}
}

// Len counts the open connections.
func (t *Tracker) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conns)
}

// Drain asks every connection to end, those to come included: one may have been
// accepted a moment ago and not be registered yet. Who accepts connections knows
// when the last one has ended.
func (t *Tracker) Drain() {
	t.endWith(gracefully)
	t.Each(func(c *Conn) { c.CloseGracefully(flow.Draining) })
}

// Abort cuts every connection off, those to come included.
func (t *Tracker) Abort() {
	t.endWith(atOnce)
	t.Each(func(c *Conn) { c.Abort(flow.Draining) })
}

func (t *Tracker) endWith(e ending) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ending = max(t.ending, e)
}
