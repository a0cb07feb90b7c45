package e2e

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

// Rules change while requests are under way, and none of them is lost; rules that do
// not compile change nothing.
func TestRulesChangeWithoutARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "policies")
	rule := func(id, word string) string {
		return allowMesh + next + inspection(`mode: Block, rules: "SecRule ARGS:word \"@streq `+word+`\" \"id:`+id+`,phase:2,deny,msg:'no `+word+`'\"\n"`)
	}
	testkit.WritePolicies(t, dir, rule("1", "old"))
	ca := identitytest.NewCA(t, "example.org")
	s := side{
		source: ca.Source(t, payments), directory: dir,
		forward: serveApp(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }),
		spec:    "  limits: {inspectionWait: 60s, inspectionTimeout: 60s}\n",
	}.start(t)
	w := dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1)
	w.get("/?word=old").refused(t, 403, "waf_blocked")

	// A body has begun when the rules change, and is judged by the new ones.
	begun := dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1)
	begun.send("POST /?word=new HTTP/1.1\r\nHost: payments\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nab")
	testkit.WritePolicies(t, dir, rule("2", "new"))
	served, refused := 0, 0
	testkit.Eventually(t, "the new rules are in force", func() bool {
		a := w.get("/?word=old")
		switch {
		case a.StatusCode == 200:
			served++
		case a.StatusCode == 403 && strings.Contains(a.body, "waf_blocked"):
			refused++
		default:
			t.Fatalf("a request was lost: %d %s", a.StatusCode, a.body)
		}
		return served > 0
	})
	begun.send("cd")
	begun.answer().refused(t, 403, "waf_blocked")
	w.get("/?word=new").refused(t, 403, "waf_blocked")

	// Bad rules are counted and named, and the ones before stay.
	testkit.WritePolicies(t, dir, strings.Replace(rule("3", "bad"), "@streq", "@nosuch", 1))
	counted(t, s, 1, "outrider_policy_load_errors_total")
	w.get("/?word=new").refused(t, 403, "waf_blocked")
	w.get("/?word=bad").wants(t, 200)
	_, dump := httpGet(t, "http://"+s.AdminAddress()+"/config_dump")
	for _, want := range []string{"shop/waf", "line 1", "nosuch"} {
		if !strings.Contains(dump, want) {
			t.Errorf("the dump does not say %q of the rules that were refused", want)
		}
	}
}

// What is only tried is recorded and refuses nobody.
func TestRulesAreTriedOnAShare(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	tried := strings.Replace(inspection(`rollout: {percent: 100}, rules: "SecRule ARGS:word \"@streq x\" \"id:1,phase:2,deny,msg:'no x'\"\n"`), "name: waf", "name: next", 1)
	s := side{
		source: ca.Source(t, payments), forward: serveApp(t, hello),
		policies: allowMesh + next + inspection("mode: Block") + next + tried,
		spec:     "  limits: {inspectionWait: 60s, inspectionTimeout: 60s}\n",
	}.start(t)
	w := dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1)
	w.get("/?word=x").wants(t, 200)
	r := s.Log.Await(t, "the trial", func(r map[string]any) bool { return field(r, "waf", "trial", "outcome") == "detected" })
	if field(r, "waf", "outcome") != "clean" || field(r, "waf", "policy") != "shop/waf" || field(r, "waf", "trial", "policy") != "shop/next" {
		t.Errorf("the record is %v", field(r, "waf"))
	}
}
