package bench

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The fourth part, with a program that every distribution has.
func TestCallsPassThroughNginx(t *testing.T) {
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("SKIPPED, NOT TESTED: nginx is not installed (apt-get install nginx)")
	}
	t.Setenv("TMPDIR", t.TempDir())
	rep, table := measured(t, filepath.Join(t.TempDir(), "report.json"), short("--parts", "grpc", "--only", "nginx")...)
	if rep.Calls == nil || len(rep.Calls.Samples) != 1 || len(rep.Samples) > 0 {
		t.Fatalf("the report has %+v", rep)
	}
	if s := rep.Calls.Samples[0]; s.Requests == 0 || s.Errors > 0 || s.CPUMicros <= 0 || s.Connections != callConnections {
		t.Errorf("the sample is %+v", s)
	}
	if !strings.Contains(table, "gRPC unary, 32 streams, 4 connections") {
		t.Errorf("the table is %s", table)
	}
}
