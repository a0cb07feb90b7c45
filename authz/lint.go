package authz

import (
	"slices"
	"strconv"
)

// A Code names a kind of warning. Codes are stable and listed in docs/policy.md.
type Code string

// The codes of warnings. OUT107 and OUT108 come from [LintPorts], the others from
// [Validate].
const (
	AllowsEveryone     Code = "OUT101" // an Allow rule without any part
	AllowsAnonymous    Code = "OUT102" // only not-forms, which callers without identity match
	NeverMatches       Code = "OUT103" // fields that exclude each other
	Shadowed           Code = "OUT104" // a Deny covers the Allow rule
	Superfluous        Code = "OUT105" // another rule of the same action covers it
	LimitWithoutEffect Code = "OUT106" // another rule allows the same calls without a limit
	AllowNeedsHTTP     Code = "OUT107" // HTTP fields on a port that carries none
	DenyIgnoresHTTP    Code = "OUT108" // the same in a Deny, which then matches without them
	DenyWithoutRules   Code = "OUT109" // it never matches
	MethodInLowerCase  Code = "OUT110" // methods are case-sensitive
)

// A linter looks for rules that mean something else than they seem to.
type linter struct {
	all       []built
	reporters []*reporter
}

// lintRules looks at each rule by itself.
func (l linter) lintRules() {
	for i, b := range l.all {
		for j := range b.rules {
			r, where := &b.rules[j], at("spec.rules", j)
			for n, group := range r.from {
				l.lintGroup(i, at(where+".from", n), group)
				if b.policy.Spec.Action == Allow && admitsAnonymous(group) {
					l.reporters[i].report(at(where+".from", n), "", suspicious(AllowsAnonymous,
						"lets in callers without an identity: they match every not-form", `add principals: ["*"]`))
				}
			}
			for n, group := range r.to {
				l.lintGroup(i, at(where+".to", n), group)
			}
			if b.policy.Spec.Action == Allow && impossible(r.when, false) {
				l.reporters[i].report(where+".when", "", neverMatches())
			}
		}
	}
}

func (l linter) lintGroup(policy int, where string, group []check) {
	if impossible(group, l.all[policy].policy.Spec.Action == Deny) {
		l.reporters[policy].report(where, "", neverMatches())
	}
}

func neverMatches() *flaw {
	return suspicious(NeverMatches, "can never match: its fields exclude each other", "remove one of them")
}

// admitsAnonymous tells whether all that a group says of callers is who they are
// not.
func admitsAnonymous(group []check) bool {
	return len(group) > 0 && !slices.ContainsFunc(group, func(c check) bool { return !c.not })
}

// mostPairs bounds how many pairs of rules are compared: at some 80 ns for most of
// them, 80 ms.
const mostPairs = 1_000_000

// lintPairs looks for rules that others take the effect of.
func (l linter) lintPairs() {
	left, all := mostPairs, l.count()
	for i := range l.all {
		for j := range l.all[i].rules {
			if left -= all; left < 0 {
				return
			}
			if bad := l.covered(i, j); bad != nil {
				l.reporters[i].report(at("spec.rules", j), "", bad)
			}
		}
	}
}

// count is how many rules there are.
func (l linter) count() (n int) {
	for i := range l.all {
		n += len(l.all[i].rules)
	}
	return n
}

// covered compares a rule with all others. The worst that is true of it is said.
func (l linter) covered(policy, index int) (worst *flaw) {
	b := &l.all[policy]
	r := &b.rules[index]
	if r.dead(b.policy.Spec.Action == Deny) {
		return nil // which has been said
	}
	for i := range l.all {
		other := &l.all[i]
		if !other.appliesWhere(b) {
			continue
		}
		for j := range other.rules {
			o := &other.rules[j]
			if i == policy && j == index || !o.covers(r) {
				continue
			}
			first := i < policy || i == policy && j < index
			if bad := verdictOn(b, r, other, o, first); bad != nil && (worst == nil || bad.code < worst.code) {
				worst = bad
			}
		}
	}
	return worst
}

// verdictOn says what becomes of a rule that another covers. Of two that cover
// each other, first tells that the other one stands first.
func verdictOn(b *built, r *rule, other *built, o *rule, first bool) *flaw {
	by := o.policy + " rule " + strconv.Itoa(o.index)
	switch action := b.policy.Spec.Action; {
	case o.limited():
		return nil
	case other.policy.Spec.Action == Deny && action == Allow:
		return suspicious(Shadowed, "allows nothing: "+by+" denies all of it", "remove one of them")
	case other.policy.Spec.Action != action:
		return nil
	case r.limited() && action == Allow:
		return suspicious(LimitWithoutEffect, "limits nothing: "+by+" allows all of it without a limit", "limit that one too")
	case first || r.limited() || !r.covers(o):
		return suspicious(Superfluous, "adds nothing: "+by+" covers all of it", "remove one of them")
	}
	return nil
}

// appliesWhere tells whether the policy is in force, or tried, wherever another is.
func (b *built) appliesWhere(other *built) bool {
	p, o := b.policy, other.policy
	if p.Metadata.Namespace != "" && p.Metadata.Namespace != o.Metadata.Namespace || p.Spec.Mode == DryRun && o.Spec.Mode != DryRun {
		return false
	}
	if p.Spec.Selector == nil {
		return true
	}
	for key, want := range p.Spec.Selector.MatchLabels {
		if o.Spec.Selector == nil || o.Spec.Selector.MatchLabels[key] != want {
			return false
		}
	}
	return true
}
