package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit"
)

// caller makes requests of one version of HTTP.
func caller(t *testing.T, version int) *http.Client {
	t.Helper()
	p := new(http.Protocols)
	p.SetHTTP1(version == 1)
	p.SetUnencryptedHTTP2(version == 2)
	tr := &http.Transport{Protocols: p}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// A flaky application fails its first calls, and then gives back what it gets.
type flaky struct {
	fail  func(http.ResponseWriter)
	times int64
	calls atomic.Int64
}

func (f *flaky) handle(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if n := f.calls.Add(1); n <= f.times || err != nil {
		f.fail(w)
		return
	}
	w.Write(body)
}

func answers(status int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { http.Error(w, "failed", status) }
}

func cut(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func TestRequestsAreSentAgain(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 64<<10+1)
	cases := []struct {
		name, retry  string
		fail         func(http.ResponseWriter)
		times        int64
		method, body string
		status       int
		calls        int64
	}{
		{"an answer of failure", "{}", answers(503), 1, "GET", "", 200, 2},
		{"a status that nobody named", "{}", answers(500), 1, "GET", "", 500, 1},
		{"a status that somebody named", "{statuses: [500]}", answers(500), 1, "GET", "", 200, 2},
		{"another than the named one", "{statuses: [500]}", answers(503), 1, "GET", "", 503, 1},
		{"a cut before the answer", "{}", cut, 1, "GET", "", 200, 2},
		{"a method that is not idempotent", "{}", answers(503), 1, "POST", "once", 503, 1},
		{"a cut of what is not idempotent", "{}", cut, 1, "POST", "once", 502, 1},
		{"a method that may be sent again", "{methods: [POST]}", answers(503), 1, "POST", "twice", 200, 2},
		{"a body that is kept", "{}", answers(503), 1, "PUT", strings.Repeat("0123456789abcdef", 4<<10), 200, 2},
		{"a body that is not", "{}", answers(503), 1, "PUT", large, 503, 1},
		{"more failures than attempts", "{}", answers(503), 2, "GET", "", 503, 2},
		{"as many failures as attempts", "{attempts: 3}", answers(503), 3, "GET", "", 200, 4},
		{"nothing is said about it", "", answers(503), 1, "GET", "", 503, 1},
	}
	const least = 13
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, version := range []int{1, 2} {
		for _, c := range cases {
			t.Run(fmt.Sprintf("HTTP/%d, %s", version, c.name), func(t *testing.T) {
				app := &flaky{fail: c.fail, times: c.times}
				serve := serveApp
				if version == 2 {
					serve = serveHTTP2
				}
				destination := ""
				if c.retry != "" {
					destination = ", retry: " + c.retry
				}
				p := newPair(t, side{forward: serve(t, app.handle)}, side{destination: destination})
				req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+p.out.Address(t, "out")+"/", strings.NewReader(c.body))
				if err != nil {
					t.Fatal(err)
				}
				res, err := caller(t, version).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				got, err := io.ReadAll(res.Body)
				if err != nil || res.StatusCode != c.status || app.calls.Load() != c.calls {
					t.Errorf("status %d after %d calls, %v; want %d after %d", res.StatusCode, app.calls.Load(), err, c.status, c.calls)
				}
				if c.status == 200 && string(got) != c.body {
					t.Errorf("the application got %d bytes of %d in the end", len(got), len(c.body))
				}
				r := p.out.Log.Await(t, "the request", func(r map[string]any) bool { return r["kind"] == "request" })
				if retried := c.calls > 1; r["retried"] != map[bool]any{true: true}[retried] {
					t.Errorf("retried is %v", r["retried"])
				}
				if n := metric(t, p.out, "outrider_retries_total", `result="retried"`); n != float64(c.calls-1) {
					t.Errorf("%v retries were counted, want %d", n, c.calls-1)
				}
			})
		}
	}
}

func TestRetriesHaveABudget(t *testing.T) {
	t.Parallel()
	app := &flaky{fail: answers(503), times: 1 << 20}
	p := newPair(t, side{forward: serveApp(t, app.handle)}, side{destination: ", retry: {attempts: 5, budgetPercent: 1}"})
	w := dial(t, p.out.Address(t, "out"))
	const requests = 50
	for range requests {
		w.get("/").wants(t, 503)
	}
	if n := app.calls.Load(); n != requests+10 {
		t.Errorf("%d requests became %d calls, want ten more", requests, n)
	}
	counted(t, p.out, 1, "outrider_retries_total", `result="over_budget"`)
}

func TestADestinationHasItsOwnTimeouts(t *testing.T) {
	t.Parallel()
	for _, version := range []int{1, 2} {
		release := make(chan struct{})
		app := func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		serve := serveApp
		if version == 2 {
			serve = serveHTTP2
		}
		p := newPair(t, side{forward: serve(t, app)}, side{destination: ", responseTimeout: 100ms"})
		res, err := caller(t, version).Get("http://" + p.out.Address(t, "out") + "/")
		close(release)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != http.StatusGatewayTimeout || res.Header.Get("X-Outrider-Decision") == "" {
			t.Errorf("HTTP/%d: status %d", version, res.StatusCode)
		}
	}
}

func TestADestinationTakesNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	app := func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}
	p := newPair(t, side{forward: serveApp(t, app)}, side{destination: ", maxPending: 1"})
	first := dial(t, p.out.Address(t, "out"))
	first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	dial(t, p.out.Address(t, "out")).get("/").refused(t, http.StatusServiceUnavailable, "overloaded")
	close(release)
	first.answer().wants(t, 200)
	dial(t, p.out.Address(t, "out")).get("/").wants(t, 200)
}

// Each endpoint must prove the identity that belongs to it.
func TestEndpointsHaveIdentitiesOfTheirOwn(t *testing.T) {
	t.Parallel()
	const standby = "spiffe://example.org/ns/shop/sa/standby"
	a := newPair(t, side{forward: serveApp(t, hello)}, side{})
	b := side{source: a.ca.Source(t, standby), forward: serveApp(t, hello), policies: allowMesh}.start(t)
	at := func(s *testkit.Sidecar) string { return s.Address(t, "in") }
	for _, c := range []struct {
		of, id string
		ok     bool
	}{{at(a.in), payments, true}, {at(b), standby, true}, {at(a.in), standby, false}, {at(b), payments, false}} {
		out := testkit.Start(t, testkit.Options{
			YAML: "  outbound: [{name: out, listen: \"127.0.0.1:0\", destination: peer}]\n" +
				"  destinations: [{name: peer, endpoints: [{address: " + strconv.Quote(c.of) + ", spiffeIDs: [" + c.id + "]}], spiffeIDs: [" + intruder + "]}]\n",
			Name: "checkout", Source: a.outID,
		})
		w := dial(t, out.Address(t, "out")).get("/")
		if c.ok {
			w.wants(t, 200)
		} else {
			w.refused(t, http.StatusBadGateway, "upstream_tls_failed")
		}
	}
}

func TestEndpointsOfOurZoneArePreferred(t *testing.T) {
	t.Parallel()
	var near, far atomic.Int64
	count := func(n *atomic.Int64) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { n.Add(1); hello(w, r) }
	}
	a := newPair(t, side{forward: serveApp(t, count(&near))}, side{})
	b := side{source: a.ca.Source(t, payments), forward: serveApp(t, count(&far)), policies: allowMesh}.start(t)
	out := testkit.Start(t, testkit.Options{
		YAML: "  outbound: [{name: out, listen: \"127.0.0.1:0\", destination: peer}]\n  destinations: [{name: peer, spiffeIDs: [" + payments +
			"], endpoints: [{zone: here, address: " + strconv.Quote(a.in.Address(t, "in")) + "}, {zone: there, address: " + strconv.Quote(b.Address(t, "in")) + "}]}]\n",
		Name: "checkout", Labels: map[string]string{"topology.kubernetes.io/zone": "here"}, Source: a.outID,
	})
	w := dial(t, out.Address(t, "out"))
	for range 40 {
		w.get("/").wants(t, 200)
	}
	if near.Load() != 40 || far.Load() != 0 {
		t.Errorf("%d calls stayed in the zone, %d left it", near.Load(), far.Load())
	}
	a.in.Stop()
	if err := a.in.Wait(); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		w.get("/").wants(t, 200)
	}
	if far.Load() != 10 {
		t.Errorf("%d calls went to the other zone when ours was gone", far.Load())
	}
}
