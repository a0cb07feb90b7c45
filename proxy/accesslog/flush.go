package accesslog

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"
)

// flushLoop owns the sink. An idle log has no timer running, so that an idle
// sidecar does not wake up ten times a second.
func (w *Writer) flushLoop() {
	defer close(w.stopped)
	timer := time.NewTimer(w.options.FlushInterval)
	timer.Stop()
	torn := false // the sink holds the beginning of a record
	for {
		<-w.wake
		timer.Reset(w.options.FlushInterval)
		select {
		case <-timer.C:
		case <-w.full:
			timer.Stop()
		}
		data, last := w.take()
		for len(data) > 0 {
			torn = w.write(data, torn)
			w.release(data)
			data, last = w.take()
		}
		if last {
			return
		}
	}
}

// piece returns an empty piece of the buffer; it is called with mu held.
func (w *Writer) piece() []byte {
	if n := len(w.free); n > 0 {
		p := w.free[n-1]
		w.free = w.free[:n-1]
		return p
	}
	return make([]byte, 0, batch)
}

// take returns the oldest piece that waits, none when nothing does, and whether
// nothing more will come.
func (w *Writer) take() (data []byte, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.sealed) > 0 {
		data = w.sealed[0]
		w.sealed = slices.Delete(w.sealed, 0, 1)
		return data, false
	}
	if len(w.filling) > 0 {
		data = w.filling
		w.filling = nil
		return data, false
	}
	return nil, w.closed
}

// release makes room for as many bytes as were written.
func (w *Writer) release(data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting -= len(data)
	if len(w.free) < spares {
		w.free = append(w.free, data[:0])
	}
}

// write hands records to the sink. It returns whether the sink was left in the
// middle of one, in which case the next write begins with a line break: one
// line may be damaged, but not two.
func (w *Writer) write(data []byte, torn bool) bool {
	if torn {
		if _, err := w.options.Output.Write([]byte{'\n'}); err != nil {
			w.fail(err, data)
			return true
		}
	}
	n, err := w.options.Output.Write(data)
	n = min(max(n, 0), len(data))
	if n == len(data) {
		return false
	}
	if err == nil {
		err = io.ErrShortWrite
	}
	w.fail(err, data[n:])
	return n > 0 && data[n-1] != '\n'
}

// fail keeps the first error and counts the records that end in what was lost.
func (w *Writer) fail(err error, lost []byte) {
	if w.err == nil {
		w.err = fmt.Errorf("writing the access log: %w", err)
	}
	w.options.Dropped(bytes.Count(lost, []byte{'\n'}))
}
