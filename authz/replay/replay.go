// Package replay asks other policies about calls that were observed, and tells
// what would change.
//
// A record of a call has no headers. Where the answer depends on them, it is not
// guessed: policies are asked twice, once as if every condition on a header spoke
// against the call and once as if every one spoke for it. Only where both agree is
// the verdict known.
package replay

import (
	"cmp"
	"slices"

	"github.com/outrider-mesh/outrider/authz/observed"
)

// A Change is calls of one kind whose verdict would change, or cannot be told.
type Change struct {
	Before, After Verdict
	// Caller, Port and Method are those of all of its calls; Caller is empty for
	// callers without identity, Method for opaque connections.
	Caller, Method string
	Port           uint16
	// By is what decides after the change.
	By string
	// Hits is how many calls there were, Routes how many different ones.
	Hits, Routes int
	// Examples are some of them, those with most hits first.
	Examples []Example
}

// An Example is one call of a change.
type Example struct {
	*observed.Tally
	// Why says more about what would be decided.
	Why string
}

// A kind is what the calls of one change have in common.
type kind struct {
	before, after      Verdict
	caller, method, by string
	port               uint16
}

// maxExamples is how many calls of one change are shown.
const maxExamples = 3

// A Result is what a replay found.
type Result struct {
	// Changes are grouped, and ordered: newly denied ones first, then those that
	// cannot be told, then newly allowed ones; each by hits.
	Changes []Change
	// Same is how many calls would be decided as before, Denied, Allowed and
	// Unknown how many would newly be denied or allowed, or cannot be told.
	Same, Denied, Allowed, Unknown int
	// Undecided is how many were refused before any policy was asked, and would be
	// again.
	Undecided int
}

// Compare tells what changes for the calls of a log. before gives the verdict to
// compare with; nil: what the log has.
func Compare(log *observed.Log, before, after *Judge) Result {
	var r Result
	groups := map[kind]*Change{}
	for _, t := range log.Calls {
		if t.Verdict == observed.Undecided {
			r.Undecided += t.Hits
			continue
		}
		was, is := verdictBefore(t, before), after.Judge(&t.Call)
		if was == is.Verdict && was != Unknown {
			r.Same += t.Hits
			continue
		}
		r.count(is.Verdict, t.Hits)
		k := kind{before: was, after: is.Verdict, method: t.Method, port: t.Port, by: is.By}
		if !t.Peer.IsZero() {
			k.caller = t.Peer.String()
		}
		g := groups[k]
		if g == nil {
			g = &Change{Before: was, After: is.Verdict, Caller: k.caller, Method: t.Method, Port: t.Port, By: is.By}
			groups[k] = g
		}
		g.Hits += t.Hits
		g.Routes++
		g.Examples = append(g.Examples, Example{t, is.Why})
	}
	for _, g := range groups {
		r.Changes = append(r.Changes, *g)
	}
	r.order()
	return r
}

func (r *Result) count(after Verdict, hits int) {
	switch after {
	case Allowed:
		r.Allowed += hits
	case Denied:
		r.Denied += hits
	case Unknown:
		r.Unknown += hits
	}
}

func verdictBefore(t *observed.Tally, before *Judge) Verdict {
	switch {
	case before != nil:
		return before.Judge(&t.Call).Verdict
	case t.Verdict == observed.Allowed, t.Limited: // within its limit it would have been
		return Allowed
	}
	return Denied
}

func (r *Result) order() {
	rank := map[Verdict]int{Denied: 0, Unknown: 1, Allowed: 2}
	slices.SortStableFunc(r.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(rank[a.After], rank[b.After]), cmp.Compare(b.Hits, a.Hits), cmp.Compare(a.Caller, b.Caller),
			cmp.Compare(a.Port, b.Port), cmp.Compare(a.Method, b.Method), cmp.Compare(a.By, b.By), cmp.Compare(a.Before, b.Before))
	})
	for i := range r.Changes {
		c := &r.Changes[i]
		slices.SortStableFunc(c.Examples, func(a, b Example) int {
			return cmp.Or(cmp.Compare(b.Hits, a.Hits), cmp.Compare(a.Path, b.Path))
		})
		c.Examples = c.Examples[:min(len(c.Examples), maxExamples)]
	}
}
