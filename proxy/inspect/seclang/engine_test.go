package seclang

import (
	"fmt"
	"strings"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/experimental"
	corazatypes "github.com/corazawaf/coraza/v3/types"
	"github.com/google/go-cmp/cmp"
)

// What the engine and we have read of the core rule set is the same: rules, their
// order, phases, tags and chains.
func TestTheRuleSetIsReadAsTheEngineDoes(t *testing.T) {
	var theirs, ours []string
	cfg := experimental.WAFConfigWithRuleObserver(coraza.NewWAFConfig().WithRootFS(coreruleset.FS), func(r corazatypes.RuleMetadata) {
		theirs = append(theirs, fmt.Sprint(r.ID(), r.SecMark(), int(r.Phase()), r.Tags()))
	})
	s := New()
	for _, name := range ruleSetFiles(t, coreruleset.FS) {
		cfg = cfg.WithDirectivesFromFile(name)
		if err := s.ReadFile(coreruleset.FS, name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := coraza.NewWAF(cfg); err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, r := range s.Rules {
		phase := r.Phase
		if r.Mark != "" {
			phase = 0
		}
		ours = append(ours, fmt.Sprint(r.ID, r.Mark, phase, r.Tags))
		links += len(r.Links)
		if r.Unknown != "" {
			t.Errorf("rule %d: %s is not understood", r.ID, r.Unknown)
		}
	}
	theirs = normalised(theirs)
	if diff := cmp.Diff(theirs, normalised(ours)); diff != "" {
		t.Error(diff)
	}
	if len(ours) < 600 || links < 60 {
		t.Errorf("only %d rules and %d links", len(ours), links)
	}
}

// normalised leaves out what a mark has for a phase.
func normalised(rules []string) []string {
	var out []string
	for _, r := range rules {
		if strings.HasPrefix(r, "0") {
			r, _, _ = strings.Cut(r, " ")
		}
		out = append(out, r)
	}
	return out
}
