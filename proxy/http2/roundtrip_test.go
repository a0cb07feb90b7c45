package http2

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

// echo answers with what it was asked, in a trailer as well.
func echo(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Trailer", "X-Sum")
	_, _ = io.WriteString(w, q.Method+" "+q.RequestURI+" "+q.Host+" "+string(body))
	w.Header().Set("X-Sum", q.Header.Get("X-Sum")+q.Trailer.Get("X-Sum"))
}

func TestACallPasses(t *testing.T) {
	r := newRig(t, limits.Default(), serveNetHTTP(echo))
	defer r.close()
	c := r.client()
	defer c.CloseIdleConnections()
	const calls = 3
	for range calls {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://shop:80/a?b=c", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Sum", "1")
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if string(body) != "POST /a?b=c shop:80 hello" || res.Trailer.Get("X-Sum") != "1" || err != nil {
			t.Errorf("%q, %v, %v", body, res.Trailer, err)
		}
		_ = res.Body.Close()
	}
	if r.dialCount() != 1 || len(r.failures) > 0 {
		t.Errorf("%d connections to the application, failures %v", r.dialCount(), r.failures)
	}
}
