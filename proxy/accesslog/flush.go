package accesslog

import (
	"bytes"
	"fmt"
	"io"
	"time"
)

// flushLoop owns the sink. An idle log has no timer running, so that an idle
// sidecar does not wake up ten times a second.
func (w *Writer) flushLoop() {
	defer close(w.stopped)
	timer := time.NewTimer(w.options.FlushInterval)
	timer.Stop()
	var spare []byte
	torn := false // the sink holds the beginning of a record
	for {
		<-w.wake
		timer.Reset(w.options.FlushInterval)
		select {
		case <-timer.C:
		case <-w.full:
			timer.Stop()
		}
		data, records, last := w.take(spare)
		torn = w.write(data, records, torn)
		spare = w.release(data)
		if last {
			return
		}
	}
}

// take exchanges the pending records for an empty buffer.
func (w *Writer) take(spare []byte) (data []byte, records int, last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	data, records = w.pending, w.records
	w.pending, w.records = spare[:0], 0
	w.inFlight = len(data)
	return data, records, w.closed
}

// release makes room for as many bytes as were written and returns the buffer
// for reuse, unless a peak has made it large.
func (w *Writer) release(data []byte) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inFlight = 0
	if cap(data) > retained {
		return nil
	}
	return data[:0]
}

// write hands records to the sink. It returns whether the sink was left in the
// middle of one, in which case the next write begins with a line break: one
// line may be damaged, but not two.
func (w *Writer) write(data []byte, records int, torn bool) bool {
	if len(data) == 0 {
		return torn
	}
	if torn {
		if _, err := w.options.Output.Write([]byte{'\n'}); err != nil {
			w.fail(err, records)
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
	w.fail(err, records-bytes.Count(data[:n], []byte{'\n'}))
	return n > 0 && data[n-1] != '\n'
}

func (w *Writer) fail(err error, lost int) {
	if w.err == nil {
		w.err = fmt.Errorf("writing the access log: %w", err)
	}
	w.options.Dropped(lost)
}
