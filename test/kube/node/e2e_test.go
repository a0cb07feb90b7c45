package node_test

import (
	"os"
	"testing"
	"time"
)

// least is how many things have been looked at, or something was left out.
const least = 100

// enabled is set by the Makefile.
const enabled = "OUTRIDER_TEST_NODE"

// TestMesh is one story on one node: from nothing to a mesh, and through what happens
// to one.
func TestMesh(t *testing.T) {
	if os.Getenv(enabled) == "" {
		t.Skip("a node is started by make e2e only")
	}
	began := time.Now()
	w := newWorld(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
		need bool // for all that comes after
	}{
		{"a node", w.node, true},
		{"the control plane is installed", w.install, true},
		{"unmodified applications are in the mesh", w.deploy, true},
		{"what is refused is explained", w.refusals, false},
		{"nothing is readable on the wire", w.wire, false},
		{"attacks are blocked", w.inspection, false},
		{"a Job ends", w.job, false},
		{"no sidecar has credentials of the API server", w.credentials, false},
		{"a rolling update loses nothing", w.rollout, false},
		{"the control plane is replaced while pods are created", w.upgrade, false},
		{"identities are renewed", w.rotation, false},
		{"a sidecar starts again with what it has kept", w.restart, false},
		{"traffic goes on without a control plane", w.outage, false},
	} {
		if !t.Run(part.name, part.run) && part.need {
			break
		}
	}
	t.Logf("e2e: %d checks on a real node, in %v", w.checks, time.Since(began).Round(time.Second))
	if w.checks < least && !t.Failed() {
		t.Errorf("only %d checks, want %d", w.checks, least)
	}
}
