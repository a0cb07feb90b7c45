package capture

import (
	"fmt"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/internal/testkit/netns"
)

// Whoever calls the sidecar's own ports gets nothing, and the sidecar does not
// call itself: each attempt is one connection, and one record.
func TestCallsToTheSidecarItselfLeadNowhere(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	for _, unknown := range []string{"Refuse", "Passthrough"} {
		m := newMesh(t, options{
			calling: "  capture: {unknown: " + unknown + "}\n", called: "  capture: {unknown: " + unknown + "}\n",
			inbound: ", mtls: Permissive",
			policies: "apiVersion: outrider.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: mesh}\n" +
				"spec: {defaultAccess: AllowAll}\n",
		})
		m.payments.serve(t, "http", ":8080")
		attempts := []struct {
			name, host string
			from       *pod
			port       int
		}{
			{"the outbound listener, over loopback", "127.0.0.1", m.payments.pod, 15001},
			{"the outbound listener, over IPv6 loopback", "[::1]", m.payments.pod, 15001},
			{"the outbound listener, by pod IP", m.payments.ip, m.payments.pod, 15001},
			{"the outbound listener, by pod IPv6", "[" + m.payments.v6 + "]", m.payments.pod, 15001},
			{"the inbound listener, over loopback", "127.0.0.1", m.payments.pod, 15006},
			{"the inbound listener, by pod IP", m.payments.ip, m.payments.pod, 15006},
			{"the inbound listener, by pod IPv6", "[" + m.payments.v6 + "]", m.payments.pod, 15006},
			{"the inbound listener, from outside", m.payments.ip, m.outsider, 15006},
			{"the inbound listener, from outside over IPv6", "[" + m.payments.v6 + "]", m.outsider, 15006},
			{"the outbound listener, from outside", m.payments.ip, m.outsider, 15001},
			{"the administration port, from outside", m.payments.ip, m.outsider, 15000},
			{"the administration port, from a peer", m.payments.ip, m.checkout.pod, 15000},
			{"the metrics, with an identity", m.payments.ip, m.checkout.pod, 15020},
		}
		if len(attempts) < 13 {
			t.Fatalf("only %d attempts", len(attempts))
		}
		for _, a := range attempts {
			out, status := curl(t, a.from, application, "--fail", fmt.Sprintf("http://%s:%d/config_dump", a.host, a.port))
			if status == 0 || strings.Contains(out, "sidecar") {
				t.Errorf("%s: %s: status %d, %q", unknown, a.name, status, out)
			}
		}
		if out, status := m.checkout.curl(t, m.payments.at(8080)); status != 0 || !strings.Contains(out, "GET /") {
			t.Errorf("%s: afterwards: status %d, %q", unknown, status, out)
		}
		if r := m.payments.record(t, "inbound", paymentsIP+":15001"); r["reason"] != "not_redirected" {
			t.Errorf("%s: %v", unknown, r)
		}
		m.payments.record(t, "inbound", paymentsIP+":8080") // the last: what came before is written
		refused := 0
		for _, r := range m.payments.Records(t) {
			if r["reason"] == "not_redirected" {
				refused++
			}
		}
		if refused < 5 || refused > 2*len(attempts) {
			t.Errorf("%s: %d connections were refused as loops, of %d attempts", unknown, refused, len(attempts))
		}
	}
}

// An application that listens on loopback only has decided whom it serves.
func TestLoopbackOfTheApplicationIsNotExposed(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	m := newMesh(t, options{})
	m.payments.serve(t, "http", "127.0.0.1:9999")
	out, _ := m.checkout.curl(t, m.payments.at(9999))
	if strings.Contains(out, "GET /") || !strings.Contains(out, "(connect, decision ") {
		t.Errorf("%q", out)
	}
	if r := m.payments.record(t, "inbound", paymentsIP+":9999"); r["reason"] != "connect" {
		t.Errorf("%v", r)
	}
}

// Two pods that know nothing of each other's redirection agree on where a call
// goes, however many go at once.
func TestManyCallsAtOnce(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	m := newMesh(t, options{})
	m.payments.serve(t, "http", ":8080")
	const calls = 200
	out, status := m.checkout.curl(t, "--parallel", "--parallel-max", "32", fmt.Sprintf("http://%s:8080/[1-%d]", paymentsIP, calls), "--no-globoff")
	if n := strings.Count(out, checkout); status != 0 || n != calls {
		t.Errorf("status %d, %d answers of %d", status, n, calls)
	}
	testkit.Eventually(t, "a record of each", func() bool {
		n := 0
		for _, r := range m.payments.Records(t) {
			if r["kind"] == "request" && member(r, "source", "id") == checkout {
				n++
			}
		}
		return n == calls
	})
}
