package e2e

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

func TestReadinessNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	src := new(identity.Publisher)
	dir := filepath.Join(t.TempDir(), "policies")
	s := side{source: src, forward: serveApp(t, hello), directory: dir, notReady: true}.start(t)
	step := func(what string, missing ...string) {
		t.Helper()
		testkit.Eventually(t, what, func() bool {
			ok, text := ready(t, s)
			got := strings.Fields(text)
			return !ok && strings.Join(got, " ") == strings.Join(missing, " ")
		})
	}
	step("everything is missing", "identity", "policies", "listeners")
	if status, text := httpGet(t, "http://"+s.AdminAddress()+"/ready"); status != 503 || !strings.Contains(text, "no SVID") {
		t.Errorf("the administration port says %d %q, want why", status, text)
	}
	issued := ca.Source(t, payments).Current()
	src.Publish(issued.SVID, issued.Bundles)
	step("policies are missing", "policies", "listeners")
	testkit.Eventually(t, "the reason is told on loopback", func() bool {
		_, text := httpGet(t, "http://"+s.AdminAddress()+"/ready")
		return strings.Contains(text, "no such file")
	})
	testkit.WritePolicies(t, dir, "{{{")
	step("policies are broken", "policies", "listeners")
	testkit.WritePolicies(t, dir, allowMesh)
	s.AwaitReady(t)
	testkit.Eventually(t, "ready", func() bool { ok, _ := ready(t, s); return ok })
	if got := metric(t, s, "outrider_ready"); got != 1 {
		t.Errorf("outrider_ready is %v", got)
	}
	dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1).get("/").wants(t, 200)
}

func TestMetricsCountTraffic(t *testing.T) {
	t.Parallel()
	p := newPair(t, side{forward: serveApp(t, hello), policies: allowMesh + next + inspection("mode: Block")}, side{})
	const calls = 5
	w := dial(t, p.out.Address(t, "out"))
	for range calls {
		w.get("/").wants(t, 200)
	}
	w.get("/?q=1%27%20OR%20%271%27=%271%27--").refused(t, 403, "waf_blocked")
	cases := []struct {
		s      *testkit.Sidecar
		name   string
		labels []string
		want   float64
	}{
		{p.in, "outrider_requests_total", []string{`direction="inbound"`, `peer="` + checkout + `"`, `code_class="2xx"`, `security="mutual_tls"`, `reason="-"`}, calls},
		{p.in, "outrider_requests_total", []string{`direction="inbound"`, `reason="waf_blocked"`, `code_class="4xx"`}, 1},
		{p.out, "outrider_requests_total", []string{`direction="outbound"`, `peer="` + payments + `"`}, calls + 1},
		{p.in, "outrider_request_duration_seconds_count", []string{`direction="inbound"`}, calls + 1},
		{p.in, "outrider_inspections_total", []string{`outcome="clean"`}, calls},
		{p.in, "outrider_inspections_total", []string{`outcome="blocked"`}, 1},
		{p.in, "outrider_connections_active", []string{`direction="inbound"`, `protocol="http1"`}, 1},
		{p.out, "outrider_connections_active", []string{`direction="outbound"`}, 1},
		{p.in, "outrider_connections_opened_total", nil, 1},
		{p.out, "outrider_upstream_connections_total", []string{`result="new"`}, 1},
		{p.out, "outrider_upstream_connections_total", []string{`result="reused"`}, calls},
		{p.in, "outrider_sent_bytes_total", []string{`direction="inbound"`}, calls * 5},
		{p.in, "outrider_panics_total", nil, 0},
		{p.in, "outrider_policy_load_errors_total", nil, 0},
		{p.in, "outrider_accesslog_dropped_total", nil, 0},
		{p.in, "outrider_identity_generation", nil, 1},
		{p.in, "outrider_ready", nil, 1},
	}
	const least = 17
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		testkit.Eventually(t, c.name, func() bool { return metric(t, c.s, c.name, c.labels...) >= c.want })
		if got := metric(t, c.s, c.name, c.labels...); got != c.want && c.name != "outrider_sent_bytes_total" {
			t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
}

func TestTheConfigurationDumpHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	src := ca.Source(t, payments)
	dir := t.TempDir()
	testkit.WritePolicies(t, dir, access("Allow", `{from: [{principals: ["`+checkout+`"]}]}`)+next+inspection("mode: Detect"))
	s := side{source: src, forward: serveApp(t, hello), directory: dir}.start(t)
	status, dump := httpGet(t, "http://"+s.AdminAddress()+"/config_dump")
	if status != 200 || !json.Valid([]byte(dump)) {
		t.Fatalf("status %d, %.200q", status, dump)
	}
	for _, part := range []string{payments, checkout, "allow-callers", `"waf"`, "Detect", "notAfter", s.Address(t, "in")} {
		if !strings.Contains(dump, part) {
			t.Errorf("the dump does not hold %q", part)
		}
	}
	_, key, err := src.Current().SVID.MarshalRaw()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"PRIVATE KEY", "PrivateKey", base64.StdEncoding.EncodeToString(key)} {
		if strings.Contains(dump, secret) {
			t.Errorf("the dump holds %.30q", secret)
		}
	}
}

func TestTheConnectionsAreListed(t *testing.T) {
	t.Parallel()
	p := newPair(t, side{forward: serveApp(t, hello)}, side{})
	dial(t, p.out.Address(t, "out")).get("/").wants(t, 200)
	_, text := httpGet(t, "http://"+p.in.AdminAddress()+"/connections")
	var list []struct{ Direction, Listener, Peer, Protocol string }
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Peer != checkout || list[0].Direction != "inbound" || list[0].Listener != "in" || list[0].Protocol != "http1" {
		t.Errorf("listed: %+v", list)
	}
}

func TestTheAccessLogMayGoToAFile(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	path := filepath.Join(t.TempDir(), "access.log")
	s := side{
		source: ca.Source(t, payments), forward: serveApp(t, hello), policies: allowMesh,
		spec: "  accessLog: {output: \"" + path + "\", allowed: None}",
	}.start(t)
	w := dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1)
	w.get("/").wants(t, 200)
	w.send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
	id := decisionID(t, w.answer().refused(t, 405, "method_refused"))
	w.Close()
	s.Stop()
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), id) || strings.Contains(string(text), `"status":200`) {
		t.Errorf("the log is %q, want the refusal and not what was allowed", text)
	}
}
