package proxy_test

import (
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/proxy"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// The collector has to be told before rules are compiled, which is when most garbage is
// made.
func TestWhoeverPacesTheCollectorIsToldOfInspection(t *testing.T) {
	const inspection = "apiVersion: outrider.dev/v1alpha1\nkind: InspectionPolicy\nmetadata: {name: waf}\nspec: {mode: Block}\n"
	dir := t.TempDir()
	testkit.WritePolicies(t, dir, inspection)
	yaml := strings.Replace(plainSidecar("http", "127.0.0.1:0", "127.0.0.1:1", ""), "denyAll: true", "directory: "+strconv.Quote(dir), 1)
	c, _, err := config.ParseSidecar(filepath.Join(t.TempDir(), "sidecar.yaml"), []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan bool, 16)
	s, err := proxy.New(t.Context(), proxy.Options{
		Config: c, Source: identitytest.NewCA(t, "example.org").Source(t, payments), Stdout: io.Discard, Stderr: io.Discard,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Sparse: func(yes bool) { told <- yes },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer running(t, s)()
	if !<-told {
		t.Error("policies that inspect are not told")
	}
	testkit.WritePolicies(t, dir, access("all", "action: Allow, rules: [{}]"))
	if <-told {
		t.Error("that nothing is inspected any more is not told")
	}
}
