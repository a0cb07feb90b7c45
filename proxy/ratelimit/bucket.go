package ratelimit

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/authz"
)

// A bucket is the time at which it is full, in nanoseconds since the limiter's
// start; any time that has passed will do.
type bucket struct{ full atomic.Int64 }

// A quota is the state of one limit.
type quota struct {
	// every is the time in which one token comes back, slack that in which all
	// but one do; nanoseconds.
	every, slack int64
	// whole is everybody's bucket, other that of shares for which there is no
	// room.
	whole, other bucket

	mu      sync.RWMutex // for what follows
	shares  map[authz.Share]*bucket
	dropped bool // the limit is no longer in force
}

func newQuota(q authz.Quota) *quota {
	return &quota{
		every: int64(q.Every), slack: int64(q.Every) * int64(q.Burst-1),
		shares: make(map[authz.Share]*bucket),
	}
}

// take takes one token, or tells in how long there is one.
func (q *quota) take(b *bucket, now int64) (wait time.Duration, ok bool) {
	for {
		was := b.full.Load()
		full := max(was, now)
		if missing := full - now - q.slack; missing > 0 {
			return time.Duration(missing), false
		}
		if b.full.CompareAndSwap(was, full+q.every) {
			return 0, true
		}
	}
}

// tries is at how many buckets forget looks. Under attack most of them are in
// use, and looking at all of them is what the attacker would want.
const tries = 8

// forget drops a bucket that is full, whose owner will not notice. The lock is
// held.
func (q *quota) forget(now int64) bool {
	left := tries
	for share, b := range q.shares { // begins anywhere
		if b.full.Load() <= now {
			delete(q.shares, share)
			return true
		}
		if left--; left == 0 {
			return false
		}
	}
	return false
}

// drop forgets all buckets for good and returns how many there were.
func (q *quota) drop() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := int64(len(q.shares))
	clear(q.shares)
	q.dropped = true
	return n
}
