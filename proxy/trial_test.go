package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

// access is one AccessPolicy without a namespace.
func access(name, spec string) string {
	return "---\napiVersion: outrider.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: " + name + "}\nspec: {" + spec + "}\n"
}

// status gets a path and returns status, Retry-After and body.
func status(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", res.StatusCode, res.Header.Get("Retry-After")))
}

// limited is a permissive sidecar in front of an application, with policies.
func limited(t *testing.T, policies, extra string) (*testkit.Sidecar, string) {
	t.Helper()
	ca := identitytest.NewCA(t, "example.org")
	dir := t.TempDir()
	testkit.WritePolicies(t, dir, policies)
	s := testkit.Start(t, testkit.Options{
		Name: "payments", Source: ca.Source(t, payments),
		YAML: `  inbound: [{name: http, listen: "127.0.0.1:0", forward: "` + app(t, "one") + `", mtls: Permissive}]
  policies: {directory: ` + strconv.Quote(dir) + extra + `}
  metrics: {listen: "127.0.0.1:0"}`,
	})
	return s, dir
}

// metric returns the sample's line, or nothing.
func metric(t *testing.T, s *testkit.Sidecar, sample string) string {
	t.Helper()
	res, err := http.Get("http://" + s.MetricsAddress() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, sample+" ") {
			return strings.TrimSpace(strings.TrimPrefix(line, sample))
		}
	}
	return ""
}

func TestALimitIsAnsweredAndWrittenDown(t *testing.T) {
	s, _ := limited(t, access("all", "action: Allow, rules: [{limit: {rate: 1, per: Hour, burst: 2}}]"), "")
	url := "http://" + s.Address(t, "http") + "/"
	for _, want := range []string{"200", "200", "429 3600"} {
		if got := status(t, url); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	r := s.Log.AwaitReason(t, "rate_limited")
	if d, _ := r["decision"].(map[string]any); d["basis"] != "limit" || d["policy"] != "all" || d["rule"] != 0.0 {
		t.Errorf("record %v", r)
	}
	if got := metric(t, s, `outrider_rate_limited_total{policy="all"}`); got != "1" {
		t.Errorf("counted %q", got)
	}
}

// An opaque connection counts once, when it is opened.
func TestALimitOnOpaqueConnections(t *testing.T) {
	s, _ := limited(t, access("all", "action: Allow, rules: [{}]")+
		access("cap", "action: Deny, rules: [{limit: {rate: 1, per: Hour, key: Total}}]"), "")
	open := func() error {
		nc, err := net.Dial("tcp", s.Address(t, "http"))
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = nc.Close() })
		if _, err := nc.Write([]byte("\x00\x01\x02\x03not HTTP\r\n\r\n")); err != nil {
			return err
		}
		_, err = nc.Read(make([]byte, 1)) // the application answers 400
		return err
	}
	if err := open(); err != nil {
		t.Fatalf("the first: %v", err)
	}
	if err := open(); err == nil {
		t.Error("the second passed")
	}
	if r := s.Log.AwaitReason(t, "rate_limited"); r["kind"] != "connection" {
		t.Errorf("record %v", r)
	}
}

// TestAProposalIsTried puts a directory of policies beside the one in force, and
// changes it.
func TestAProposalIsTried(t *testing.T) {
	shadow := filepath.Join(t.TempDir(), "shadow")
	testkit.WritePolicies(t, shadow, access("proposed", `action: Deny, mode: DryRun, rules: [{to: [{paths: ["/a"]}]}]`)+
		access("everybody", "action: Allow, rules: [{}]"))
	s, dir := limited(t, access("live", "action: Allow, rules: [{}]"), ", shadow: "+strconv.Quote(shadow))
	url := "http://" + s.Address(t, "http")
	const differs, agrees = `outrider_authz_shadow_total{live="allow",policy="proposed",shadow="deny"}`,
		`outrider_authz_shadow_total{live="allow",policy="everybody",shadow="allow"}`
	testkit.Eventually(t, "a call is judged twice", func() bool {
		if got := status(t, url+"/b"); got != "200" {
			t.Fatal(got)
		}
		return metric(t, s, agrees) != ""
	})
	if got := status(t, url+"/a"); got != "200" {
		t.Errorf("a proposal has an effect: %s", got)
	}
	if got := metric(t, s, differs); got != "1" {
		t.Errorf("counted %q", got)
	}
	r := s.Log.Await(t, "a difference", func(r map[string]any) bool { return r["shadow"] != nil })
	if d, _ := r["shadow"].(map[string]any); r["path"] != "/a" || d["verdict"] != "deny" || d["policy"] != "proposed" || r["reason"] != nil {
		t.Errorf("record %v", r)
	}
	// A proposal that is wrong leaves the one before.
	testkit.WritePolicies(t, shadow, access("proposed", "action: Maybe"))
	testkit.WritePolicies(t, dir, access("live", "action: Allow, rules: [{}]")+access("more", `action: Deny, rules: [{to: [{paths: ["/no"]}]}]`))
	testkit.Eventually(t, "the other directory is followed", func() bool { return status(t, url+"/no") == "403" })
	if got := status(t, url+"/a"); got != "200" {
		t.Error(got)
	}
	if got := metric(t, s, differs); got != "2" {
		t.Errorf("counted %q", got)
	}
	// One that denies everything denies nothing.
	testkit.WritePolicies(t, shadow, access("nothing", "action: Allow"))
	testkit.Eventually(t, "the proposal changes", func() bool {
		if got := status(t, url+"/b"); got != "200" {
			t.Fatal(got)
		}
		return metric(t, s, `outrider_authz_shadow_total{live="allow",policy="live",shadow="deny"}`) != ""
	})
}
