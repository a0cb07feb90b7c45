package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
)

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const least = `
apiVersion: outrider.dev/v1alpha1
kind: Sidecar
metadata: {name: payments}
spec:
  identity: {workloadAPI: {}}
  policies: {denyAll: true}
  inbound: [{name: http, listen: ":8443", forward: "127.0.0.1:8080"}]
`

func TestSidecarWithEveryKey(t *testing.T) {
	s, warnings, err := ParseSidecar("/etc/outrider/sidecar.yaml", testdata(t, "sidecar.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 0 {
		t.Errorf("warnings: %v", warnings)
	}
	text, err := yaml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "sidecar.golden", string(text))
}

func TestRelativePathsAreRelativeToTheFile(t *testing.T) {
	s, _, err := ParseSidecar("/etc/outrider/sidecar.yaml", testdata(t, "sidecar.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f := s.Spec.Identity.Files
	got := []string{f.SVID, f.Key, f.Bundles["example.org"], s.Spec.Policies.Directory, s.Spec.AccessLog.Output}
	want := []string{
		"/etc/outrider/svid.pem", "/etc/outrider/key.pem", "/etc/outrider/roots.pem",
		"/etc/outrider/policies", "/etc/outrider/access.log",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheCacheIsRelativeToTheFile(t *testing.T) {
	text := strings.Replace(least, "denyAll: true", `controlPlane: {address: "i:15011", spiffeID: "spiffe://example.org/i", cache: c}`, 1)
	text = strings.Replace(text, "metadata: {name: payments}", "metadata: {name: payments, namespace: b}", 1)
	s, _, err := ParseSidecar("/etc/outrider/sidecar.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Spec.Policies.ControlPlane.Cache; got != "/etc/outrider/c" {
		t.Error(got)
	}
}

func TestAFileNamedLikeAWordStaysAFile(t *testing.T) {
	s, _, err := ParseSidecar("sidecar.yaml", []byte(least+`  accessLog: {output: ./stdout}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Spec.AccessLog.Output; got != "./stdout" {
		t.Errorf("output %q, want ./stdout", got)
	}
}

func TestSidecarDefaults(t *testing.T) {
	s, warnings, err := ParseSidecar("sidecar.yaml", []byte(least))
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	for _, tt := range []struct {
		field     string
		got, want any
	}{
		{"inbound.protocol", s.Spec.Inbound[0].Protocol, Detect},
		{"inbound.connect", s.Spec.Inbound[0].Connect, ConnectRefuse},
		{"inbound.mtls is left to MeshConfig", s.Spec.Inbound[0].MTLS, MTLSMode("")},
		{"admin.listen", s.Spec.Admin.Listen, "127.0.0.1:15000"},
		{"metrics.listen", s.Spec.Metrics.Listen, ":15020"},
		{"health.listen", s.Spec.Health.Listen, ":15021"},
		{"accessLog.output", s.Spec.AccessLog.Output, "stdout"},
		{"accessLog.allowed", s.Spec.AccessLog.Allowed, LogAll},
		{"drain.timeout", s.Spec.Drain.Timeout, 30 * time.Second},
		{"processors", s.Spec.Processors, 1},
		{"limits are left to package limits", s.Spec.Limits, Limits{}},
		{"mesh.mtls", (*MeshConfig)(nil).WithDefaults().MTLS, Strict},
		{"mesh.defaultAccess", (*MeshConfig)(nil).WithDefaults().DefaultAccess, DefaultDeny},
		{"inspection", InspectionSpec{}.WithDefaults(), InspectionSpec{
			Mode: Block, Profile: ProfileMesh, Paranoia: 1, Threshold: 5,
			Body: InspectionBody{InspectBytes: 16384, Overflow: InspectPrefix},
			GRPC: InspectionGRPC{Inspect: GRPCHeaders, Streaming: InspectFirst},
			OnFailure: OnFailure{
				Error: FailDeny, Timeout: FailDeny, Overload: FailDeny,
				Encoding: FailDeny, Arguments: FailDeny, Stream: FailAllow,
			},
			CPUMillis: 1000,
		}},
	} {
		if diff := cmp.Diff(tt.want, tt.got, cmpopts.IgnoreUnexported(Date{})); diff != "" {
			t.Errorf("%s: %s", tt.field, diff)
		}
	}
}

func TestOffIsOffHoweverItIsSpelt(t *testing.T) {
	s, _, err := ParseSidecar("sidecar.yaml", []byte(least+`
  admin: {listen: off}
  metrics: {listen: "Off"}
  accessLog: {output: Off}
`))
	if err != nil {
		t.Fatal(err)
	}
	if !s.Spec.Admin.Off() || !s.Spec.Metrics.Off() || s.Spec.Health.Off() || !s.Spec.AccessLog.Off() {
		t.Errorf("admin %v metrics %v health %v log %v", s.Spec.Admin, s.Spec.Metrics, s.Spec.Health, s.Spec.AccessLog)
	}
}

func TestJSONIsReadAndWritten(t *testing.T) {
	s, _, err := ParseSidecar("sidecar.yaml", testdata(t, "sidecar.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"timeout":"45s"`) {
		t.Errorf("durations are not written as they are read: %s", text)
	}
	again, _, err := ParseSidecar("sidecar.json", text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, again); diff != "" {
		t.Error(diff)
	}
}

func TestLoadSidecar(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sidecar.yaml")
	if _, _, err := LoadSidecar(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte(least), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _, err := LoadSidecar(path)
	if err != nil {
		t.Fatal(err)
	}
	if s.Metadata.Name != "payments" || s.Workload().Name != "payments" {
		t.Errorf("read %+v", s.Metadata)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("# long\n", 1<<18)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadSidecar(path); err == nil || !strings.Contains(err.Error(), "more than the 1048576 allowed") {
		t.Errorf("a huge file: %v", err)
	}
}

func TestASidecarIsReadFromTheEnvironment(t *testing.T) {
	t.Setenv("OUTRIDER_TEST", least)
	s, _, err := LoadSidecar("env:OUTRIDER_TEST")
	if err != nil || s.Metadata.Name != "payments" {
		t.Errorf("read %+v, %v", s, err)
	}
	if _, _, err := LoadSidecar("env:OUTRIDER_GONE"); err == nil || !strings.Contains(err.Error(), `no environment variable "OUTRIDER_GONE"`) {
		t.Errorf("a missing variable: %v", err)
	}
	if !InEnvironment("env:X") || InEnvironment("/env:X") {
		t.Error("a file is taken for a variable, or the other way round")
	}
}

func TestAddressesParsed(t *testing.T) {
	s, _, err := ParseSidecar("sidecar.yaml", testdata(t, "sidecar.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Spec.Inbound[0].ForwardAddr().String(); got != "127.0.0.1:8080" {
		t.Errorf("forward %s", got)
	}
	d := s.Spec.Destination("ledger")
	if d == nil || len(d.AllEndpoints()) != 3 || d.AllEndpoints()[1].AddrPort().String() != "[2001:db8::2]:8443" ||
		d.AllEndpoints()[2].SPIFFEIDs[0] != "spiffe://example.org/ns/shop/sa/ledger-standby" {
		t.Errorf("destination %+v", d)
	}
	if s.Spec.Destination("nobody") != nil {
		t.Error("a destination that is not there was found")
	}
}
