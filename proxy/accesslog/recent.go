package accesslog

import (
	"sync"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// A Recent keeps the newest records of what was refused, so that somebody who was
// given a decision id can ask for the reason. It has one buffer of fixed size,
// which is made when the first record comes: keeping a record allocates nothing,
// and a flood of refusals costs no memory, only older records.
//
// Its records are those of the log without any query. Its methods may be called
// concurrently.
type Recent struct {
	maxRecords, maxBytes int

	mu sync.Mutex // for what follows
	// data holds the records of kept. They lie one behind the other; one that
	// does not fit at the end begins at the start again.
	data []byte
	// kept is a ring: count entries from first, oldest first.
	kept         []kept
	first, count int
}

// kept is one record.
type kept struct {
	id         [idSize]byte
	start, end int // in data
}

// NewRecent returns a Recent that keeps at most so many records, in at most so
// many bytes.
func NewRecent(records, bytes int) *Recent {
	return &Recent{maxRecords: max(records, 1), maxBytes: bytes}
}

// add keeps a record, and forgets the oldest ones that are in its way.
func (r *Recent) add(id string, record []byte) {
	if len(id) != idSize || len(record) > r.maxBytes {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.data == nil {
		r.data, r.kept = make([]byte, r.maxBytes), make([]kept, r.maxRecords)
	}
	start := 0
	if r.count > 0 {
		start = r.at(r.count - 1).end
	}
	if start+len(record) > r.maxBytes {
		// What lies behind would be older than the records at the start.
		for r.count > 0 && r.at(0).start >= start {
			r.forget()
		}
		start = 0
	}
	end := start + len(record)
	for r.count > 0 && (r.count == r.maxRecords || r.at(0).start < end && r.at(0).end > start) {
		r.forget()
	}
	k := r.at(r.count)
	r.count++
	copy(k.id[:], id)
	k.start, k.end = start, end
	copy(r.data[start:], record)
}

// at is the i-th of the kept records.
func (r *Recent) at(i int) *kept { return &r.kept[(r.first+i)%len(r.kept)] }

func (r *Recent) forget() {
	r.first = (r.first + 1) % len(r.kept)
	r.count--
}

// Find returns a copy of the record of a decision, a line of JSON.
func (r *Recent) Find(id string) (record []byte, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.count {
		if k := r.at(i); string(k.id[:]) == id {
			return append([]byte(nil), r.data[k.start:k.end]...), true
		}
	}
	return nil, false
}

// All returns copies of at most so many of the newest records, newest first.
func (r *Recent) All(most int) (records [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := r.count - 1; i >= max(0, r.count-most); i-- {
		k := r.at(i)
		records = append(records, append([]byte(nil), r.data[k.start:k.end]...))
	}
	return records
}

// memorable tells which outcomes somebody may ask about: what this sidecar
// refused. Of a client that went away nobody was told anything.
func memorable(r flow.Reason) bool { return r != flow.None && r != flow.ClientClosed }
