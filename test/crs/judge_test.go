package crs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit/ftw"
)

// everyCase is how many cases CRS 4.25.0 has.
const everyCase = 4674

// suite is all of it.
func suite(t *testing.T) []ftw.Case {
	t.Helper()
	cases, err := ftw.Cases()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < everyCase {
		t.Fatalf("the suite has %d cases, want %d", len(cases), everyCase)
	}
	return cases
}

// blocking is the rule that compares the score. A verdict does not list it: it says
// "detected".
const blocking = 949110

// seen is what came of one request.
type seen struct {
	status int // 0 where there is no HTTP
	attack bool
	rules  []int
	// locations are where rules matched.
	locations []string
}

func (s seen) matched(rule int) bool {
	if rule == blocking {
		return s.attack
	}
	return slices.Contains(s.rules, rule)
}

// lines are the parts of patterns by which the suite looks into ModSecurity's log,
// and what they ask of a verdict.
func (s seen) line(pattern string) (bool, error) {
	locations := regexp.MustCompile(`(ARGS|REQUEST_HEADERS):\w+`)
	switch {
	case strings.HasPrefix(pattern, "Inbound Anomaly Score Exceeded"):
		return s.attack, nil
	case locations.MatchString(pattern):
		return slices.Contains(s.locations, locations.FindString(pattern)), nil
	case strings.HasPrefix(pattern, "Multipart parsing error"):
		// Whichever finds it first: the rule, or the parser.
		return s.matched(922130) || s.matched(7100008) || s.matched(7100009), nil
	}
	return false, fmt.Errorf("nobody knows what %q means here", pattern)
}

// problems are how what came differs from what was wanted, apart from the status.
func (s seen) problems(want ftw.Expectation) []string {
	var all []string
	for _, id := range want.Log.IDs {
		if !s.matched(id) {
			all = append(all, fmt.Sprintf("%d did not match", id))
		}
	}
	for _, id := range want.Log.NoIDs {
		if s.matched(id) {
			all = append(all, fmt.Sprintf("%d matched", id))
		}
	}
	for _, p := range []struct {
		pattern string
		wanted  bool
	}{{want.Log.Match, true}, {want.Log.NoMatch, false}} {
		if p.pattern == "" {
			continue
		}
		if found, err := s.line(p.pattern); err != nil || found != p.wanted {
			all = append(all, fmt.Sprintf("a line like %q: %v, %v", p.pattern, found, err))
		}
	}
	return all
}

// statusProblems are those of the answer.
func (s seen) statusProblems(want ftw.Expectation) []string {
	switch {
	case want.Error && s.status != 0:
		return []string{fmt.Sprintf("status %d, want no answer", s.status)}
	case want.Status != 0 && want.Status != s.status:
		return []string{fmt.Sprintf("status %d, want %d", s.status, want.Status)}
	}
	return nil
}

// skipSlow skips what takes minutes with the race detector.
func skipSlow(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("the suite runs without the race detector")
	}
}
