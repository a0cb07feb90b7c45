package issue

import (
	"container/list"
	"sync"
	"time"
)

// A rate limits how often something may be done for each key: a token bucket for
// each of those that came last.
type rate struct {
	perSecond, burst float64

	mu      sync.Mutex
	buckets map[string]*list.Element
	recent  *list.List // of *bucket, the one that came last in front
}

type bucket struct {
	key    string
	tokens float64
	at     time.Time
}

func newRate(perSecond, burst float64) *rate {
	return &rate{perSecond: perSecond, burst: burst, buckets: map[string]*list.Element{}, recent: list.New()}
}

// take takes a token of key at the time now. If there is none, it returns in how
// long there will be one.
func (r *rate) take(key string, now time.Time) (wait time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bucket(key, now)
	b.tokens = min(r.burst, b.tokens+max(now.Sub(b.at).Seconds(), 0)*r.perSecond)
	b.at = now
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) / r.perSecond * float64(time.Second)), false
	}
	b.tokens--
	return 0, true
}

// bucket finds the key's, or makes a full one in the place of the one that was
// away for longest.
func (r *rate) bucket(key string, now time.Time) *bucket {
	if e, ok := r.buckets[key]; ok {
		r.recent.MoveToFront(e)
		return e.Value.(*bucket)
	}
	if len(r.buckets) >= maxKeys {
		oldest := r.recent.Back()
		r.recent.Remove(oldest)
		delete(r.buckets, oldest.Value.(*bucket).key)
	}
	b := &bucket{key: key, tokens: r.burst, at: now}
	r.buckets[key] = r.recent.PushFront(b)
	return b
}
