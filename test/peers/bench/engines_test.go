package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/test/peers/report"
)

// What make bench-waf does, with one short round and the reference proxy.
func TestInspectionSideBySide(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	file, page, part := filepath.Join(dir, "report.json"), filepath.Join(dir, "page.md"), (&report.Report{Engines: &report.Engines{}}).Page()
	if err := os.WriteFile(page, []byte("Mine.\n"+part.Begin+"\n"+part.End+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rep, _ := measured(t, file,
		"--parts", "engines,inspection", "--only", "nethttp+filter", "--rounds", "1", "--block", "50ms", "--warmup", "10ms",
		"--open-rounds", "0", "--workers", "1", "--seed", "1", "--markdown", page)
	if len(rep.Engines.Rows) != 8 || len(rep.Inspection.Requests) != 8 {
		t.Fatalf("%d and %d requests", len(rep.Engines.Rows), len(rep.Inspection.Requests))
	}
	for _, row := range rep.Engines.Rows {
		for n, c := range row.Cells {
			if c.CPUMicros <= 0 || c.Allocations <= 0 || c.Times <= 0 || len(c.Turns) != 1 {
				t.Errorf("%s, %s: %+v", row.Name, rep.Engines.Names[n], c)
			}
		}
		if len(row.Cells) != 3 || row.Cells[0].Times != 1 {
			t.Errorf("%s: %+v", row.Name, row.Cells)
		}
	}
	written, err := os.ReadFile(page)
	if err != nil || !strings.HasPrefix(string(written), "Mine.\n") || strings.Count(string(written), "| POST, JSON of 64 KiB, sentences |") != 2 {
		t.Errorf("the page is %s, %v", written, err)
	}
}
