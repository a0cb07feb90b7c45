package issue_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/injector/issue"
)

// Every metric of ours, and no other, is in the table of docs/identity.md.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/identity.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(outrider_injector_[a-z_]+)`").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[1])
	}
	w := newWorld(t)
	w.metrics.MustRegister(issue.NewCAMetrics(w.keeper))
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range families {
		all = append(all, f.GetName())
	}
	slices.Sort(documented)
	if diff := cmp.Diff(all, documented); diff != "" || len(all) < 7 {
		t.Errorf("%d metrics (-registry +docs): %s", len(all), diff)
	}
}
