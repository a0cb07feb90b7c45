package waftool

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// A group is one way in which a rule may have been wrong: the rule, where it matched,
// on which path, about whom. It is comparable.
type group struct {
	caller string // a SPIFFE ID; empty for callers without identity
	rule   int
	// parameter is what an exclusion would name; empty where it can name none.
	parameter string
	path      string
}

// evidence is how often that was seen.
type evidence struct {
	hits        int
	days        map[string]bool // UTC
	first, last time.Time
	example     string // the id of a decision
}

// A tally holds all that was seen.
type tally struct {
	groups map[group]*evidence
	// attacks are the rule, place and path of known attacks, and of callers that
	// proved no identity; their callers don't count.
	attacks map[group]bool
	// records is how many detections there were, anonymous how many of them of
	// callers without identity, damaged how many lines were no records.
	records, anonymous, damaged int
}

func newTally() *tally {
	return &tally{groups: map[group]*evidence{}, attacks: map[group]bool{}}
}

// add takes a detection of the log that is to be explained.
func (t *tally) add(e *event) error {
	t.records++
	if e.Source.ID == "" {
		t.anonymous++
		t.addAttack(e)
		return nil
	}
	for g := range groupsOf(e) {
		v := t.groups[g]
		if v == nil {
			if len(t.groups) == maxGroups {
				return errTooMany
			}
			v = &evidence{days: map[string]bool{}, first: e.Time, example: e.Decision}
			t.groups[g] = v
		}
		v.hits++
		v.days[e.Time.UTC().Format(time.DateOnly)] = true
		v.last = e.Time
	}
	return nil
}

// addAttack takes a detection that was right.
func (t *tally) addAttack(e *event) {
	for g := range groupsOf(e) {
		if len(t.attacks) < maxGroups {
			t.attacks[g.anyone()] = true
		}
	}
}

// anyone is the group without its caller.
func (g group) anyone() group {
	g.caller = ""
	return g
}

// groupsOf are the groups of one record, each once.
func groupsOf(e *event) map[group]bool {
	all := map[group]bool{}
	for _, m := range e.matches() {
		if parameter, counts := parameterOf(m.Location); counts {
			all[group{caller: e.Source.ID, rule: m.Rule, parameter: parameter, path: template(e.Path)}] = true
		}
	}
	return all
}

// parameterOf makes of a location what an exclusion calls it. What a rule computes is
// no place; a place that is no single parameter has no name.
func parameterOf(location string) (parameter string, counts bool) {
	collection, name, named := strings.Cut(location, ":")
	switch collection {
	case "TX", "MATCHED_VAR", "MATCHED_VARS", "UNIQUE_ID", "INBOUND_DATA_ERROR":
		return "", false
	case "ARGS", "ARGS_GET", "ARGS_POST":
		return indexes(name), true
	case "REQUEST_COOKIES", "REQUEST_HEADERS":
		if named {
			return location, true
		}
	}
	return "", true
}

// indexes replaces those of arrays by stars.
func indexes(name string) string {
	segments := strings.Split(name, ".")
	for i, s := range segments[min(1, len(segments)):] {
		if s != "" && strings.Trim(s, "0123456789") == "" {
			segments[i+1] = "*"
		}
	}
	return strings.Join(segments, ".")
}

// template replaces segments of a path that look like ids.
func template(path string) string {
	segments := strings.Split(path, "/")
	folded := false
	for i, s := range segments {
		if looksLikeID(s) {
			segments[i], folded = "{*}", true
		} else if strings.ContainsAny(s, "{}*") {
			return "" // it could be read as a pattern
		}
	}
	if !folded {
		return path
	}
	return strings.Join(segments, "/")
}

// looksLikeID tells numbers, UUIDs and other long runs of digits and hexadecimals.
func looksLikeID(s string) bool {
	if s == "" {
		return false
	}
	digits := strings.ContainsAny(s, "0123456789")
	return strings.Trim(s, "0123456789") == "" ||
		digits && len(s) >= 8 && strings.Trim(strings.ToLower(s), "0123456789abcdef-") == ""
}

// sorted are the groups in an order that does not depend on the log's.
func (t *tally) sorted() []group {
	return slices.SortedFunc(maps.Keys(t.groups), func(a, b group) int {
		return cmp.Or(cmp.Compare(a.caller, b.caller), cmp.Compare(a.rule, b.rule),
			cmp.Compare(a.path, b.path), cmp.Compare(a.parameter, b.parameter))
	})
}

// exclusion is what would end the detections of a group.
func (g group) exclusion(expires time.Time) config.Exclusion {
	return config.Exclusion{
		Rule: g.rule, Parameter: g.parameter, Path: g.path,
		Reason: "suggested from the access log; say here why it is wrong", Expires: config.Date{Time: expires},
	}
}
