package proxy_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/proxy"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// off are the ports that most tests do without.
const off = "  admin: {listen: \"off\"}\n  metrics: {listen: \"off\"}\n  health: {listen: \"off\"}\n"

// start runs a sidecar with exactly the given file until the test ends; what is
// reloaded must be under the test's control to the letter.
func start(t *testing.T, yaml string, id *identitytest.StaticSource) (*proxy.Sidecar, *testkit.Log) {
	t.Helper()
	c, _, err := config.ParseSidecar(filepath.Join(t.TempDir(), "sidecar.yaml"), []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	log := new(testkit.Log)
	s, err := proxy.New(t.Context(), proxy.Options{
		Config: c, Source: id, Stdout: log, Stderr: log, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	force := make(chan struct{})
	go func() { done <- s.Run(ctx, force) }()
	t.Cleanup(func() {
		stop()
		close(force)
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	return s, log
}
