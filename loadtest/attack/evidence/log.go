package evidence

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// maxRecord bounds a line, in bytes: the longest record an Outrider writes has
	// some 8 KiB, see proxy/accesslog.
	maxRecord = 64 << 10
	// pollEvery is how often a log that has ended is looked at again. A sidecar
	// writes at least every 100 ms.
	pollEvery = 50 * time.Millisecond
)

// A Log is an access log that is still being written.
type Log struct {
	in      *bufio.Reader
	partial []byte // of a line whose end has not been written yet
	long    bool   // the line is over its bound, and passed over
	damaged int
}

// NewLog reads from r, whose end may be followed by more later, as that of a file
// may.
func NewLog(r io.Reader) *Log { return &Log{in: bufio.NewReaderSize(r, maxRecord)} }

// Damaged is how many lines were no records.
func (l *Log) Damaged() int { return l.damaged }

// Find reads until it has seen a record of every key, or has waited as long as
// patience. found has an entry for each key, in order; nil: no record was seen.
func (l *Log) Find(ctx context.Context, keys []Key, patience time.Duration) (found []*Record, err error) {
	s := newSearch(keys)
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for last := false; ; {
		if err := l.records(s.see); err != nil {
			return nil, err
		}
		if s.missing == 0 || last {
			return s.found, nil
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			last = true // one more look
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// records reads up to the present end.
func (l *Log) records(see func(Record)) error {
	for {
		part, err := l.in.ReadSlice('\n')
		if l.long = l.long || len(l.partial)+len(part) > maxRecord; !l.long {
			l.partial = append(l.partial, part...)
		}
		switch {
		case err == nil:
			l.line(see)
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
		default:
			return fmt.Errorf("read the access log: %w", err)
		}
	}
}

// line takes a complete line.
func (l *Log) line(see func(Record)) {
	if r, ok := parse(l.partial); ok && !l.long {
		see(r)
	} else if l.long || len(bytes.TrimSpace(l.partial)) > 0 {
		l.damaged++
	}
	l.partial, l.long = l.partial[:0], false
}

// search is a set of requests that are looked for.
type search struct {
	byTrace, byDecision map[string]int // index into found
	found               []*Record
	missing             int
}

func newSearch(keys []Key) *search {
	s := &search{byTrace: map[string]int{}, byDecision: map[string]int{}, found: make([]*Record, len(keys))}
	for i, k := range keys {
		if k.Trace != "" {
			s.byTrace[k.Trace] = i
		}
		if k.Decision != "" {
			s.byDecision[k.Decision] = i
		}
		if k != (Key{}) {
			s.missing++
		}
	}
	return s
}

// see takes a record over if it is of a request that is looked for.
func (s *search) see(r Record) {
	i, ok := s.byDecision[r.Decision]
	if !ok {
		i, ok = s.byTrace[r.traceID()]
	}
	if !ok {
		return
	}
	before := s.found[i]
	if before == nil {
		s.missing--
	}
	if before == nil || r.tells() > before.tells() {
		s.found[i] = &r
	}
}
