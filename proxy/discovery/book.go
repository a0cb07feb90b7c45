package discovery

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// Options configure a [Book]. All fields are required.
type Options[W any] struct {
	// Subscribe asks for what is known of an address, of which the version is held;
	// empty: nothing is. Unsubscribe undoes that. They don't wait, nor call back.
	Subscribe   func(at netip.AddrPort, version string)
	Unsubscribe func(at netip.AddrPort)
	// Reachable tells whether there is somebody to ask.
	Reachable func() bool
	// Make makes the way to a target with endpoints out of the one before, which is
	// the zero W for none. Close closes a way. Both are called with the book's lock
	// held, and don't call back.
	Make  func(t push.Target, before W) W
	Close func(W)
	// Most is how many addresses are known at a time; Wait how long a call waits;
	// Retry how long calls don't after one has waited in vain; Idle when an address
	// that nobody calls is forgotten.
	Most              int
	Wait, Retry, Idle time.Duration
}

// A Verdict is what is known of an address.
type Verdict uint8

// The verdicts. The zero value is the one on which nothing may be built.
const (
	// Unresolved: nothing is known, because nobody has said anything.
	Unresolved Verdict = iota
	// Mesh: workloads of the mesh answer there, or none does at the moment.
	Mesh
	// Outside: the address is known, and nobody of the mesh answers there.
	Outside
	// Unknown: nobody knows the address.
	Unknown
)

// A Found is what was found out about an address.
type Found[W any] struct {
	Verdict Verdict
	// Target is what was said; its zero value where nothing was.
	Target push.Target
	// Way is what Make made of it; the zero W unless the verdict is Mesh.
	Way W
}

// A Book has what is known of addresses. Its methods may be called from any goroutine.
type Book[W any] struct {
	opts Options[W]

	mu      sync.Mutex
	entries map[netip.AddrPort]*entry[W]
	shut    bool
	changed bool // since Kept was called last
}

// entry is one address. Its fields belong to the book's lock.
type entry[W any] struct {
	found    Found[W]
	version  string
	answered chan struct{} // closed once something is known
	known    bool          // it is
	cached   bool          // from before a restart, and not confirmed
	made     bool          // there is a way
	waiting  int           // how many calls wait
	used     time.Time     // when it was last asked about
	until    time.Time     // when what is known is to be forgotten; zero: never
	retry    time.Time     // until when calls don't wait
}

// New returns an empty book.
func New[W any](o Options[W]) *Book[W] {
	return &Book[W]{opts: o, entries: map[netip.AddrPort]*entry[W]{}}
}

// Find returns what is known of an address, and waits for it if that is asked for the
// first time.
func (b *Book[W]) Find(ctx context.Context, at netip.AddrPort) Found[W] {
	at = netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	e := b.enter(at, now)
	if e == nil {
		return Found[W]{}
	}
	if !e.settled() && !now.Before(e.retry) {
		b.await(ctx, e)
	}
	if e.settled() || e.known && !b.shut {
		return e.found
	}
	return Found[W]{}
}

// settled tells whether what is known can be acted upon without waiting. What calls
// in plaintext depend on has to be confirmed.
func (e *entry[W]) settled() bool {
	return e.known && (!e.cached || e.found.Verdict == Mesh)
}

// await waits for an answer. It lets go of b.mu meanwhile.
func (b *Book[W]) await(ctx context.Context, e *entry[W]) {
	wait := b.opts.Wait
	if !b.opts.Reachable() {
		wait = min(wait, b.opts.Retry)
	}
	e.waiting++
	answered := e.answered
	b.mu.Unlock()
	timer := time.NewTimer(wait)
	select {
	case <-answered:
	case <-timer.C:
	case <-ctx.Done():
	}
	timer.Stop()
	b.mu.Lock()
	e.waiting--
	if !e.settled() {
		e.retry = time.Now().Add(b.opts.Retry)
	}
}

// enter returns the entry of an address, a new one if need be; nil where there is no
// room. It needs b.mu.
func (b *Book[W]) enter(at netip.AddrPort, now time.Time) *entry[W] {
	if b.shut {
		return nil
	}
	e := b.entries[at]
	switch {
	case e == nil:
		if len(b.entries) >= b.opts.Most && !b.forgetOldest() {
			return nil
		}
		e = &entry[W]{answered: make(chan struct{})}
		b.entries[at] = e
		b.opts.Subscribe(at, "")
	case !e.until.IsZero() && !now.Before(e.until) && b.opts.Reachable(): // else the last answer stays
		b.clear(e)
		b.opts.Subscribe(at, "") // so that it is said again
	}
	e.used = now
	return e
}

// clear makes nothing known of an address. It needs b.mu.
func (b *Book[W]) clear(e *entry[W]) {
	b.unmake(e)
	e.found, e.version, e.known, e.until = Found[W]{}, "", false, time.Time{}
	e.answered = make(chan struct{})
}

// unmake closes the way of an entry, if there is one. It needs b.mu.
func (b *Book[W]) unmake(e *entry[W]) {
	if e.made {
		b.opts.Close(e.found.Way)
		e.made = false
	}
}

// forgetOldest makes room; false: every address is waited for. It needs b.mu.
func (b *Book[W]) forgetOldest() bool {
	var oldest netip.AddrPort
	var found *entry[W]
	for at, e := range b.entries {
		if e.waiting == 0 && (found == nil || e.used.Before(found.used)) {
			oldest, found = at, e
		}
	}
	if found == nil {
		return false
	}
	b.forget(oldest, found)
	return true
}

// forget needs b.mu.
func (b *Book[W]) forget(at netip.AddrPort, e *entry[W]) {
	b.unmake(e)
	delete(b.entries, at)
	b.opts.Unsubscribe(at)
	b.changed = b.changed || e.known
}

// answer wakes those who wait. It needs b.mu.
func (e *entry[W]) answer() {
	select {
	case <-e.answered:
	default:
		close(e.answered)
	}
}
