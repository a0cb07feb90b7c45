package http2

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

// segments returns a source of bounds for reads: a few bytes at a time, or many.
func segments(seed uint64) func() int {
	rng := rand.New(rand.NewPCG(seed, 3))
	return func() int {
		if rng.IntN(4) == 0 {
			return 1 + rng.IntN(5000)
		}
		return 1 + rng.IntN(30)
	}
}

// TestWhatIsSaidArrives sends random requests, many at a time, over connections that
// are cut up at random, and compares what arrives on either side.
func TestWhatIsSaidArrives(t *testing.T) {
	const rounds, clients, calls = 12, 4, 8
	var mu sync.Mutex
	done := 0
	for round := range uint64(rounds) {
		inBubble(t, limits.Default(), serveNetHTTP(mirror), func(t *testing.T, r *rig) {
			var n atomic.Uint64
			r.segments = func() func() int { return segments(round*1000 + n.Add(1)) }
			client := r.client()
			defer client.CloseIdleConnections()
			var wg sync.WaitGroup
			for i := range uint64(clients) {
				rng := rand.New(rand.NewPCG(round, i))
				wg.Go(func() {
					for range calls {
						if err := roundTrip(client, rng); err != nil {
							t.Errorf("round %d: %v", round, err)
						}
						mu.Lock()
						done++
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			for _, f := range r.failures {
				t.Errorf("round %d: %s", round, describeFailure(f))
			}
		})
	}
	if done != rounds*clients*calls {
		t.Errorf("%d calls, want %d", done, rounds*clients*calls)
	}
}

// mirror answers with the body and the fields that it was asked with.
func mirror(w http.ResponseWriter, q *http.Request) {
	if q.Header.Get("X-Early") != "" {
		w.WriteHeader(http.StatusEarlyHints)
	}
	w.Header().Set("Trailer", "X-Tail")
	w.Header().Set("X-Path", q.RequestURI)
	for name, values := range q.Header {
		if name[:2] == "X-" {
			w.Header()[name] = values
		}
	}
	status, _ := strconv.Atoi(q.Header.Get("X-Status"))
	w.WriteHeader(status)
	_, _ = io.Copy(w, q.Body)
	w.Header().Set("X-Tail", q.Trailer.Get("X-Tail"))
}

func randomBody(rng *rand.Rand) []byte {
	size := []int{0, 1, 100, 5000, 70_000, 300_000}[rng.IntN(6)]
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// roundTrip makes one random call.
func roundTrip(client *http.Client, rng *rand.Rand) error {
	body := randomBody(rng)
	url := fmt.Sprintf("http://shop/%d?q=%d", rng.IntN(100), rng.IntN(100))
	req, err := http.NewRequest([]string{"GET", "POST", "PUT", "X"}[rng.IntN(4)], url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if rng.IntN(2) == 0 { // of unknown length, with a trailer
		req.ContentLength = -1
		req.Body = io.NopCloser(bytes.NewReader(body))
		req.Trailer = http.Header{"X-Tail": {strconv.Itoa(rng.IntN(1000))}}
	}
	for i := range rng.IntN(10) {
		req.Header.Add("X-"+strconv.Itoa(i), strconv.Itoa(rng.IntN(10_000)))
	}
	if rng.IntN(4) == 0 {
		req.Header.Set("X-Early", "y")
	}
	status := []int{200, 200, 201, 404}[rng.IntN(4)]
	if len(body) > 0 {
		status = min(status, 299) // net/http sends no body to its end after any other answer
	}
	req.Header.Set("X-Status", strconv.Itoa(status))
	tail := req.Trailer.Get("X-Tail")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case !bytes.Equal(got, body):
		return fmt.Errorf("%d bytes came back of %d, or others", len(got), len(body))
	case res.StatusCode != status || res.Header.Get("X-Path") != req.URL.RequestURI() || res.Trailer.Get("X-Tail") != tail:
		return fmt.Errorf("status %d, path %q, trailer %q", res.StatusCode, res.Header.Get("X-Path"), res.Trailer.Get("X-Tail"))
	}
	for name := range req.Header {
		if res.Header.Get(name) != req.Header.Get(name) {
			return fmt.Errorf("%s: %q, want %q", name, res.Header.Get(name), req.Header.Get(name))
		}
	}
	return nil
}
