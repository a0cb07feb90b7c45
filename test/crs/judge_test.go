package crs

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit/ftw"
)

// everyCase is how many cases CRS 4.25.0 has.
const everyCase = 4674

// sampled is of how many cases one is taken with the race detector, which makes the
// rules ten times as slow: the whole suite would take ten minutes, twice.
const sampled = 11

// largest is how many bytes of a request are too many for the sample. The three that
// have more take a minute of it.
const largest = 32 << 10

// suite is all of it, or with the race detector a sample in which all are that the list
// names.
func suite(t *testing.T, listed map[string]expected) []ftw.Case {
	t.Helper()
	cases, err := ftw.Cases()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < everyCase {
		t.Fatalf("the suite has %d cases, want %d", len(cases), everyCase)
	}
	if !raceDetector {
		return cases
	}
	var some []ftw.Case
	for n, c := range cases {
		if _, ok := listed[c.ID]; ok || n%sampled == 0 && len(c.Stages[0].Raw) < largest {
			some = append(some, c)
		}
	}
	return some
}

// blocking is the rule that compares the score. A verdict does not list it: it says
// "detected".
const blocking = 949110

// seen is what came of one request.
type seen struct {
	// http tells that it came over HTTP; then status is of the answer, 0 for none, and
	// refused why the sidecar refused it.
	http    bool
	status  int
	refused string

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

// line tells whether a line of ModSecurity's log that the suite looks for would be
// there.
func (s seen) line(pattern string) (bool, error) {
	locations := regexp.MustCompile(`(ARGS|REQUEST_HEADERS):\w+`)
	switch {
	case strings.HasPrefix(pattern, "Inbound Anomaly Score Exceeded"):
		return s.attack, nil
	case strings.HasPrefix(pattern, "Outbound Anomaly Score Exceeded"):
		return false, nil // answers are not inspected
	case locations.MatchString(pattern):
		return slices.Contains(s.locations, locations.FindString(pattern)), nil
	case strings.HasPrefix(pattern, "Multipart parsing error"):
		// Whichever finds it first: the rule, or the parser.
		return s.matched(922130) || s.matched(7100008) || s.matched(7100009), nil
	}
	return false, fmt.Errorf("nobody knows what %q means here", pattern)
}

// A difference is how a case came out otherwise than the suite has it; the zero one
// tells that it did not.
type difference struct {
	// Missing are the rules that should have matched and did not, and Unexpected those
	// that should not have.
	Missing, Unexpected []int
	// Lines are of the log: not there although wanted, or the other way round.
	Lines []string
	// Status is of the answer where the suite has another: "405", or "none".
	Status string
	// Refused is what the sidecar refused it for, with the status, if not for an attack:
	// "400 bad_request". It is no difference by itself.
	Refused string
}

func (d difference) none() bool {
	return len(d.Missing)+len(d.Unexpected)+len(d.Lines) == 0 && d.Status == ""
}

// add compares what came of a further request of the case with what was wanted.
func (d *difference) add(s seen, want ftw.Expectation) error {
	for _, id := range want.Log.IDs {
		if !s.matched(id) {
			d.Missing = append(d.Missing, id)
		}
	}
	for _, id := range want.Log.NoIDs {
		if s.matched(id) {
			d.Unexpected = append(d.Unexpected, id)
		}
	}
	d.addStatus(s, want)
	return errors.Join(d.addLine(s, want.Log.Match, true), d.addLine(s, want.Log.NoMatch, false))
}

func (d *difference) addLine(s seen, pattern string, wanted bool) error {
	if pattern == "" {
		return nil
	}
	found, err := s.line(pattern)
	if found != wanted {
		d.Lines = append(d.Lines, pattern)
	}
	return err
}

func (d *difference) addStatus(s seen, want ftw.Expectation) {
	if !s.http {
		return
	}
	status := "none"
	if s.status != 0 {
		status = strconv.Itoa(s.status)
	}
	if s.refused != "" {
		d.Refused = status + " " + s.refused
	}
	if want.Error && s.status != 0 || want.Status != 0 && want.Status != s.status {
		d.Status = status
	}
}
