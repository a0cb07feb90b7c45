package e2e

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity/identitytest"
)

// pace is how often a clean request is sent, whatever became of the one before.
const pace = 25 * time.Millisecond

// BenchmarkHostileBodies tells what one client with eight connections, which sends
// bodies that only the rules can judge, costs another one whose requests are clean,
// and one that is not inspected. Sidecar, application and clients share one process.
func BenchmarkHostileBodies(b *testing.B) {
	ca := identitytest.NewCA(b, "example.org")
	s := side{
		source: ca.Source(b, payments), forward: serveApp(b, hello),
		policies: allowMesh + next + inspection("paths: [\"/v1/{**}\"]"),
	}.start(b)
	hostile := dearRequest()
	var quiet, pressed, passed []time.Duration
	dial := func() *wire { return dialMesh(b, s.Address(b, "in"), ca.Source(b, checkout), h1) }
	clean, open := dial(), dial()
	for b.Loop() {
		quiet = append(quiet, askPaced(b, clean, "/v1/charges/42?limit=10", 120)...)
		stop, crowd := make(chan struct{}), sync.WaitGroup{}
		for range 8 {
			w := dial()
			crowd.Go(func() { repeat(w, hostile, stop) })
		}
		pressed = append(pressed, askPaced(b, clean, "/v1/charges/42?limit=10", 120)...)
		passed = append(passed, askPaced(b, open, "/static", 120)...)
		close(stop)
		crowd.Wait()
	}
	b.ReportMetric(0, "ns/op")
	for name, all := range map[string][]time.Duration{"quiet": quiet, "pressed": pressed, "uninspected": passed} {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), name+"-median-µs")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), name+"-p99-µs")
	}
}

// dearRequest is the dearest of those that are inspected as a whole by default.
func dearRequest() string {
	var body strings.Builder
	body.WriteString(`{"a":"1' or 2","all":[`)
	for n := 0; body.Len() < 16_000; n++ {
		fmt.Fprintf(&body, `{"id":%d,"name":"item %d","price":12.5},`, n, n)
	}
	body.WriteString("0]}")
	return fmt.Sprintf("POST /v1/import HTTP/1.1\r\nHost: payments\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		body.Len(), body.String())
}

// repeat sends a request again and again.
func repeat(w *wire, request string, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		io.WriteString(w, request)
		if _, err := w.tryAnswer(); err != nil {
			return
		}
	}
}

// askPaced sends requests at the pace and tells how long after its time each was answered.
func askPaced(b *testing.B, w *wire, target string, n int) []time.Duration {
	b.Helper()
	took := make([]time.Duration, 0, n)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for range n {
		due := <-tick.C // of those that came while nobody was there to take them, the first
		io.WriteString(w, "GET "+target+" HTTP/1.1\r\nHost: payments\r\nUser-Agent: checkout/1.2\r\nAccept: application/json\r\n\r\n")
		a, err := w.tryAnswer()
		if err != nil || a.StatusCode != 200 {
			b.Fatalf("%s: %v, %v", target, a, err)
		}
		took = append(took, time.Since(due))
	}
	return took
}
