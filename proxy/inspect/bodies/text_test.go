package bodies_test

import (
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
)

// FuzzTextRuns checks that runs are text, long enough, in order, and that no
// text of that length is outside of them.
func FuzzTextRuns(f *testing.F) {
	for _, s := range []string{"", "short", "long enough", "\x00long enough\xff\xfeand more of it\x00", "äöüßäöüß\x80abcdefgh"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		rest := body
		for run := range bodies.Runs(body) {
			if len(run) < bodies.MinRun || !bodies.IsText(run) {
				t.Errorf("run %q", run)
			}
			before, after, ok := strings.Cut(rest, run)
			if !ok {
				t.Fatalf("%q is not in what is left, %q", run, rest)
			}
			checkNoText(t, before)
			rest = after
		}
		checkNoText(t, rest)
		if bodies.IsText(body) && len(body) >= bodies.MinRun {
			for run := range bodies.Runs(body) {
				if run != body {
					t.Errorf("a text is not one run: %q", run)
				}
			}
		}
	})
}

// checkNoText looks for plain ASCII text that should have been a run.
func checkNoText(t *testing.T, s string) {
	t.Helper()
	run := 0
	for i := range len(s) {
		if c := s[i]; c >= 0x80 || c < '\t' || c > '\r' && c < ' ' || c == 0x7f {
			run = 0
			continue
		}
		if run++; run >= bodies.MinRun {
			t.Fatalf("%q holds text", s)
		}
	}
}
