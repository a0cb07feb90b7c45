package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/test/peers/report"
)

// The fourth part, with a program that every distribution has.
func TestCallsPassThroughNginx(t *testing.T) {
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("SKIPPED, NOT TESTED: nginx is not installed (apt-get install nginx)")
	}
	t.Setenv("TMPDIR", t.TempDir())
	file := filepath.Join(t.TempDir(), "report.json")
	var out, log bytes.Buffer
	if err := Run(t.Context(), short("--parts", "grpc", "--only", "nginx", "--json", file), Streams{Out: &out, Err: &log}); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rep report.Report
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	if rep.Calls == nil || len(rep.Calls.Samples) != 1 || len(rep.Samples) > 0 {
		t.Fatalf("the report has %+v", rep)
	}
	if s := rep.Calls.Samples[0]; s.Requests == 0 || s.Errors > 0 || s.CPUMicros <= 0 || s.Connections != callConnections {
		t.Errorf("the sample is %+v", s)
	}
	if !strings.Contains(out.String(), "gRPC unary, 32 streams, 4 connections") {
		t.Errorf("the table is %s", out.String())
	}
}
