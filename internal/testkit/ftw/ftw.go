// Package ftw reads the regression suite of the OWASP Core Rule Set, which is
// written for the framework of that name, and makes of each case the bytes that
// go over the wire and what is expected of the answer and of the log.
//
// It follows go-ftw v2.1.0 in how a request is completed, since the cases rely on
// it; what the suite does not use is refused rather than ignored, so that a newer
// suite cannot pass by being misread.
package ftw

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	suite "github.com/corazawaf/coraza-coreruleset/v4/tests"
	"go.yaml.in/yaml/v3"
)

// A Case is one request, or a few, and what must come of it.
type Case struct {
	// ID is the rule that the case is about and its number, such as "942100-3".
	ID string
	// Rule is that rule.
	Rule   int
	Stages []Stage
}

// A Stage is one request of a case.
type Stage struct {
	// Raw is the request as it goes over the wire.
	Raw []byte
	// Want is what the suite expects.
	Want Expectation
}

// An Expectation is what the suite says of a case; what is empty is not looked at.
type Expectation struct {
	// Status is of the answer. The suite was written for Apache: 400 means that
	// the server did not even ask the rules.
	Status int `yaml:"status"`
	// Error tells that there is no answer at all.
	Error bool `yaml:"expect_error"`
	// Retry is for a fault of the framework and is ignored.
	Retry bool `yaml:"retry_once"`
	Log   struct {
		// IDs must have matched, all of them.
		IDs []int `yaml:"expect_ids"`
		// NoIDs must not have matched.
		NoIDs []int `yaml:"no_expect_ids"`
		// Match and NoMatch are patterns of a line of ModSecurity's log.
		Match   string `yaml:"match_regex"`
		NoMatch string `yaml:"no_match_regex"`
	} `yaml:"log"`
}

// document is a file of the suite.
type document struct {
	// Who wrote it and why, which stands in either place.
	Meta   any `yaml:"meta"`
	Author any `yaml:"author"`

	Rule  int    `yaml:"rule_id"`
	Tests []test `yaml:"tests"`
}

type test struct {
	ID          int    `yaml:"test_id"`
	Desc        string `yaml:"desc"`
	Description string `yaml:"description"`
	Stages      []struct {
		Input  input       `yaml:"input"`
		Output Expectation `yaml:"output"`
	} `yaml:"stages"`
}

// Cases returns the whole suite in the order of rules and numbers.
func Cases() ([]Case, error) {
	var all []Case
	err := fs.WalkDir(suite.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		cases, err := read(name)
		all = append(all, cases...)
		return err
	})
	slices.SortStableFunc(all, func(a, b Case) int { return cmp.Compare(a.Rule, b.Rule) })
	return all, err
}

func read(name string) ([]Case, error) {
	text, err := suite.FS.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read %q of the suite: %w", name, err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var d document
	if err := decoder.Decode(&d); err != nil && !errors.Is(err, io.EOF) { // a file of remarks only
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var all []Case
	for _, t := range d.Tests {
		c := Case{ID: strconv.Itoa(d.Rule) + "-" + strconv.Itoa(t.ID), Rule: d.Rule}
		for _, stage := range t.Stages {
			raw, err := stage.Input.wire()
			if err != nil {
				return nil, fmt.Errorf("%s: case %d: %w", name, t.ID, err)
			}
			c.Stages = append(c.Stages, Stage{Raw: raw, Want: stage.Output})
		}
		all = append(all, c)
	}
	return all, nil
}

// decode reads base64 as it stands in YAML, in lines.
func decode(text string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, fmt.Errorf("decode a request: %w", err)
	}
	return raw, nil
}
