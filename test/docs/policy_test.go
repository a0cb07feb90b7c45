package docs

import (
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/files"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite the sessions of pages")

const policyPage = "docs/policy.md"

// workplace is a directory with the program and what the page speaks of.
func workplace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "bin", "outrider"), "./cmd/outrider")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	examples, err := filepath.Abs(filepath.Join(root, "examples"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(examples, filepath.Join(dir, "examples")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs a command of a page in the shell.
func run(t *testing.T, dir, command string) (output string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), failed.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}

// Every session of the pages is held as it stands there.
func TestSessionsOfPages(t *testing.T) {
	dir := workplace(t)
	for page, least := range map[string]int{policyPage: 8, "docs/waf.md": 4} {
		t.Run(page, func(t *testing.T) { sessions(t, dir, page, least) })
	}
}

func sessions(t *testing.T, dir, name string, least int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	page, ran := string(text), 0
	for _, block := range fences(t, name, "console") {
		got, n := session(t, dir, block)
		ran += n
		page = strings.Replace(page, block, got, 1)
		if diff := cmp.Diff(block, got); diff != "" && !*update {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if ran < least {
		t.Errorf("%s: %d commands found, want at least %d", name, ran, least)
	}
	if *update {
		if err := os.WriteFile(filepath.Join(root, name), []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// session runs the commands of a block, and writes it anew.
func session(t *testing.T, dir, block string) (text string, ran int) {
	t.Helper()
	status := 0
	var b strings.Builder
	for _, part := range strings.Split("\n"+block, "\n$ ")[1:] {
		lines := strings.SplitAfter(part, "\n")
		command := lines[0]
		for i := 1; i < len(lines) && strings.HasSuffix(lines[i-1], "\\\n"); i++ {
			command += lines[i]
		}
		b.WriteString("$ " + strings.TrimSuffix(command, "\n") + "\n")
		out := strconv.Itoa(status) + "\n"
		if strings.TrimSpace(command) != "echo $?" {
			ran++
			out, status = run(t, dir, command)
		}
		b.WriteString(out)
	}
	return strings.TrimSuffix(b.String(), "\n"), ran
}

// The page asks a sidecar about a decision: one that this test has started, and
// that has refused a call.
func TestTheSidecarExplainsWhatItRefused(t *testing.T) {
	dir := workplace(t)
	id, admin := refused(t)
	page := strings.NewReplacer("d0k3f4uq2c5s73a00018", id, "127.0.0.1:15000", admin)
	ran := 0
	for _, block := range fences(t, policyPage, "sh") {
		for command := range strings.Lines(block) {
			ran++
			out, status := run(t, dir, page.Replace(command))
			if status != 3 || !strings.Contains(out, "access_denied") {
				t.Errorf("%s: status %d\n%s", command, status, out)
			}
			if !strings.Contains(command, "json") && !strings.Contains(out, `add "spiffe://example.org/ns/shop/sa/checkout" to spec.rules[0].from[0].principals`) {
				t.Errorf("%s does not say what would allow it:\n%s", command, out)
			}
		}
	}
	if ran != 2 {
		t.Errorf("%d commands found, want 2", ran)
	}
}

// refused starts a sidecar, lets it refuse a caller, and returns the decision and
// where to ask about it.
func refused(t *testing.T) (id, admin string) {
	t.Helper()
	app := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(app.Close)
	ca, err := devca.New(devca.Options{TrustDomain: spiffeid.RequireTrustDomainFromString("example.org"), Warn: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	admin = freeAddress(t)
	s := testkit.Start(t, testkit.Options{
		YAML: "  inbound: [{name: in, listen: \"127.0.0.1:0\", forward: \"" + app.Listener.Addr().String() + "\"}]\n  admin: {listen: \"" + admin + "\"}\n",
		Name: "payments", Source: source(t, ca, "spiffe://example.org/ns/shop/sa/payments"),
		Policies: "apiVersion: outrider.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: callers, namespace: shop}\n" +
			"spec: {action: Allow, rules: [{from: [{principals: [\"spiffe://example.org/ns/shop/sa/basket\"]}]}]}\n",
	})
	cfg := mtls.ClientConfig(source(t, ca, "spiffe://example.org/ns/shop/sa/checkout"), mtls.ClientOptions{
		Expected: expected(t, "spiffe://example.org/ns/shop/sa/payments"), NextProtos: []string{"http/1.1"},
	})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
	answer, err := client.Get("https://" + s.Address(t, "in") + "/v1/charges")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	id = answer.Header.Get("X-Outrider-Decision")
	if answer.StatusCode != http.StatusForbidden || id == "" {
		t.Fatalf("status %d, decision %q", answer.StatusCode, id)
	}
	return id, admin
}

// freeAddress is one that nobody listens at, for now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// source is an identity in files.
func source(t *testing.T, ca *devca.CA, id string) *files.Source {
	t.Helper()
	dir := t.TempDir()
	issue(t, ca, id, dir)
	src, err := files.New(files.Options{
		SVID: filepath.Join(dir, "svid.pem"), Key: filepath.Join(dir, "key.pem"),
		Bundles: map[string]string{spiffeid.RequireFromString(id).TrustDomain().Name(): filepath.Join(dir, "bundle.pem")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func expected(t *testing.T, id string) mtls.Expected {
	t.Helper()
	e, err := mtls.NewExpected(spiffeid.RequireFromString(id))
	if err != nil {
		t.Fatal(err)
	}
	return e
}
