package telemetry

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/outrider-mesh/outrider/internal/buildinfo"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

const checkout = "spiffe://cluster.local/ns/shop/sa/checkout"

func inboundHTTP(peer string) *flow.Connection {
	return &flow.Connection{
		Direction: flow.Inbound, Protocol: flow.HTTP1, Security: flow.MutualTLS, PeerID: peer,
	}
}

// exposed compares the samples of some of our metrics with what they should be,
// in both directions.
func exposed(t *testing.T, m *Metrics, want string, names ...string) {
	t.Helper()
	var samples []string
	for line := range strings.Lines(scrape(t, m.Handler())) {
		if end := strings.IndexAny(line, "{ "); end > 0 && slices.Contains(names, line[:end]) {
			samples = append(samples, strings.TrimSpace(line))
		}
	}
	if got, want := strings.Join(samples, "\n"), strings.TrimSpace(want); got != want {
		t.Errorf("samples:\n%s\nwant:\n%s", got, want)
	}
}

// bare returns metrics without those of the runtime, whose values change.
func bare() (*Metrics, *catalogue) {
	c := &catalogue{registry: prometheus.NewRegistry()}
	return newMetrics(c), c
}

func TestARequestIsCountedByItsOutcome(t *testing.T) {
	m, _ := bare()
	cm := m.Connection(inboundHTTP(checkout))
	cm.Request(&flow.Request{Status: 200, Received: 10, Sent: 100, Times: flow.Times{Total: time.Millisecond}})
	cm.Request(&flow.Request{Status: 201, Sent: 5, Times: flow.Times{Total: time.Second}})
	cm.Request(&flow.Request{Status: 403, Refusal: flow.Refusal{Reason: flow.AccessDenied}})
	cm.Request(&flow.Request{
		Status: 403, Refusal: flow.Refusal{Reason: flow.WAFBlocked},
		Inspection: flow.Inspection{Outcome: flow.Blocked},
	})
	cm.Request(&flow.Request{
		Refusal:    flow.Refusal{Reason: flow.ClientClosed},
		Inspection: flow.Inspection{Outcome: flow.Clean, Uninspected: flow.BodyOverCap},
	})
	exposed(t, m, `
outrider_requests_total{code_class="2xx",direction="inbound",outcome="allowed",peer="`+checkout+`",protocol="http1",reason="-",security="mutual_tls"} 2
outrider_requests_total{code_class="4xx",direction="inbound",outcome="blocked",peer="`+checkout+`",protocol="http1",reason="waf_blocked",security="mutual_tls"} 1
outrider_requests_total{code_class="4xx",direction="inbound",outcome="denied",peer="`+checkout+`",protocol="http1",reason="access_denied",security="mutual_tls"} 1
outrider_requests_total{code_class="none",direction="inbound",outcome="canceled",peer="`+checkout+`",protocol="http1",reason="client_closed",security="mutual_tls"} 1
`, "outrider_requests_total")
	exposed(t, m, `
outrider_received_bytes_total{direction="inbound"} 10
outrider_received_bytes_total{direction="outbound"} 0
outrider_sent_bytes_total{direction="inbound"} 105
outrider_sent_bytes_total{direction="outbound"} 0
`, "outrider_received_bytes_total", "outrider_sent_bytes_total")
	exposed(t, m, `
outrider_inspections_total{direction="inbound",outcome="blocked",reason="-"} 1
outrider_inspections_total{direction="inbound",outcome="clean",reason="body_over_cap"} 1
`, "outrider_inspections_total")
	const sum = `outrider_request_duration_seconds_sum{direction="inbound",outcome="allowed"} 1.001`
	if got := scrape(t, m.Handler()); !strings.Contains(got, sum) {
		t.Errorf("exposition lacks %q", sum)
	}
}

func TestTrialsOfInspectionAreCounted(t *testing.T) {
	m, _ := bare()
	m.InspectionPolicies(3, 1)
	cm := m.Connection(inboundHTTP(checkout))
	for _, trial := range []*flow.Inspection{
		nil,
		{Policy: "shop/next", Outcome: flow.Detected},
		{Policy: "shop/next", Outcome: flow.Detected},
		{Policy: "shop/next", Outcome: flow.NotInspected, Uninspected: flow.EngineOverload},
	} {
		cm.Request(&flow.Request{Status: 200, Inspection: flow.Inspection{Outcome: flow.Clean, Trial: trial}})
	}
	exposed(t, m, `
outrider_inspection_policies{proof="off"} 1
outrider_inspection_policies{proof="on"} 2
outrider_inspection_trials_total{outcome="detected",policy="shop/next",reason="-"} 2
outrider_inspection_trials_total{outcome="not_inspected",policy="shop/next",reason="overload"} 1
outrider_inspections_total{direction="inbound",outcome="clean",reason="-"} 4
`, "outrider_inspection_policies", "outrider_inspection_trials_total", "outrider_inspections_total")
}

func TestPoliciesAreCounted(t *testing.T) {
	m, _ := bare()
	m.Shadow(true, false, "shop/trial")
	m.Shadow(true, false, "shop/trial")
	m.Shadow(false, true, "")
	m.RateLimited("shop/cap")
	m.RateLimitFolded()
	exposed(t, m, `
outrider_authz_shadow_total{live="allow",policy="shop/trial",shadow="deny"} 2
outrider_authz_shadow_total{live="deny",policy="-",shadow="allow"} 1
outrider_rate_limit_folded_total 1
outrider_rate_limited_total{policy="shop/cap"} 1
`, "outrider_authz_shadow_total", "outrider_rate_limited_total", "outrider_rate_limit_folded_total")
	for n := range 2 * maxPeers {
		m.RateLimited(fmt.Sprintf("p%d", n))
	}
	// All known names but shop/trial, and the others.
	if got := strings.Count(scrape(t, m.Handler()), "outrider_rate_limited_total{"); got != maxPeers {
		t.Errorf("%d series, want %d", got, maxPeers)
	}
}

func TestStreamsAreCountedByTheirClass(t *testing.T) {
	m, _ := bare()
	cm := m.Connection(inboundHTTP(checkout))
	for _, class := range flow.Classes() {
		cm.Request(&flow.Request{Status: 200, Stream: class})
	}
	cm.Request(&flow.Request{Status: 200, Stream: flow.GRPC})
	exposed(t, m, `
outrider_streams_total{class="connect",direction="inbound"} 1
outrider_streams_total{class="extended_connect",direction="inbound"} 1
outrider_streams_total{class="grpc",direction="inbound"} 2
outrider_streams_total{class="sse",direction="inbound"} 1
outrider_streams_total{class="upgrade",direction="inbound"} 1
`, "outrider_streams_total")
}

func TestAConnectionIsActiveUntilItIsClosedOnce(t *testing.T) {
	m, _ := bare()
	conn := &flow.Connection{Direction: flow.Outbound, Protocol: flow.TCP, PeerID: checkout, Security: flow.MutualTLS}
	first, second := m.Connection(conn), m.Connection(conn)
	exposed(t, m, `
outrider_connections_active{direction="outbound",protocol="tcp",security="mutual_tls"} 2
`, "outrider_connections_active")
	conn.Refusal.Reason = flow.PolicyChanged
	first.Closed(conn)
	first.Closed(conn)
	exposed(t, m, `
outrider_connections_active{direction="outbound",protocol="tcp",security="mutual_tls"} 1
outrider_connections_closed_total{direction="outbound",peer="`+checkout+`",protocol="tcp",reason="policy_changed",security="mutual_tls"} 1
outrider_connections_opened_total{direction="outbound",peer="`+checkout+`",protocol="tcp",security="mutual_tls"} 2
`, "outrider_connections_active", "outrider_connections_opened_total", "outrider_connections_closed_total")
	second.Closed(conn)
	exposed(t, m, `
outrider_connections_active{direction="outbound",protocol="tcp",security="mutual_tls"} 0
`, "outrider_connections_active")
}

func TestBytesOfAnOpaqueConnectionAreCountedOnce(t *testing.T) {
	m, _ := bare()
	conn := &flow.Connection{Direction: flow.Outbound, Protocol: flow.TCP}
	cm := m.Connection(conn)
	cm.Transferred(100, 7)
	conn.Received, conn.Sent = 150, 9
	cm.Closed(conn)
	exposed(t, m, `
outrider_received_bytes_total{direction="inbound"} 0
outrider_received_bytes_total{direction="outbound"} 150
outrider_sent_bytes_total{direction="inbound"} 0
outrider_sent_bytes_total{direction="outbound"} 9
`, "outrider_received_bytes_total", "outrider_sent_bytes_total")
}

func TestPeersBeyondTheCapAreFolded(t *testing.T) {
	m, _ := bare()
	const extra = 50
	for i := range maxPeers + extra {
		m.Connection(inboundHTTP(fmt.Sprintf("spiffe://cluster.local/ns/shop/sa/caller-%d", i)))
	}
	m.Connection(inboundHTTP("spiffe://cluster.local/ns/shop/sa/caller-0")) // known: not folded
	series, err := testutil.GatherAndCount(m.registry, "outrider_connections_opened_total")
	if err != nil || series != maxPeers+1 {
		t.Errorf("%d series (%v), want %d peers and \"other\"", series, err, maxPeers)
	}
	exposed(t, m, fmt.Sprintf("outrider_folded_series_total %d", extra), "outrider_folded_series_total")
	other := fmt.Sprintf(`peer="other",protocol="http1",security="mutual_tls"} %d`, extra)
	if got := scrape(t, m.Handler()); !strings.Contains(got, other) {
		t.Errorf("exposition lacks %q", other)
	}
}

func TestAPeerThatIsNotUTF8IsCountedAndNotFatal(t *testing.T) {
	m, _ := bare()
	m.Connection(inboundHTTP("spiffe://\xff/x")).Request(&flow.Request{Status: 200})
	exposed(t, m, `
outrider_connections_opened_total{direction="inbound",peer="spiffe://`+"\uFFFD"+`/x",protocol="http1",security="mutual_tls"} 1
`, "outrider_connections_opened_total")
}

func TestConcurrentCountingLosesNothing(t *testing.T) {
	m, _ := bare()
	const workers, each = 8, 200
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range each {
				conn := inboundHTTP(fmt.Sprintf("spiffe://cluster.local/sa/%d", i%7))
				cm := m.Connection(conn)
				cm.Request(&flow.Request{Status: 200})
				cm.Closed(conn)
			}
		})
	}
	all.Wait()
	total := 0.0
	for _, s := range m.traffic.series {
		total += testutil.ToFloat64(s.requests.make(int(flow.None), classOf(200)))
	}
	if want := float64(workers * each); total != want {
		t.Errorf("counted %v requests, want %v", total, want)
	}
	exposed(t, m, `
outrider_connections_active{direction="inbound",protocol="http1",security="mutual_tls"} 0
`, "outrider_connections_active")
}

// TestEveryReasonHasItsOutcome fails for a reason that was added to package
// flow and not placed here: the switch would call it a failure of ours.
func TestEveryReasonHasItsOutcome(t *testing.T) {
	want := map[string][]flow.Reason{
		"allowed": {flow.None},
		"denied": {
			flow.AccessDenied, flow.PlaintextRefused, flow.TLSFailed, flow.CertificateRevoked,
			flow.CertificateExpired, flow.PolicyChanged,
		},
		"limited": {flow.RateLimited, flow.Overloaded},
		"blocked": {flow.WAFBlocked, flow.WAFUninspected},
		"rejected": {
			flow.NotHTTP, flow.NotRedirected, flow.BadRequest, flow.HeadTooLarge, flow.BodyTooLarge, flow.MethodRefused,
			flow.RequestTimeout,
		},
		"failed": {
			flow.NoIdentity, flow.NoDestination, flow.Unresolved, flow.ConnectFailed, flow.ConnectTimeout,
			flow.UpstreamTLSFailed, flow.UpstreamClosed, flow.UpstreamProtocol, flow.UpstreamTimeout,
			flow.WAFUnavailable, flow.Draining, flow.Internal,
		},
		"canceled": {flow.ClientClosed},
	}
	placed := map[flow.Reason]string{}
	for outcome, reasons := range want {
		for _, r := range reasons {
			placed[r] = outcome
		}
	}
	for _, r := range flow.Reasons() {
		outcome, ok := placed[r]
		if !ok {
			t.Errorf("reason %v has no outcome: place it in outcomeOf and here", r)
			continue
		}
		if got := outcomeNames[outcomeOf(r)]; got != outcome {
			t.Errorf("outcome of %v = %q, want %q", r, got, outcome)
		}
	}
	if got, want := len(placed), len(flow.Reasons()); got != want {
		t.Errorf("placed %d reasons, want %d", got, want)
	}
	if got := outcomeNames[outcomeOf(flow.Reason(255))]; got != "failed" {
		t.Errorf("outcome of an unknown reason = %q, want failed", got)
	}
}

// TestInspectionOutcomesHaveRoom fails when package flow grows an outcome or a
// reason that the grid of inspections has no cell for.
func TestInspectionOutcomesHaveRoom(t *testing.T) {
	if got := flow.Outcome(inspectionCount).String(); got != "unknown" {
		t.Errorf("outcome %q has no cell: raise inspectionCount", got)
	}
	if got := flow.Uninspected(uninspectedCount).String(); got != "unknown" {
		t.Errorf("uninspected reason %q has no cell: raise uninspectedCount", got)
	}
}

func TestStatusClasses(t *testing.T) {
	for status, want := range map[int]string{
		0: "none", 99: "none", 600: "none", -1: "none", 101: "1xx", 200: "2xx", 304: "3xx", 431: "4xx", 599: "5xx",
	} {
		if got := classNames[classOf(status)]; got != want {
			t.Errorf("class of %d = %q, want %q", status, got, want)
		}
	}
}

func TestUpstreamResults(t *testing.T) {
	m, _ := bare()
	m.Upstream(flow.Outbound, UpstreamReused)
	m.Upstream(flow.Outbound, UpstreamResult(99))
	exposed(t, m, `
outrider_upstream_connections_total{direction="inbound",result="failed"} 0
outrider_upstream_connections_total{direction="inbound",result="new"} 0
outrider_upstream_connections_total{direction="inbound",result="reused"} 0
outrider_upstream_connections_total{direction="inbound",result="stale_retry"} 0
outrider_upstream_connections_total{direction="outbound",result="failed"} 1
outrider_upstream_connections_total{direction="outbound",result="new"} 0
outrider_upstream_connections_total{direction="outbound",result="reused"} 1
outrider_upstream_connections_total{direction="outbound",result="stale_retry"} 0
`, "outrider_upstream_connections_total")
}

func TestCaptureResults(t *testing.T) {
	m, _ := bare()
	m.QUICFallback("timeout")
	m.Captured(flow.Inbound, CaptureNotRedirected)
	m.Captured(flow.Outbound, CapturePassthrough)
	m.Captured(flow.Outbound, CaptureResult(99)) // counts nowhere
	exposed(t, m, `
outrider_captured_connections_total{direction="inbound",result="known"} 0
outrider_captured_connections_total{direction="inbound",result="not_redirected"} 1
outrider_captured_connections_total{direction="inbound",result="passthrough"} 0
outrider_captured_connections_total{direction="inbound",result="unknown"} 0
outrider_captured_connections_total{direction="inbound",result="unresolved"} 0
outrider_captured_connections_total{direction="outbound",result="known"} 0
outrider_captured_connections_total{direction="outbound",result="not_redirected"} 0
outrider_captured_connections_total{direction="outbound",result="passthrough"} 1
outrider_captured_connections_total{direction="outbound",result="unknown"} 0
outrider_captured_connections_total{direction="outbound",result="unresolved"} 0
`, "outrider_captured_connections_total")
}

func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scrape answered %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestTheHandlerServesTheRuntimeToo(t *testing.T) {
	got := scrape(t, New().Handler())
	for _, name := range []string{"go_goroutines", "process_start_time_seconds", "outrider_build_info"} {
		if !strings.Contains(got, "\n"+name) {
			t.Errorf("exposition lacks %s", name)
		}
	}
}

func TestTwoMetricsShareNothing(t *testing.T) {
	a, b := New(), New()
	a.Panic()
	exposed(t, b, "outrider_panics_total 0", "outrider_panics_total")
}

func TestTheBuildIsNamed(t *testing.T) {
	c := &catalogue{registry: prometheus.NewRegistry()}
	m := &Metrics{registry: c.registry}
	m.state.define(c, buildinfo.Info{Version: "v1.2.3", Commit: "abc", GoVersion: "go1.26.0"})
	exposed(t, m, `outrider_build_info{commit="abc",go_version="go1.26.0",modified="false",version="v1.2.3"} 1`, "outrider_build_info")
}

func TestCountingARequestAllocatesNothing(t *testing.T) {
	m := New()
	cm := m.Connection(inboundHTTP(checkout))
	req := &flow.Request{Status: 200, Received: 10, Sent: 20, Inspection: flow.Inspection{Outcome: flow.Clean}}
	cm.Request(req)
	if n := testing.AllocsPerRun(100, func() { cm.Request(req) }); n != 0 {
		t.Errorf("Request allocates %v times, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { m.Upstream(flow.Outbound, UpstreamReused) }); n != 0 {
		t.Errorf("Upstream allocates %v times, want 0", n)
	}
	conn := inboundHTTP(checkout)
	if n := testing.AllocsPerRun(100, func() { m.Connection(conn).Closed(conn) }); n > 1 {
		t.Errorf("a connection allocates %v times, want at most its handle", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	m := New()
	cm := m.Connection(inboundHTTP(checkout))
	req := &flow.Request{Status: 200, Received: 10, Sent: 20, Times: flow.Times{Total: time.Millisecond}}
	b.ReportAllocs()
	for b.Loop() {
		cm.Request(req)
	}
}

func BenchmarkConnection(b *testing.B) {
	m := New()
	conn := inboundHTTP(checkout)
	b.ReportAllocs()
	for b.Loop() {
		m.Connection(conn).Closed(conn)
	}
}

func BenchmarkScrape(b *testing.B) {
	m := New()
	for i := range maxPeers {
		m.Connection(inboundHTTP(fmt.Sprintf("spiffe://cluster.local/sa/%d", i))).Request(&flow.Request{Status: 200})
	}
	h := m.Handler()
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		w.Body = &bytes.Buffer{}
		h.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil))
	}
}
