package e2e

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/proxy"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// says is an application that gives its name.
func says(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) }
}

// A watched sidecar reads its configuration from a file, as in production.
type watched struct {
	*proxy.Sidecar
	path string
	log  *testkit.Log
}

const header = "apiVersion: outrider.dev/v1alpha1\nkind: Sidecar\n" +
	"metadata: {name: payments, namespace: shop, labels: {app: payments}}\nspec:\n" +
	"  identity: {workloadAPI: {socket: \"unix:///unused\"}}\n"

func (w *watched) write(t *testing.T, spec string) {
	t.Helper()
	staged := w.path + ".staged"
	if err := os.WriteFile(staged, []byte(header+spec+ports), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(staged, w.path); err != nil {
		t.Fatal(err)
	}
}

func (w *watched) policies(t *testing.T, documents string) {
	t.Helper()
	testkit.WritePolicies(t, filepath.Join(filepath.Dir(w.path), "policies"), documents)
}

// watch starts a sidecar from a file; it runs until the test ends.
func watch(t *testing.T, source *identitytest.StaticSource, spec string) *watched {
	t.Helper()
	dir := t.TempDir()
	w := &watched{path: filepath.Join(dir, "sidecar.yaml"), log: new(testkit.Log)}
	w.write(t, spec)
	w.policies(t, allowMesh)
	c, _, err := config.LoadSidecar(w.path)
	if err != nil {
		t.Fatal(err)
	}
	w.Sidecar, err = proxy.New(t.Context(), proxy.Options{
		Config: c, ConfigPath: w.path, Source: source, Stdout: io.Discard, Stderr: io.Discard,
		Log:            slog.New(slog.NewJSONHandler(w.log, nil)),
		PolicyInterval: 50 * time.Millisecond, SweepInterval: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	force, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- w.Run(ctx, force) }()
	t.Cleanup(func() {
		stop()
		close(force)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-w.Ready()
	return w
}

func (w *watched) taken(t *testing.T, n int) {
	t.Helper()
	testkit.Eventually(t, "the configuration is taken over", func() bool {
		taken := 0
		for _, r := range w.log.Records(t) {
			if r["msg"] == "configuration taken over" {
				taken++
			}
		}
		return taken >= n
	})
}

// listeners is a spec with these inbound listeners, "name=application".
func listeners(list ...string) string {
	var b strings.Builder
	b.WriteString("  policies: {directory: policies}\n  inbound:\n")
	for _, l := range list {
		name, app, _ := strings.Cut(l, "=")
		app, more, _ := strings.Cut(app, ",")
		if more != "" {
			more = ", " + more
		}
		b.WriteString("  - {name: " + name + ", listen: \"127.0.0.1:0\", forward: \"" + app + "\"" + more + "}\n")
	}
	return b.String()
}

// finishes checks a connection whose listener is not what it was: it serves
// until it ends, and ends in good order or not at all.
func finishes(t *testing.T, name string, w *wire) {
	t.Helper()
	if _, err := io.WriteString(w, "GET / HTTP/1.1\r\nHost: payments\r\n\r\n"); err != nil {
		t.Logf("%s: closed: %v", name, err)
		return
	}
	a, err := w.tryAnswer()
	switch {
	case err == io.EOF: //nolint:errorlint // exactly the orderly end
		t.Logf("%s: ended in good order", name)
	case err == io.ErrUnexpectedEOF: //nolint:errorlint // ReadResponse's word for an end before the first byte
		t.Logf("%s: ended in good order", name)
	case err != nil:
		t.Errorf("%s: the old connection broke: %v", name, err)
	case a.StatusCode == 503 && strings.Contains(a.body, "no_destination"):
		t.Logf("%s: was told that there is nothing any more", name)
	case a.StatusCode != 200:
		t.Errorf("%s: the old connection got %d: %s", name, a.StatusCode, a.body)
	}
}
