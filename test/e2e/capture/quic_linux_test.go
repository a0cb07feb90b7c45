package capture

import (
	"fmt"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit/netns"
)

// Over QUIC a call does not come to the port it is meant for: the caller names it. It
// is authorized, forwarded and recorded by that one.
func TestTheOriginalPortCountsOverQUIC(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	m := newMesh(t, options{quic: true})
	m.payments.serve(t, "http", ":8080")
	m.payments.serve(t, "greet", ":7000")
	m.payments.serve(t, "http", ":6380")
	m.payments.serve(t, "greet", ":6379")
	for _, host := range []string{m.payments.ip, "[" + m.payments.v6 + "]"} {
		at := host + ":8080"
		out, status := m.checkout.curl(t, "http://"+at+"/")
		if want := fmt.Sprintf("GET / peer=%q from=%s\n", checkout, strings.Trim(host, "[]")); status != 0 || out != want {
			t.Errorf("%s: status %d, %q, want %q", at, status, out, want)
		}
		m.wasQUIC(t, at, "http1")
		at = host + ":7000"
		if out, status := m.checkout.dial(t, "call", at); status != 0 || !strings.Contains(out, "250 it is me") {
			t.Errorf("%s: status %d, %q", at, status, out)
		}
		m.wasQUIC(t, at, "tcp")
	}
}

func (m *mesh) wasQUIC(t *testing.T, at, protocol string) {
	t.Helper()
	for direction, w := range map[string]*workload{"outbound": m.checkout, "inbound": m.payments} {
		r := w.record(t, direction, at)
		if r["quic"] != true || r["protocol"] != protocol || refused(r) || member(r, "source", "id") != checkout || member(r, "destination", "id") != payments {
			t.Errorf("%s: %v", direction, r)
		}
	}
}

// What a policy says of a port holds for the port that the caller names, and the
// sidecar's own ports are nobody's to name.
func TestPortsThatMayNotBeNamedOverQUIC(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	m := newMesh(t, options{quic: true, policies: `
apiVersion: outrider.dev/v1alpha1
kind: AccessPolicy
metadata: {name: callers, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  action: Allow
  rules:
  - from: [{principals: ["` + checkout + `"]}]
    to: [{ports: [8080, 15000, 15020]}]
`})
	m.payments.serve(t, "http", ":8080")
	m.payments.serve(t, "greet", ":7000")
	if out, status := m.checkout.curl(t, m.payments.at(8080)); status != 0 || !strings.HasPrefix(out, "GET / ") {
		t.Fatalf("the port that is allowed: status %d, %q", status, out)
	}
	if out, status := m.checkout.dial(t, "call", m.payments.ip+":7000"); status == 0 || strings.Contains(out, "220") {
		t.Errorf("a port that is not allowed: status %d, %q", status, out)
	}
	if r := m.payments.record(t, "inbound", m.payments.ip+":7000"); r["reason"] != "access_denied" || r["quic"] != true {
		t.Errorf("%v", r)
	}
	for _, own := range []int{15000, 15020} {
		out, _ := m.checkout.curl(t, m.payments.at(own))
		if strings.Contains(out, "outrider_") || strings.Contains(out, "GET /") {
			t.Errorf("port %d of the sidecar answers: %q", own, out)
		}
		if r := m.payments.record(t, "inbound", fmt.Sprintf("%s:%d", m.payments.ip, own)); !refused(r) {
			t.Errorf("port %d: %v", own, r)
		}
	}
}
