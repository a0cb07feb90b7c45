package http2

import (
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
// that was and however it was cut.
func TestWhatWasReadAheadIsForwarded(t *testing.T) {
	r := newRig(t, limits.Default(), serveNetHTTP(echo))
	random := rand.New(rand.NewPCG(5, 6))
	var first, second int64
	r.handle = func(x *Exchange) {
		for _, n := range []int64{first, second} {
			p, complete, err := x.Body.Peek(n)
			if err != nil || int64(len(p)) != n && !complete {
				t.Errorf("%d bytes of %d, complete %t, %v", len(p), n, complete, err)
			}
		}
		r.forward(x)
	}
	c := r.client()
	const cases = 150
	for range cases {
		body := make([]byte, random.IntN(1<<random.IntN(18)))
		for i := range body {
			body[i] = byte(' ' + random.IntN(90))
		}
		first = 5
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
