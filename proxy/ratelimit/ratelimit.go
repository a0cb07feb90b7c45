// Package ratelimit counts calls against the limits of access policies.
//
// Each share of a limit (a caller's, a route's) is a token bucket in its virtual
// form, the generic cell rate algorithm: one number, the time at which the
// bucket would be full again. Taking a token is one atomic operation, and a
// bucket that is full is worth nothing, so that it can be forgotten without
// anybody gaining by it.
//
// How many buckets there are is bounded. Where no room can be made, a share
// without a bucket uses the one that all of its kind have together: they are
// limited too much and never too little.
package ratelimit

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/limits"
)

// A Limiter holds the buckets of one sidecar. The zero value is ready to use and
// bounded by the default of package limits. Its methods may be called
// concurrently, but for Adopt.
type Limiter struct {
	// Buckets is how many are kept; 0 means the default.
	Buckets int
	// Folded is told of each call that had to use a common bucket; nil for
	// nobody. It must be quick.
	Folded func()

	once    sync.Once
	start   time.Time // of the clock that buckets are kept in
	buckets atomic.Int64
	quotas  map[authz.Quota]*quota // those adopted last
}

// Adopt makes a Meter of a set's quotas. A quota that was there before keeps its
// buckets, whatever else has changed; those of others are dropped. Calls must not
// overlap. Meters of earlier sets may still be in use.
func (l *Limiter) Adopt(quotas []authz.Quota) Meter {
	l.once.Do(func() { l.start = time.Now() })
	m, kept := Meter{limiter: l}, make(map[authz.Quota]*quota, len(quotas))
	for _, q := range quotas {
		state := l.quotas[q]
		if state == nil {
			state = newQuota(q)
		}
		kept[q] = state
		m.quotas = append(m.quotas, state)
	}
	for q, state := range l.quotas {
		if kept[q] == nil {
			l.buckets.Add(-state.drop())
		}
	}
	l.quotas = kept
	return m
}

// room is how many buckets may be kept.
func (l *Limiter) room() int64 {
	if l.Buckets > 0 {
		return int64(l.Buckets)
	}
	return int64(limits.Default().RateBuckets)
}

// Len is how many buckets there are.
func (l *Limiter) Len() int { return int(l.buckets.Load()) }

// A Meter implements [authz.Meter] for one set of policies.
type Meter struct {
	limiter *Limiter
	quotas  []*quota // by index
}

// Take implements [authz.Meter].
func (m Meter) Take(index int, of authz.Share) (wait time.Duration, ok bool) {
	q := m.quotas[index]
	now := int64(time.Since(m.limiter.start))
	if of == (authz.Share{}) {
		return q.take(&q.whole, now)
	}
	q.mu.RLock()
	b := q.shares[of]
	if b != nil {
		wait, ok = q.take(b, now) // while nobody can forget the bucket
	}
	q.mu.RUnlock()
	if b != nil {
		return wait, ok
	}
	return m.first(q, of, now)
}

// first takes the first token of a share, whose bucket has to be made.
func (m Meter) first(q *quota, of authz.Share, now int64) (time.Duration, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.shares[of]
	switch {
	case b != nil: // somebody else was quicker
	case m.limiter.reserve(q, now):
		b = new(bucket)
		q.shares[of] = b
	default:
		if m.limiter.Folded != nil {
			m.limiter.Folded()
		}
		b = &q.other
	}
	return q.take(b, now)
}

// reserve makes room for one more bucket of q, whose lock is held.
func (l *Limiter) reserve(q *quota, now int64) bool {
	if q.dropped {
		return false
	}
	if l.buckets.Add(1) <= l.room() {
		return true
	}
	l.buckets.Add(-1)
	return q.forget(now)
}
