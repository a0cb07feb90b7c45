// Package suggest writes the least policy under which what was observed would be
// allowed, and says on what evidence.
//
// Only what was allowed, by an identified caller, and served by the workload is
// evidence. What inspection took for an attack, what the workload has never heard
// of, and what came in plaintext is counted and left out: a rule for it would make
// the accident permanent. Nothing here is applied; a suggestion is text for
// somebody who knows what the workload is for.
package suggest

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/observed"
)

// Options say what a suggestion looks like.
type Options struct {
	// MaxValues is how many different segments at one place of a path are listed;
	// more become {*}. 0 means 10. Segments that look like ids become {*} always.
	MaxValues int
}

// defaultMaxValues is what a person still reads.
const defaultMaxValues = 10

// A Suggestion is rules with their evidence, and what was left out.
type Suggestion struct {
	Rules []Rule
	// First and Last are the observation window.
	First, Last time.Time
	// Calls is how many calls are evidence. The others were denied, were taken
	// for attacks, asked for what the workload does not have (404, 405, 501), or
	// can't be written as a rule, such as CONNECT.
	Calls, Denied, Attacks, Missing, Unwritable int
	// Plaintext are the callers without identity, by hits.
	Plaintext []Plaintext
}

// A Rule is a rule of an Allow policy and why it is there.
type Rule struct {
	authz.Rule
	Evidence
	// Callers are the evidence for each of the principals.
	Callers []Caller
	// Routes are that for each of the paths, or for the port where bytes are not
	// HTTP.
	Routes []Route
}

// Evidence is how often something was seen.
type Evidence struct {
	Hits, Days  int
	First, Last time.Time
}

// A Caller is one principal.
type Caller struct {
	ID string
	Evidence
}

// A Route is one pattern, with the methods that were used.
type Route struct {
	// Path is empty for bytes that are not HTTP.
	Path    string
	Methods []string
	// Paths is how many different paths it stands for.
	Paths int
	Evidence
}

// A Plaintext is an address that called without an identity.
type Plaintext struct {
	Source string
	Port   uint16
	// Refused tells that it was not let in.
	Refused bool
	Evidence
}

// seen adds up tallies.
type seen struct {
	Evidence
	days map[int64]struct{}
}

func (s *seen) add(t *observed.Tally) {
	if s.days == nil {
		s.days = map[int64]struct{}{}
	}
	maps.Copy(s.days, t.DaySet())
	s.Hits, s.Days = s.Hits+t.Hits, len(s.days)
	if s.First.IsZero() || t.First.Before(s.First) {
		s.First = t.First
	}
	if t.Last.After(s.Last) {
		s.Last = t.Last
	}
}

// Make writes the least rules for the calls of a log.
func Make(log *observed.Log, opts Options) Suggestion {
	if opts.MaxValues <= 0 {
		opts.MaxValues = defaultMaxValues
	}
	s := Suggestion{First: log.First, Last: log.Last, Plaintext: plaintext(log)}
	var evidence []*observed.Tally
	for _, t := range log.Calls {
		if s.take(t) {
			evidence = append(evidence, t)
		}
	}
	s.Rules = rules(accesses(evidence, opts.MaxValues))
	return s
}

// take counts a call, and tells whether it is evidence.
func (s *Suggestion) take(t *observed.Tally) bool {
	switch {
	case t.Peer.IsZero(): // they have a list of their own
		return false
	case t.Attack:
		s.Attacks += t.Hits
	case t.Verdict != observed.Allowed:
		s.Denied += t.Hits
	case t.Missing:
		s.Missing += t.Hits
	case t.Port == 0, t.HTTP && !writable(t):
		s.Unwritable += t.Hits
	default:
		s.Calls += t.Hits
		return true
	}
	return false
}

// writable tells whether a rule can name the request. Only a log that no sidecar
// wrote has paths that are not normalised or methods that are none.
func writable(t *observed.Tally) bool {
	path, err := authz.NormalizePath(t.Path)
	return err == nil && path == t.Path && t.Method != "" && strings.Trim(t.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_") == ""
}

// plaintext are the callers without identity.
func plaintext(log *observed.Log) (all []Plaintext) {
	type key struct {
		source  string
		port    uint16
		refused bool
	}
	by := map[key]*seen{}
	for _, t := range log.Calls {
		if !t.Peer.IsZero() {
			continue
		}
		k := key{t.Source.String(), t.Port, t.Verdict != observed.Allowed}
		if by[k] == nil {
			by[k] = &seen{}
		}
		by[k].add(t)
	}
	for k, e := range by {
		all = append(all, Plaintext{k.source, k.port, k.refused, e.Evidence})
	}
	slices.SortStableFunc(all, func(a, b Plaintext) int {
		return cmp.Or(cmp.Compare(b.Hits, a.Hits), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Port, b.Port), strings.Compare(strconv.FormatBool(a.Refused), strconv.FormatBool(b.Refused)))
	})
	return all
}
