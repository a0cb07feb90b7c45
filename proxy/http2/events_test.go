package http2

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

const (
	firstEvent  = "data: 1\n\n"
	secondEvent = "data: 2\n\n"
)

// events gets an answer whose second event is sent when the first was seen and some
// time has gone by. It returns how the second was received, and whether the engine
// knew what it was carrying.
func events(t *testing.T, contentType string, pause time.Duration) (second string, known bool, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan struct{})
		r := newRig(t, limits.Default(), serveNetHTTP(func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, firstEvent)
			w.(http.Flusher).Flush() //nolint:forcetypeassert // as documented
			<-seen
			select {
			case <-time.After(pause):
			case <-q.Context().Done(): // nobody would wait for the handler
			}
			_, _ = io.WriteString(w, secondEvent)
		}))
		defer r.close()
		done := make(chan struct{})
		r.handle = func(x *Exchange) {
			defer close(done)
			r.forward(x)
			known = x.Events
		}
		c := r.client()
		defer c.CloseIdleConnections()
		req, rerr := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://shop:80/", nil)
		if rerr != nil {
			t.Fatal(rerr)
		}
		res, rerr := c.Do(req)
		if rerr != nil {
			t.Fatal(rerr)
		}
		defer res.Body.Close()
		first := make([]byte, len(firstEvent))
		if _, rerr := io.ReadFull(res.Body, first); string(first) != firstEvent {
			t.Fatalf("%q, %v before the second event exists", first, rerr)
		}
		close(seen)
		var rest []byte
		rest, err = io.ReadAll(res.Body)
		second = string(rest)
		<-done
	})
	return second, known, err
}

func TestEventsPassWhenTheyHappen(t *testing.T) {
	// Far beyond what a body may stand still, within what a stream may.
	pause := limits.Default().StreamIdleTimeout / 2
	second, known, err := events(t, "text/event-stream; charset=utf-8", pause)
	if second != secondEvent || err != nil || !known {
		t.Errorf("then %q, %v, known %t", second, err, known)
	}
	if _, _, err := events(t, "text/event-stream", 3*limits.Default().StreamIdleTimeout); err == nil {
		t.Error("a stream may stand still for ever")
	}
	if _, known, err := events(t, "text/plain", pause); err == nil || known {
		t.Errorf("a body may stand still as long as a stream: %v, known %t", err, known)
	}
}
