package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	checkout = "spiffe://example.org/ns/shop/sa/checkout"
	payments = "spiffe://example.org/ns/shop/sa/payments"
)

const policies = `
apiVersion: outrider.dev/v1alpha1
kind: AccessPolicy
metadata: {name: payments-callers, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  action: Allow
  rules:
  - from: [{principals: ["` + checkout + `"]}]
    to: [{ports: [PORT], methods: [GET, POST], paths: ["/v1/{**}"]}]
---
apiVersion: outrider.dev/v1alpha1
kind: InspectionPolicy
metadata: {name: payments-waf, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  mode: Block
`

// pair puts a sidecar before app and another before its caller, and returns where
// the caller connects to.
func pair(t *testing.T, app http.Handler) string {
	t.Helper()
	ca := identitytest.NewCA(t, "example.org")
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	addr := server.Listener.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	in := testkit.Start(t, testkit.Options{
		Name: "payments", Labels: map[string]string{"app": "payments"}, Source: ca.Source(t, payments),
		Policies: strings.ReplaceAll(policies, "PORT", port),
		YAML:     `  inbound: [{name: http, listen: "127.0.0.1:0", forward: "` + addr + `"}]`,
	})
	out := testkit.Start(t, testkit.Options{
		Name: "checkout", Source: ca.Source(t, checkout),
		YAML: `  outbound: [{name: payments, listen: "127.0.0.1:0", destination: payments}]
  destinations: [{name: payments, addresses: ["` + in.Address(t, "http") + `"], spiffeIDs: ["` + payments + `"]}]`,
	})
	return out.Address(t, "payments")
}

func TestEveryStageHasItsSay(t *testing.T) {
	addr := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "%s %s from %s, %d bytes", r.Method, r.URL, r.Header.Get("X-Outrider-Peer"), n)
	}))
	client := &http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	cases := []struct {
		name, method, target, body string
		status                     int
		says                       string
	}{
		{"an allowed call arrives with its caller's name", "GET", "/v1/a?q=1", "", 200, "GET /v1/a?q=1 from " + checkout + ", 0 bytes"},
		{"so does a body", "POST", "/v1/a", `{"a":1}`, 200, "POST /v1/a from " + checkout + ", 7 bytes"},
		{"and one longer than what is inspected", "POST", "/v1/a", `{"a":"` + strings.Repeat("x", 30000) + `"}`, 200, "30008 bytes"},
		{"the path is forwarded as it was judged", "GET", "/v1/./%61//b", "", 200, "GET /v1/a/b from"},
		{"a path with two readings is refused", "GET", "/v1/a%2Fb", "", 400, "bad_request"},
		{"another method is refused", "DELETE", "/v1/a", "", 403, "access_denied"},
		{"another path is refused", "GET", "/v2/a", "", 403, "access_denied"},
		{"an attack is refused", "GET", "/v1/a?q=1'%20OR%20'1'='1'--", "", 403, "waf_blocked"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+addr+c.target, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.URL.Opaque, req.URL.RawQuery = c.target, "" // as it is written here
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Outrider-Peer", "spiffe://example.org/ns/shop/sa/somebody-else")
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status || !strings.Contains(string(body), c.says) {
				t.Errorf("%d %q, want %d and %q", res.StatusCode, body, c.status, c.says)
			}
		})
	}
}
