package capture

import (
	"fmt"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/internal/testkit/netns"
)

func TestADeniedCallerStaysDenied(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	m := newMesh(t, options{caller: intruder})
	m.payments.serve(t, "http", ":8080")
	m.payments.serve(t, "greet", ":7000")
	out, _ := m.checkout.curl(t, "--include", m.payments.at(8080))
	if !strings.Contains(out, "HTTP/1.1 403 ") || !strings.Contains(out, "access_denied") {
		t.Errorf("%q", out)
	}
	if out, status := m.checkout.dial(t, "call", paymentsIP+":7000"); status == 0 || strings.Contains(out, "220") {
		t.Errorf("status %d, %q", status, out)
	}
	for _, port := range []string{":8080", ":7000"} {
		if r := m.payments.record(t, "inbound", paymentsIP+port); r["reason"] != "access_denied" || member(r, "source", "id") != intruder {
			t.Errorf("%s: %v", port, r)
		}
	}
	for _, host := range []string{m.payments.ip, "[" + m.payments.v6 + "]"} { // without an identity
		if out, _ := curl(t, m.outsider, application, "http://"+host+":8080/"); !strings.Contains(out, "plaintext_refused") {
			t.Errorf("%s: %q", host, out)
		}
	}
	if out, _ := curl(t, m.outsider, application, m.payments.at(7000)); !strings.Contains(out, "plaintext_refused") {
		t.Errorf("without an identity: %q", out)
	}
}

func TestTheApplicationCallsItselfByPodIP(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	for _, unknown := range []string{"Refuse", "Passthrough"} {
		m := newMesh(t, options{called: "  capture: {unknown: " + unknown + "}\n", calling: "  capture: {unknown: " + unknown + "}\n"})
		m.payments.serve(t, "http", ":8080")
		m.payments.serve(t, "greet", ":7000")
		m.checkout.serve(t, "http", ":8080")
		for _, host := range []string{m.payments.ip, "[" + m.payments.v6 + "]"} {
			if out, status := m.payments.dial(t, "call", host+":7000"); status != 0 || !strings.Contains(out, "250 it is me") {
				t.Errorf("%s, allowed: status %d, %q", unknown, status, out)
			}
			if r := m.payments.record(t, "inbound", host+":7000"); member(r, "source", "id") != payments || member(r, "destination", "id") != payments {
				t.Errorf("%s, allowed: %v", unknown, r)
			}
			if out, _ := m.payments.curl(t, "http://"+host+":8080/"); !strings.Contains(out, "access_denied") {
				t.Errorf("%s, denied: %q", unknown, out)
			}
		}
		// Where its own address is no destination, passing through leads to the
		// same door, without an identity.
		want := map[string]string{"Refuse": "no_destination", "Passthrough": "plaintext_refused"}[unknown]
		if out, _ := m.checkout.curl(t, m.checkout.at(8080)); !strings.Contains(out, want) {
			t.Errorf("%s, unknown: %q, want %s", unknown, out, want)
		}
		// Its loopback is its own.
		if out, _ := m.checkout.curl(t, "http://127.0.0.1:8080/"); out != direct("127.0.0.1") {
			t.Errorf("%s, loopback: %q", unknown, out)
		}
	}
}

func TestUnknownDestinations(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	t.Run("Refuse", func(t *testing.T) {
		m := newMesh(t, options{})
		m.outsider.serve(t, "http", ":8080")
		m.outsider.serve(t, "greet", ":7000")
		out, _ := m.checkout.curl(t, "--include", m.outsider.at(8080))
		for _, want := range []string{"HTTP/1.1 503 ", "no_destination", "x-outrider-decision: "} {
			if !strings.Contains(out, want) {
				t.Errorf("%q, want %q in it", out, want)
			}
		}
		if out, status := m.checkout.dial(t, "call", outsiderIP+":7000"); status == 0 || strings.Contains(out, "220") {
			t.Errorf("status %d, %q", status, out)
		}
		for _, port := range []string{":8080", ":7000"} {
			r := m.checkout.record(t, "outbound", outsiderIP+port)
			if detail := fmt.Sprint(r["detail"]); r["reason"] != "no_destination" || !strings.Contains(detail, outsiderIP+port) || !strings.Contains(detail, "spec.capture.unknown") {
				t.Errorf("%v", r)
			}
		}
		m.checkout.counts(t, `outrider_captured_connections_total{direction="outbound",result="unknown"} 2`)
	})
	t.Run("Passthrough", func(t *testing.T) {
		m := newMesh(t, options{calling: "  capture: {unknown: Passthrough}\n"})
		m.outsider.serve(t, "http", ":8080")
		m.outsider.serve(t, "greet", ":7000")
		for _, host := range []string{m.outsider.ip, "[" + m.outsider.v6 + "]"} {
			if out, status := m.checkout.curl(t, "http://"+host+":8080/"); status != 0 || !strings.Contains(out, `peer=""`) {
				t.Errorf("status %d, %q", status, out)
			}
		}
		if out, status := m.checkout.dial(t, "call", outsiderIP+":7000"); status != 0 || !strings.Contains(out, "250 it is me") {
			t.Errorf("status %d, %q", status, out)
		}
		r := m.checkout.record(t, "outbound", outsiderIP+":8080")
		if r["passthrough"] != true || r["security"] != "plaintext" || r["protocol"] != "tcp" || r["reason"] != nil || member(r, "destination", "service") != nil {
			t.Errorf("%v", r)
		}
		m.checkout.counts(t, `outrider_captured_connections_total{direction="outbound",result="passthrough"} 3`)
	})
}

// What is decided about unknown destinations holds for connections that are open.
func TestAPassThroughConnectionEndsWhenItMayNotBe(t *testing.T) {
	m := newMesh(t, options{calling: "  capture: {unknown: Passthrough}\n"})
	m.outsider.serve(t, "greet", ":7000")
	client := m.checkout.serve(t, "hold", outsiderIP+":7000")
	m.checkout.edit(t, "unknown: Passthrough", "unknown: Refuse")
	testkit.Eventually(t, "the connection ends", func() bool { return strings.Contains(client.String(), "ended") })
	if r := m.checkout.record(t, "outbound", outsiderIP+":7000"); r["reason"] != "policy_changed" || r["passthrough"] != true {
		t.Errorf("%v", r)
	}
}

// A destination that is known and can't be reached as it must be is not reached
// in plaintext instead.
func TestAKnownDestinationIsNeverPassedThrough(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	m := newMesh(t, options{calling: "  capture: {unknown: Passthrough}\n"})
	m.payments.serve(t, "http", ":8080")
	if out, status := m.payments.capture(t, "--remove"); status != 0 {
		t.Fatal(out)
	}
	if out, _ := curl(t, m.outsider, application, m.payments.at(8080)); out != direct(outsiderIP) {
		t.Fatalf("the application can't be reached in plaintext: %q", out)
	}
	if out, _ := m.checkout.curl(t, "--include", m.payments.at(8080)); !strings.Contains(out, "HTTP/1.1 502 ") || strings.Contains(out, "GET /") {
		t.Errorf("%q", out)
	}
}

// counts waits for a line of the metrics, which are asked for as a collector does.
func (w *workload) counts(t *testing.T, line string) {
	t.Helper()
	if out, status := w.curl(t, "http://127.0.0.1:15020/metrics"); status != 0 || !strings.Contains(out, line+"\n") {
		for have := range strings.Lines(out) {
			if strings.Contains(have, "captured") {
				t.Log(strings.TrimSpace(have))
			}
		}
		t.Errorf("the metrics don't say %s", line)
	}
}

func TestAPortOfHTTPNeverFallsToOpaqueBytes(t *testing.T) {
	m := newMesh(t, options{})
	m.payments.serveRedis(t, "6380") // of which a policy speaks as HTTP
	m.payments.serve(t, "greet", ":8080")
	if out, _ := m.checkout.pod.run(t, application, "redis-cli", "-h", paymentsIP, "-p", "6380", "ping"); strings.Contains(out, "PONG") {
		t.Errorf("%q", out)
	}
	if r := m.payments.record(t, "inbound", paymentsIP+":6380"); r["reason"] != "not_http" {
		t.Errorf("%v", r)
	}
	if out, status := m.checkout.dial(t, "call", paymentsIP+":8080"); status == 0 || strings.Contains(out, "220") {
		t.Errorf("status %d, %q", status, out)
	}
	if r := m.payments.record(t, "inbound", paymentsIP+":8080"); r["reason"] != "not_http" {
		t.Errorf("%v", r)
	}
}

// While a workload is moved into the mesh, callers without a sidecar go on as
// before, TLS of the application's own included, where that is declared.
func TestTLSOfTheApplicationOnAPermissivePort(t *testing.T) {
	netns.NeedsProgram(t, "curl")
	m := newMesh(t, options{
		inbound: ", mtls: Permissive, ports: [{port: 8443, protocol: TCP}]",
		policies: "apiVersion: outrider.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: mesh}\n" +
			"spec: {defaultAccess: AllowAll}\n",
	})
	m.payments.serve(t, "https", ":8443")
	m.payments.serve(t, "https", ":9999")
	url := func(port int) string { return fmt.Sprintf("https://%s:%d/", paymentsIP, port) }
	if out, _ := curl(t, m.outsider, application, "--insecure", url(8443)); out != direct(paymentsIP) {
		t.Errorf("without a sidecar: %q", out)
	}
	if r := m.payments.record(t, "inbound", paymentsIP+":8443"); refused(r) || r["security"] != "plaintext" || member(r, "source", "id") != nil {
		t.Errorf("%v", r)
	}
	if out, _ := m.checkout.curl(t, "--insecure", url(8443)); out != direct(paymentsIP) {
		t.Errorf("with a sidecar: %q", out)
	}
	m.payments.Await(t, "the sidecar's call", func(r map[string]any) bool {
		return member(r, "source", "id") == checkout && r["security"] == "mutual_tls" && !refused(r)
	})
	// Where nothing is declared, TLS means us.
	if out, status := curl(t, m.outsider, application, "--insecure", url(9999)); status == 0 {
		t.Errorf("on a port of which nothing is said: %q", out)
	}
}

// With inspection on, only what the operator declares is opaque, whatever the
// port is known for.
func TestInspectionLeavesNoPortOpaqueButTheDeclared(t *testing.T) {
	policies := usualPolicies + `---
apiVersion: outrider.dev/v1alpha1
kind: InspectionPolicy
metadata: {name: waf, namespace: shop}
spec: {mode: Block}
`
	for _, declared := range []bool{false, true} {
		inbound, want := "", "not_http"
		if declared {
			inbound, want = ", ports: [{port: 6379, protocol: TCP}]", "<nil>"
		}
		m := newMesh(t, options{policies: policies, inbound: inbound})
		m.payments.serveRedis(t, "6379")
		out, _ := m.checkout.pod.run(t, application, "redis-cli", "-h", paymentsIP, "ping")
		if strings.Contains(out, "PONG") != declared {
			t.Errorf("declared %v: %q", declared, out)
		}
		if r := m.payments.record(t, "inbound", paymentsIP+":6379"); fmt.Sprint(r["reason"]) != want {
			t.Errorf("declared %v: %v", declared, r)
		}
	}
}
