package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

func policySourceGone(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	dir := filepath.Join(t.TempDir(), "policies")
	testkit.WritePolicies(t, dir, allowMesh)
	s := side{source: ca.Source(t, payments), forward: serveApp(t, hello), directory: dir}.start(t)
	loaded := metric(t, s, "outrider_policy_last_success_timestamp_seconds")
	if loaded == 0 {
		t.Error("no metric tells the age of the policies")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the status says why", func() bool { return policyProblem(t, s) != "" })
	dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1).get("/").wants(t, 200)
	if got := metric(t, s, "outrider_policy_last_success_timestamp_seconds"); got != loaded {
		t.Errorf("the policies in force are of %f, the metric says %f", loaded, got)
	}
	counted(t, s, 1, "outrider_policy_load_errors_total")
	if ok, missing := ready(t, s); !ok {
		t.Errorf("not ready although the last good set is in force: %q", missing)
	}
}

// policyProblem is what the configuration dump says about the policies.
func policyProblem(t *testing.T, s *testkit.Sidecar) string {
	t.Helper()
	problem, _ := field(configDump(t, s), "policies", "problem").(string)
	return problem
}

func badPolicy(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	dir := filepath.Join(t.TempDir(), "policies")
	good := access("Allow", `{from: [{principals: ["`+checkout+`"]}]}`)
	testkit.WritePolicies(t, dir, good)
	s := side{source: ca.Source(t, payments), forward: serveApp(t, hello), directory: dir}.start(t)
	ask := func(who string) answer {
		return dialMesh(t, s.Address(t, "in"), ca.Source(t, who), h1).get("/")
	}
	ask(checkout).wants(t, 200)
	ask(intruder).refused(t, 403, "access_denied")

	bad := []struct{ name, documents, says string }{
		{"text that is not YAML", "{{{", "policies.yaml"},
		{"a key that nobody knows", strings.Replace(good, "action:", "acton:", 1), "acton"},
		{"a rule set that does not compile", good + next + inspection(`rules: "SecRule ARGS \"@nosuch x\" \"id:1,deny\""`), "nosuch"},
	}
	for i, b := range bad {
		testkit.WritePolicies(t, dir, b.documents)
		testkit.Eventually(t, b.name+" is named in the status", func() bool {
			return strings.Contains(policyProblem(t, s), b.says)
		})
		ask(checkout).wants(t, 200)
		ask(intruder).refused(t, 403, "access_denied")
		counted(t, s, float64(i+1), "outrider_policy_load_errors_total")
	}
	testkit.WritePolicies(t, dir, access("Allow", `{from: [{principals: ["`+intruder+`"]}]}`))
	testkit.Eventually(t, "the mended policy is in force", func() bool { return ask(checkout).StatusCode == 403 })
	ask(intruder).wants(t, 200)
	if p := policyProblem(t, s); p != "" {
		t.Errorf("the status still says %q", p)
	}
}
