package crs

import (
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/outrider-mesh/outrider/proxy/inspect/seclang"
)

// responseRules are those that look at answers (phases 3 and 4), or report about the
// whole exchange (5): no request can make them match. The value is a rule's message.
type responseRules map[int]string

// readResponseRules reads them out of the rule set itself.
func readResponseRules(t *testing.T) responseRules {
	t.Helper()
	files, err := fs.Glob(coreruleset.FS, "@owasp_crs/RE*-*.conf")
	if err != nil {
		t.Fatal(err)
	}
	set := seclang.New()
	for _, name := range files {
		if err := set.ReadFile(coreruleset.FS, name); err != nil {
			t.Fatal(err)
		}
	}
	rules := responseRules{}
	for _, r := range set.Rules {
		if r.Phase >= 3 && r.ID != 0 {
			rules[r.ID], _ = r.Action("msg")
		}
	}
	const least = 90
	if len(rules) < least {
		t.Fatalf("%d rules look at answers, want %d", len(rules), least)
	}
	return rules
}

// explain tells whether all that differs is that such rules did not match, and that no
// such rule wrote its line. The rest of the case has to be as the suite has it.
func (r responseRules) explain(d difference) bool {
	for _, id := range d.Missing {
		if _, ok := r[id]; !ok {
			return false
		}
	}
	for _, line := range d.Lines {
		if !r.writes(line) {
			return false
		}
	}
	return len(d.Missing)+len(d.Lines) > 0 && len(d.Unexpected) == 0 && d.Status == "" && d.Refused == ""
}

func (r responseRules) writes(pattern string) bool {
	line, err := regexp.Compile(pattern)
	return err == nil && slices.ContainsFunc(slices.Collect(maps.Values(r)), line.MatchString)
}

func TestOnlyResponseRulesExcuseACase(t *testing.T) {
	rules := readResponseRules(t)
	cases := []struct {
		name string
		d    difference
		want bool
	}{
		{"a rule about answers", difference{Missing: []int{951110}}, true},
		{"a report", difference{Missing: []int{980170}}, true},
		{"the line of one", difference{Lines: []string{`Outbound Anomaly Score Exceeded \(Total Score: `}}, true},
		{"a rule about requests", difference{Missing: []int{942100}}, false},
		{"one of each", difference{Missing: []int{951110, 942100}}, false},
		{"the rule that compares the score of requests", difference{Missing: []int{blocking}}, false},
		{"a rule that is none", difference{Missing: []int{959999}}, false},
		{"another line", difference{Lines: []string{"Inbound Anomaly Score Exceeded"}}, false},
		{"a rule that should not match", difference{Missing: []int{951110}, Unexpected: []int{942100}}, false},
		{"a refusal", difference{Missing: []int{951110}, Refused: "400 bad_request"}, false},
		{"another status", difference{Missing: []int{951110}, Status: "400"}, false},
		{"nothing", difference{}, false},
	}
	const minimum = 12
	if len(cases) < minimum {
		t.Errorf("only %d cases, want %d", len(cases), minimum)
	}
	for _, tt := range cases {
		if got := rules.explain(tt.d); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}
