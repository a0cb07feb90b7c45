package docs

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/files"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
)

const attackPage = "docs/attack-replay.md"

// Every command of the page is run as it stands, in the order it stands there, in
// a directory with what the page speaks of; only the addresses are those of a
// sidecar that this test has started.
func TestCommandsOfTheAttackReplayRun(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "bin", "outrider-load")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/outrider-load")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	whole, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(whole, "loadtest"), filepath.Join(dir, "loadtest")); err != nil {
		t.Fatal(err)
	}
	addresses := strings.NewReplacer(inspected(t, dir)...)
	ran := 0
	for _, block := range fences(t, attackPage, "sh") {
		for command := range strings.Lines(block) {
			ran++
			words := strings.Fields(addresses.Replace(command))
			cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
			cmd.Path, cmd.Dir = filepath.Join(dir, words[0]), dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v\n%s", strings.Join(words, " "), err, out)
			}
			if bytes.Contains(out, []byte("INCONCLUSIVE")) || !bytes.Contains(out, []byte("attacks (detection)")) {
				t.Errorf("%s:\n%s", strings.Join(words, " "), out)
			}
		}
	}
	if ran < 5 {
		t.Errorf("%d commands found, want at least 5", ran)
	}
}

// inspected starts a sidecar that takes plaintext and mutual TLS, writes its log
// and its caller's identity into dir, and returns what to put in place of the
// page's addresses.
func inspected(t *testing.T, dir string) []string {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	t.Cleanup(app.Close)
	const domain = "example.org"
	ca, err := devca.New(devca.Options{TrustDomain: spiffeid.RequireTrustDomainFromString(domain), Warn: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	issue(t, ca, "spiffe://example.org/ns/shop/sa/checkout", dir)
	own := t.TempDir()
	issue(t, ca, "spiffe://example.org/ns/shop/sa/payments", own)
	src, err := files.New(files.Options{
		SVID: filepath.Join(own, "svid.pem"), Key: filepath.Join(own, "key.pem"),
		Bundles: map[string]string{domain: filepath.Join(own, "bundle.pem")},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := testkit.Start(t, testkit.Options{
		YAML: "  inbound: [{name: in, listen: \"127.0.0.1:0\", forward: \"" + app.Listener.Addr().String() + "\"}]\n" +
			"  limits: {inspectionWait: 60s, inspectionTimeout: 60s}\n",
		Name: "payments", Source: src,
		Policies: "apiVersion: outrider.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: mesh}\n" +
			"spec: {mtls: Permissive, defaultAccess: AllowAll}\n---\n" +
			"apiVersion: outrider.dev/v1alpha1\nkind: InspectionPolicy\nmetadata: {name: waf, namespace: shop}\nspec: {mode: Block}\n---\n" +
			// The page replays what was missed, and the mesh profile misses none of the corpus.
			"apiVersion: outrider.dev/v1alpha1\nkind: InspectionPolicy\nmetadata: {name: open, namespace: shop}\n" +
			"spec: {paths: [/v1/form], mode: \"Off\"}\n",
	})
	copyLog(t, s.Log, filepath.Join(dir, "access.log"))
	address := s.Address(t, "in")
	return []string{"http://127.0.0.1:8080", "http://" + address, "https://127.0.0.1:8443", "https://" + address}
}

// issue writes an SVID's files into dir.
func issue(t *testing.T, ca *devca.CA, id, dir string) {
	t.Helper()
	issued, err := ca.Issue(spiffeid.RequireFromString(id), devca.IssueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	chain, key, err := issued.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var roots []byte
	for _, cert := range ca.Bundle().X509Authorities() {
		roots = append(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	for name, data := range map[string][]byte{"svid.pem": chain, "key.pem": key, "bundle.pem": roots} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// copyLog writes a log to a file as it grows, until the test ends.
func copyLog(t *testing.T, log *testkit.Log, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		e := json.NewEncoder(f)
		for seen := 0; ; {
			for _, r := range log.Records(t)[seen:] {
				seen++
				if err := e.Encode(r); err != nil {
					t.Error(err)
				}
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
		f.Close()
	})
}

func TestTheSamplesOfTheAttackReplayAreSamples(t *testing.T) {
	lines := 0
	for _, block := range fences(t, attackPage, "json") {
		path := filepath.Join(t.TempDir(), "page.jsonl")
		if err := os.WriteFile(path, []byte(block), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := corpus.Read(t.Context(), path)
		if err != nil || len(c.Unreadable) > 0 {
			t.Errorf("%v, %v", err, c.Unreadable)
		}
		lines += len(c.Samples)
	}
	if lines < 3 {
		t.Errorf("%d samples, want at least 3", lines)
	}
}

// A member of the report that the page does not explain is one that nobody can
// rely on.
func TestTheAttackReplayExplainsEveryMemberOfItsReport(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join(root, "loadtest/attack/testdata/report.json"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, attackPage))
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^ +"([a-z0-9_]+)": `).FindAllSubmatch(golden, -1) {
		members[string(found[1])] = true
	}
	explained := 0
	for name := range members {
		if strings.Trim(name, "0123456789") == "" {
			continue // a status
		}
		explained++
		if !bytes.Contains(page, []byte("`"+name+"`")) {
			t.Errorf("%s does not say what `%s` is", attackPage, name)
		}
	}
	if explained < 60 {
		t.Errorf("found only %d members", explained)
	}
}
