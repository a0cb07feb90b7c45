package authz_test

import (
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/outrider-mesh/outrider/authz"
)

// TestDocumentedPoliciesAreValid reads the YAML of docs/policy.md.
func TestDocumentedPoliciesAreValid(t *testing.T) {
	const least = 12
	data, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(data), -1)
	for _, block := range blocks {
		var doc struct {
			APIVersion   string `yaml:"apiVersion"`
			Kind         string `yaml:"kind"`
			authz.Policy `yaml:",inline"`
		}
		d := yaml.NewDecoder(strings.NewReader(block[1]))
		d.KnownFields(true)
		if err := d.Decode(&doc); err != nil {
			t.Errorf("%v\n%s", err, block[1])
			continue
		}
		if err := d.Decode(&doc); !errors.Is(err, io.EOF) {
			t.Errorf("more than one document\n%s", block[1])
		}
		for _, p := range authz.Validate([]authz.Policy{doc.Policy}) {
			t.Error(p)
		}
	}
	if len(blocks) < least {
		t.Errorf("%d documents, want at least %d", len(blocks), least)
	}
}

// TestEveryCodeIsDocumented compares the codes of warnings with docs/policy.md, and
// with what tests have provoked: a code is stable, so it must not be one that nobody
// has ever seen.
func TestEveryCodeIsDocumented(t *testing.T) {
	in := func(name, form string) (codes []string) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(form).FindAllStringSubmatch(string(data), -1) {
			codes = append(codes, m[1])
		}
		slices.Sort(codes)
		return slices.Compact(codes)
	}
	defined := in("lint.go", `= "(OUT\d+)"`)
	if len(defined) < 10 {
		t.Errorf("found only the codes %v", defined)
	}
	if diff := cmp.Diff(defined, in("../docs/policy.md", "(?m)^\\| `(OUT\\d+)` \\|")); diff != "" {
		t.Errorf("docs/policy.md (-defined +documented):\n%s", diff)
	}
	var seen []string
	for _, name := range append(corpusFiles(t), "lint_test.go") {
		seen = append(seen, in(name, `\((OUT\d+)\)`)...)
	}
	slices.Sort(seen)
	if diff := cmp.Diff(defined, slices.Compact(seen)); diff != "" {
		t.Errorf("the corpus (-defined +provoked):\n%s", diff)
	}
}
