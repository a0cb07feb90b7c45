package kube

import (
	"context"
	"io"
	"net/http"
	"os"
	"testing"
	"time"
)

// least is how many things have been looked at, or something was left out.
const least = 2000

// enabled is set by the Makefile.
const enabled = "OUTRIDER_TEST_KUBE"

// TestControlPlane is one story, since its parts share an API server: what a user
// applies, the control plane that comes of it, and what it then does.
func TestControlPlane(t *testing.T) {
	if os.Getenv(enabled) == "" {
		t.Skip("a real API server is started by make test-kube only")
	}
	w := newWorld(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"what is applied is taken", w.installation},
		{"good documents are taken and mistakes refused", w.documents},
		{"the control plane", w.controlPlane},
	} {
		if !t.Run(part.name, part.run) {
			break
		}
	}
	t.Logf("test-kube: %d checks against a real API server", w.checks)
	if w.checks < least && !t.Failed() {
		t.Errorf("only %d checks, want %d", w.checks, least)
	}
}

// controlPlane runs one replica, and in the end a second one, past everything that it
// is for.
func (w *world) controlPlane(t *testing.T) {
	a := w.replica(t, "a")
	w.ready(t, a)
	w.route(t, a)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *replica)
	}{
		{"what it keeps in the cluster", w.state},
		{"pods become what the golden files say", w.pods},
		{"twice is once", w.reinvocation},
		{"what it tells people", w.events},
		{"tokens", w.tokens},
		{"the MeshConfig", w.meshConfig},
		{"rights", w.rights},
		{"two replicas", w.failover},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, a) })
	}
}

// get fetches a page within a while.
func get(ctx context.Context, url string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	return res.StatusCode, string(text), err
}
