package authz_test

import (
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/outrider-mesh/outrider/authz"
)

// TestDocumentedPoliciesAreValid reads the YAML of docs/policy.md.
func TestDocumentedPoliciesAreValid(t *testing.T) {
	const least = 8
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
