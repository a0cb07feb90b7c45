// Package testkit starts sidecars inside of a test: the real assembly, with
// everything on loopback and on ports that the system chooses. Only tests import
// it.
package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/proxy"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// A Sidecar is one that runs until its test ends.
type Sidecar struct {
	*proxy.Sidecar
	// Log is its access log.
	Log *Log

	stop  context.CancelFunc
	force func()
	done  chan struct{}
	err   error
}

// Options say how a sidecar is started.
type Options struct {
	// YAML is the body of "spec:", indented by two spaces. Admin, metrics and
	// health ports are off unless it names them.
	YAML string
	// Name and Labels are the workload's, in namespace "shop".
	Name   string
	Labels map[string]string
	// Source is its identity; nil takes the one that YAML configures.
	Source identity.Source
	// Policies are the documents; empty denies everything.
	Policies string
	// NotReady returns at once instead of waiting until the sidecar is ready.
	NotReady bool
}

// Start runs a sidecar and stops it when the test ends.
func Start(t testing.TB, opts Options) *Sidecar {
	t.Helper()
	dir := t.TempDir()
	c, _, err := config.ParseSidecar(filepath.Join(dir, "sidecar.yaml"), []byte(opts.document(t, dir)))
	if err != nil {
		t.Fatal(err)
	}
	s := &Sidecar{Log: new(Log), done: make(chan struct{})}
	s.Sidecar, err = proxy.New(t.Context(), proxy.Options{
		Config: c, Source: opts.Source, Stdout: s.Log, Stderr: s.Log,
		Log:           slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		SweepInterval: 50 * time.Millisecond, PolicyInterval: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	force := make(chan struct{})
	s.stop, s.force = stop, sync.OnceFunc(func() { close(force) })
	go func() {
		defer close(s.done)
		s.err = s.Run(ctx, force)
	}()
	t.Cleanup(func() {
		s.Stop()
		s.force()
		if err := s.Wait(); err != nil {
			t.Errorf("sidecar %s: %v", opts.Name, err)
		}
	})
	if !opts.NotReady {
		s.AwaitReady(t)
	}
	return s
}

// document renders the sidecar's file, and its policies into dir.
func (o Options) document(t testing.TB, dir string) string {
	t.Helper()
	labels, err := json.Marshal(o.Labels)
	if err != nil {
		t.Fatal(err)
	}
	if o.Labels == nil {
		labels = []byte("{}")
	}
	spec := o.YAML
	for _, port := range []string{"admin", "metrics", "health"} {
		if !strings.Contains(spec, "  "+port+":") {
			spec += "\n  " + port + ": {listen: \"off\"}"
		}
	}
	if !strings.Contains(spec, "  identity:") {
		spec += "\n  identity: {workloadAPI: {socket: \"unix:///unused\"}}"
	}
	switch {
	case strings.Contains(spec, "  policies:"):
	case o.Policies == "":
		spec += "\n  policies: {denyAll: true}"
	default:
		policies := filepath.Join(dir, "policies")
		WritePolicies(t, policies, o.Policies)
		spec += "\n  policies: {directory: " + strconv.Quote(policies) + "}"
	}
	return "apiVersion: outrider.dev/v1alpha1\nkind: Sidecar\nmetadata: {name: " + o.Name +
		", namespace: shop, labels: " + string(labels) + "}\nspec:\n" + spec + "\n"
}

// WritePolicies replaces the documents in a directory, which it makes.
func WritePolicies(t testing.TB, dir, documents string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(dir, ".next")
	if err := os.WriteFile(next, []byte(documents), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, "policies.yaml")); err != nil {
		t.Fatal(err)
	}
}

// AwaitReady returns when the sidecar serves.
func (s *Sidecar) AwaitReady(t testing.TB) {
	t.Helper()
	select {
	case <-s.Ready():
	case <-s.done:
		t.Fatalf("the sidecar ended: %v", s.err)
	case <-time.After(patience):
		t.Fatal("the sidecar is not ready")
	}
}

// Address is where a listener is bound.
func (s *Sidecar) Address(t testing.TB, listener string) string {
	t.Helper()
	a, ok := s.Addresses()[listener]
	if !ok {
		t.Fatalf("there is no listener %q", listener)
	}
	return a
}

// Stop asks the sidecar to drain, as a first signal does.
func (s *Sidecar) Stop() { s.stop() }

// Kill ends the drain, as a second signal does.
func (s *Sidecar) Kill() { s.force() }

// Wait returns when the sidecar has ended.
func (s *Sidecar) Wait() error {
	<-s.done
	return s.err
}

// Done is closed when the sidecar has ended.
func (s *Sidecar) Done() <-chan struct{} { return s.done }

// patience is how long a test waits for what must come. It decides only how
// late a failure is noticed.
const patience = 20 * time.Second

// Eventually returns when holds does; it fails the test if that takes too long.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
		<-tick.C
	}
}

// A Log is an access log in memory.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// Records are the records so far, decoded.
func (l *Log) Records(t testing.TB) []map[string]any {
	t.Helper()
	l.mu.Lock()
	text := l.b.String()
	l.mu.Unlock()
	var records []map[string]any
	for line := range strings.Lines(text) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("access log line %q: %v", line, err)
		}
		records = append(records, r)
	}
	return records
}

// Await returns the first record for which match says true.
func (l *Log) Await(t testing.TB, what string, match func(map[string]any) bool) map[string]any {
	t.Helper()
	var found map[string]any
	Eventually(t, "an access log record of "+what, func() bool {
		for _, r := range l.Records(t) {
			if match(r) {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

// AwaitReason returns the first record with that reason.
func (l *Log) AwaitReason(t testing.TB, reason string) map[string]any {
	t.Helper()
	return l.Await(t, reason, func(r map[string]any) bool { return r["reason"] == reason })
}
