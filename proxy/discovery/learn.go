package discovery

import (
	"net/netip"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// Learn takes what was said about an address; ttl is when it is to be forgotten, 0:
// never. What nobody asked for, or does not any more, is passed over.
func (b *Book[W]) Learn(at netip.AddrPort, t push.Target, version string, ttl time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[at]
	if e == nil || b.shut {
		return
	}
	b.changed = true
	b.set(e, t, version)
	e.cached, e.until = false, time.Time{}
	if ttl > 0 {
		e.until = time.Now().Add(ttl)
	}
	e.answer()
}

// set needs b.mu.
func (b *Book[W]) set(e *entry[W], t push.Target, version string) {
	found := Found[W]{Verdict: verdictOf(t), Target: t}
	if found.Verdict == Mesh {
		found.Way = b.opts.Make(t, e.found.Way)
		e.made = true
	} else {
		b.unmake(e)
	}
	e.found, e.version, e.known = found, version, true
}

func verdictOf(t push.Target) Verdict {
	switch {
	case !t.Known():
		return Unknown
	case t.Outside:
		return Outside
	}
	return Mesh
}

// A Known is what is known of one address, to be kept over a restart.
type Known struct {
	At      netip.AddrPort
	Target  push.Target
	Version string
}

// Restore hands over what was known before a restart. It is called before anything is
// asked.
func (b *Book[W]) Restore(all []Known) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range all {
		if b.shut || len(b.entries) >= b.opts.Most || b.entries[k.At] != nil {
			continue
		}
		e := &entry[W]{answered: make(chan struct{}), used: time.Now(), cached: true}
		b.entries[k.At] = e
		b.set(e, k.Target, k.Version)
		if e.found.Verdict != Mesh {
			k.Version = "" // not said to be held, so that it is said again
		}
		b.opts.Subscribe(k.At, k.Version)
	}
}

// Touch notes that an address is in use, though nobody calls it anew.
func (b *Book[W]) Touch(at netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[at]; e != nil {
		e.used = time.Now()
	}
}

// Kept returns what is known, for Restore, and whether it is another than the last
// time.
func (b *Book[W]) Kept() (all []Known, changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if changed, b.changed = b.changed, false; !changed || b.shut {
		return nil, false
	}
	for at, e := range b.entries {
		if e.known {
			all = append(all, Known{At: at, Target: e.found.Target, Version: e.version})
		}
	}
	return all, true
}

// Sweep forgets the addresses that nobody has called for a while.
func (b *Book[W]) Sweep(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for at, e := range b.entries {
		if e.waiting == 0 && now.Sub(e.used) >= b.opts.Idle {
			b.forget(at, e)
		}
	}
}

// Each calls f with every way there is, and with the target that it leads to.
func (b *Book[W]) Each(f func(netip.AddrPort, Found[W])) {
	b.mu.Lock()
	all := make(map[netip.AddrPort]Found[W], len(b.entries))
	for at, e := range b.entries {
		if e.known {
			all[at] = e.found
		}
	}
	b.mu.Unlock()
	for at, found := range all {
		f(at, found)
	}
}

// Len counts the addresses that are known or asked for.
func (b *Book[W]) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.entries)
}

// Close closes all ways and makes no new ones. Who waits is told nothing.
func (b *Book[W]) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shut = true
	for at, e := range b.entries {
		b.unmake(e)
		delete(b.entries, at)
		e.known, e.found = false, Found[W]{}
		e.answer()
	}
}
