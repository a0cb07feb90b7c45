package accesslog

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// A Feed hands records to whoever follows them as they come. Its records are those of
// the log without any query, of everything that is recorded, whether or not it is
// written. While nobody follows it costs one atomic load for a record. Its methods may
// be called concurrently.
type Feed struct {
	most, maxBytes int

	following atomic.Int32

	mu        sync.Mutex // for what follows
	followers []*Follower
}

// NewFeed returns a Feed for at most so many followers at a time, each of which may
// be so many bytes of records behind.
func NewFeed(followers, bytes int) *Feed { return &Feed{most: followers, maxBytes: bytes} }

// Follow begins with the next record. It returns false where there are as many
// followers as there may be. The follower is to be closed.
func (f *Feed) Follow() (*Follower, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.followers) >= f.most {
		return nil, false
	}
	one := &Follower{feed: f, wake: make(chan struct{}, 1)}
	f.followers = append(f.followers, one)
	f.following.Add(1)
	return one, true
}

// followed tells whether anybody would get a record. A nil Feed has no followers.
func (f *Feed) followed() bool { return f != nil && f.following.Load() > 0 }

// add gives a record to each follower that has room for it, and never waits.
func (f *Feed) add(record []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.followers {
		one.add(record, f.maxBytes)
	}
}

func (f *Feed) leave(one *Follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.followers, one); i >= 0 {
		f.followers = slices.Delete(f.followers, i, i+1)
		f.following.Add(-1)
	}
}

// A Follower gets records in their order. One that is too slow loses some, and is told
// how many.
type Follower struct {
	feed *Feed
	wake chan struct{} // 1: there is something to take

	mu      sync.Mutex // for what follows
	waiting []byte     // whole records
	spare   []byte     // the piece that was taken before the last one
	lost    int        // records that came after those that wait
}

// add keeps a record, or counts it. Once something is lost, nothing is kept until the
// follower has been told: the gap is where it was.
func (f *Follower) add(record []byte, most int) {
	f.mu.Lock()
	if f.lost > 0 || len(f.waiting)+len(record) > most {
		f.lost++
	} else {
		f.waiting = append(f.waiting, record...)
	}
	f.mu.Unlock()
	notify(f.wake)
}

// Next waits for records and returns them, each with its line break, and how many were
// lost behind them. They are valid until the call after the next one. The error is
// that of ctx.
func (f *Follower) Next(ctx context.Context) (records []byte, lost int, err error) {
	for {
		if records, lost = f.take(); len(records) > 0 || lost > 0 {
			return records, lost, nil
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

func (f *Follower) take() (records []byte, lost int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	records, lost = f.waiting, f.lost
	f.waiting, f.spare, f.lost = f.spare[:0], records, 0
	return records, lost
}

// Close ends following. It may be called more than once.
func (f *Follower) Close() { f.feed.leave(f) }
