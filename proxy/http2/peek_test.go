package http2

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

// slowly gives a body out in pieces of some bytes.
type slowly struct {
	r *rand.Rand
	b string
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.b == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 1+s.r.IntN(3000))], s.b)
	s.b = s.b[n:]
	return n, nil
}

// Inspection reads ahead, then more; what is forwarded is what came, however much
// that was and however it was cut, and what is copied as it passes is the same.
func TestWhatWasReadAheadIsForwarded(t *testing.T) {
	r := newRig(t, limits.Default(), serveNetHTTP(echo))
	random := rand.New(rand.NewPCG(5, 6))
	var first, second, most int64
	var body []byte
	looked := make(chan struct{}, 1)
	r.handle = func(x *Exchange) {
		defer func() { looked <- struct{}{} }()
		x.Body.Tap(most)
		if p, _, err := x.Body.Arrived(2); err != nil || len(p) > 2 {
			t.Errorf("%d bytes of 2 have arrived, %v", len(p), err)
		}
		for _, n := range []int64{first, second} {
			p, complete, err := x.Body.Peek(n)
			if err != nil || int64(len(p)) != n && !complete {
				t.Errorf("%d bytes of %d, complete %t, %v", len(p), n, complete, err)
			}
		}
		r.forward(x)
		want := body[:min(most, int64(len(body)))]
		if got, complete := x.Body.Tapped(); !bytes.Equal(got, want) || complete != (len(want) == len(body)) {
			t.Errorf("%d bytes of %d, of which %d are wanted, were copied, complete %t", len(got), len(body), most, complete)
		}
	}
	c := r.client()
	const cases = 150
	for range cases {
		body = make([]byte, random.IntN(1<<random.IntN(18)))
		for i := range body {
			body[i] = byte(' ' + random.IntN(90))
		}
		first = random.Int64N(6)
		most = random.Int64N(20_000)
		second = first + random.Int64N(20_000)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://shop:80/", &slowly{random, string(body)})
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/grpc")
		req.Trailer = http.Header{"X-Sum": {"7"}}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		<-looked
		if want := "POST / shop:80 " + string(body); string(got) != want || err != nil || res.Trailer.Get("X-Sum") != "7" {
			t.Errorf("%d bytes, of which %d were read ahead, became %d, %v, trailer %v", len(body), second, len(got), err, res.Trailer)
		}
		_ = res.Body.Close()
	}
	c.CloseIdleConnections()
	r.close()
	if len(r.failures) > 0 {
		t.Errorf("failures: %v", r.failures)
	}
}

// A gRPC call may be silent for an hour, but not while it is held back.
func TestReadingAheadOfACallDoesNotWaitForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, limits.Default(), serveNetHTTP(echo))
		defer r.close()
		var took time.Duration
		var got error
		r.handle = func(x *Exchange) {
			start := time.Now()
			_, _, got = x.Body.Peek(5)
			took = time.Since(start)
			_ = x.Respond(http.StatusRequestTimeout, nil, nil)
		}
		c := r.client()
		defer c.CloseIdleConnections()
		body, more := io.Pipe()
		defer more.Close()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://shop:80/", io.MultiReader(strings.NewReader("\x00"), body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/grpc")
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if within := limits.Default().BodyTimeout; !errors.Is(got, os.ErrDeadlineExceeded) || took != within {
			t.Errorf("%v after %v, want the end of time after %v", got, took, within)
		}
	})
}
