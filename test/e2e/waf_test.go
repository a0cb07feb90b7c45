package e2e

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
)

// wafFailures covers what can be brought about from outside. That the engine
// fails cannot; package inspect tests it with an engine of its own.
func wafFailures(t *testing.T) {
	body := func(n int) string { return `{"a":"` + strings.Repeat("x", n-8) + `"}` }
	json := "Content-Type: application/json\r\n"
	cases := []struct {
		name, spec, fields, body string
		limits                   string // of the sidecar
		status                   int
		uninspected              string
	}{
		{"an unknown coding is denied by default", "mode: Block", json + "Content-Encoding: compress\r\n", body(100), "", 403, "encoding"},
		{"several codings are denied too", "mode: Block", json + "Content-Encoding: br\r\nContent-Encoding: gzip\r\n", body(100), "", 403, "encoding"},
		{"an unknown coding passes where policy says so", "mode: Block, onFailure: {encoding: Allow}", json + "Content-Encoding: compress\r\n", body(100), "", 200, "encoding"},
		{"an unknown coding passes in mode Detect", "mode: Detect", json + "Content-Encoding: compress\r\n", body(100), "", 200, "encoding"},
		{"a body over the cap is denied where policy says so", "mode: Block, body: {inspectBytes: 64, overflow: Deny}", json, body(100), "", 403, "body_over_cap"},
		{"a body over the cap is inspected as far as the cap", "mode: Block, body: {inspectBytes: 64}", json, body(100), "", 200, "body_over_cap"},
		{"a body over the cap passes where policy says so", "mode: Block, body: {inspectBytes: 64, overflow: Pass}", json, body(100), "", 200, "body_over_cap"},
		{"no time for it is denied by default", "mode: Block", json, body(100), inNoTime, 503, "timeout"},
		{"no time for it passes where policy says so", "mode: Block, onFailure: {timeout: Allow}", json, body(100), inNoTime, 200, "timeout"},
	}
	const least = 9
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	ca := identitytest.NewCA(t, "example.org")
	app := serveApp(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Write(b)
	})
	for _, c := range cases {
		s := side{source: ca.Source(t, payments), forward: app, policies: allowMesh + next + inspection(c.spec), spec: c.limits}.start(t)
		w := dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1)
		w.send("POST /v1/charges HTTP/1.1\r\nHost: payments\r\n" + c.fields + "Transfer-Encoding: chunked\r\n\r\n" + chunked(c.body))
		a := w.answer().wants(t, c.status)
		switch {
		case c.status == 403:
			a.refused(t, 403, "waf_uninspected")
		case c.status == 503:
			a.refused(t, 503, "waf_unavailable")
		case a.body != c.body:
			t.Errorf("%s: the application got %q", c.name, a.body)
		}
		r := s.Log.Await(t, c.name, func(r map[string]any) bool { return field(r, "waf", "uninspected") == c.uninspected })
		if got := r["status"]; got != float64(c.status) {
			t.Errorf("%s: the record has status %v", c.name, got)
		}
		counted(t, s, 1, "outrider_inspections_total", `reason="`+c.uninspected+`"`)
	}
	t.Run("overload", wafOverload)
}

// inNoTime is over before an inspection has begun.
const inNoTime = "  limits: {inspectionTimeout: 1ns}\n"

// chunked is a body in chunks of some bytes.
func chunked(body string) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(len(body), 15)
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

// wafOverload fills the inspection slots with bodies that are dear to inspect: each
// takes longer than the scheduler lets it run, or they would come one after the other
// although all are there.
func wafOverload(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	s := side{
		source: ca.Source(t, payments), forward: serveApp(t, hello),
		policies: allowMesh + next + inspection("mode: Block, threshold: 1000, body: {inspectBytes: 65536}, cpuMillis: 10000"),
		spec:     "  limits: {inspectionWait: 1ms, inspectionTimeout: 60s}\n",
	}.start(t)
	var dear strings.Builder
	// As many values as there may be are not proved clean without the engine.
	dear.WriteString("<a>" + strings.Repeat("<k>v1 and 2</k>", 1000) + "</a>")
	request := "POST / HTTP/1.1\r\nHost: payments\r\nContent-Type: application/xml\r\nContent-Length: " +
		strconv.Itoa(dear.Len()) + "\r\n\r\n" + dear.String()
	callers := 10 * runtime.GOMAXPROCS(0) // there is a slot for each processor
	results, together := make(chan int, callers), make(chan struct{})
	for range callers {
		w := dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1)
		go func() {
			<-together
			io.WriteString(w, request)
			a, err := w.tryAnswer()
			switch {
			case err != nil:
				results <- 0
			case a.StatusCode == 503 && !strings.Contains(a.body, "waf_unavailable"):
				results <- -1
			default:
				results <- a.StatusCode
			}
		}()
	}
	close(together)
	seen := map[int]int{}
	for range callers {
		seen[<-results]++
	}
	t.Logf("answers by status: %v", seen)
	if seen[200]+seen[503] != callers || seen[503] == 0 {
		t.Errorf("answers by status: %v, want 200 and some 503 for want of a slot", seen)
	}
	s.Log.Await(t, "an overload", func(r map[string]any) bool { return field(r, "waf", "uninspected") == "overload" })
	counted(t, s, float64(seen[503]), "outrider_inspections_total", `reason="overload"`)
}
