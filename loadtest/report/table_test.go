package report

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/loadtest/budget"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; refresh it with -update (-want +got):\n%s", file, diff)
	}
}

func TestTables(t *testing.T) {
	all := documents(t)
	if len(all) < 8 {
		t.Fatalf("only %d documents", len(all))
	}
	for name, d := range all {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := d.WriteTable(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, "table/"+name+".txt", b.String())
			checkTerminal(t, b.String())
		})
	}
}

// checkTerminal sees that text fits and moves no cursor.
func checkTerminal(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Error("it is not valid UTF-8")
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > width {
			t.Errorf("%d characters are too many for a line: %q", n, line)
		}
		if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("a line has a control character: %q", line)
		}
	}
}

// A target that answers nothing has no latency, which is not one of zero.
func TestATargetThatAnswersNothingHasNoLatency(t *testing.T) {
	most := 1e6
	s := Scenario{
		Name: "silent", Targets: []Target{{Name: "direct", Requests: 10, Latency: Latency{P50: 50}}, {Name: "mesh", Due: 10, Failures: map[string]int64{"status": 10}}},
		Comparisons: []Comparison{{Base: "direct", Test: "mesh", Verdict: budget.Undecided, Findings: []Finding{
			{What: "p50", Unit: unitMicros, Base: 50, Added: -50, Budget: &most, Verdict: budget.Undecided},
			{What: "p75", Unit: unitMicros, Test: 50, Added: 50},
		}}},
	}
	var b strings.Builder
	if err := (&Document{Scenarios: []Scenario{s}, Verdict: budget.Undecided}).WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"   mesh           0      0   100 %        –     –     –     –      –     –\n",
		"   p50  50.0 µs        –      –              –  ≤ +1 s  undecided\n",
		"   p75        –  50.0 µs      –              –       –  –\n",
		"! silent: no request to mesh succeeded, so it has no p50; the budget is +1 s: undecided, for there\n  is nothing to judge\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}
