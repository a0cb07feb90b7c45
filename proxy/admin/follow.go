package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// A Follower gets records as they come.
type Follower interface {
	// Next waits for records and returns them, each with its line break, and how
	// many were lost behind them. The error is that of ctx.
	Next(ctx context.Context) (records []byte, lost int, err error)
	// Close ends following.
	Close()
}

const (
	// followBeat is after how much silence an empty line is sent, so that whoever
	// reads knows that the sidecar is there, and we that the reader is.
	followBeat = 5 * time.Second
	// followWrite is how long a reader may refuse to take records.
	followWrite = 10 * time.Second
	// followTime ends a reader that was forgotten.
	followTime = time.Hour
)

// follow answers with records as they come, one JSON object a line, until the client
// goes away, takes nothing, or an hour has passed. Records that it was too slow for
// are counted in a line of their own. It ends at once when the port closes: a reader
// must not keep a sidecar from stopping.
func follow(w http.ResponseWriter, r *http.Request, begin func() Follower, closing <-chan struct{}) {
	f := begin()
	if f == nil {
		plainText(w, http.StatusServiceUnavailable, "as many follow already as may at a time")
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	ctx, cancel := context.WithTimeout(r.Context(), followTime)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		select {
		case <-closing:
			cancel()
		case <-ctx.Done():
		}
	})
	out := http.NewResponseController(w)
	// The port's own bound on reading would end it: it is for requests that end.
	if out.SetReadDeadline(time.Now().Add(followTime+followWrite)) != nil {
		return
	}
	text := []byte("\n") // so that a client knows at once that it follows
	for {
		if out.SetWriteDeadline(time.Now().Add(followWrite)) != nil {
			return
		}
		if _, err := w.Write(text); err != nil || out.Flush() != nil {
			return
		}
		var err error
		if text, err = nextLines(ctx, f); err != nil {
			return
		}
	}
}

// nextLines is what is sent next: records, or an empty line after a while.
func nextLines(ctx context.Context, f Follower) ([]byte, error) {
	beat, cancel := context.WithTimeout(ctx, followBeat)
	defer cancel()
	text, lost, err := f.Next(beat)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return []byte("\n"), nil
	case err != nil:
		return nil, err
	case lost > 0:
		text = fmt.Appendf(text, "{\"kind\":\"lost\",\"records\":%d}\n", lost)
	}
	return text, nil
}
