package advice

import (
	"slices"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/probe"
)

// matches tells whether a rule by itself matches the request; the facts that are
// not known are taken as for a policy of that action.
func (s *search) matches(namespace string, action authz.Action, r authz.Rule) bool {
	p, err := probe.New(action, namespace, s.opts.Workload.TrustDomain, r)
	return err == nil && p.Matches(s.request)
}

// exempt excepts the caller from every Deny rule that matches. A caller without
// identity can't be told from others: what denies it is a blocker.
func (s *search) exempt() (edits []Edit, blockers []string) {
	for _, p := range s.selected(authz.Deny) {
		for i := range p.Spec.Rules {
			r := &p.Spec.Rules[i]
			if !s.matches(p.Metadata.Namespace, authz.Deny, *r) {
				continue
			}
			if s.request.Peer.IsZero() {
				blockers = append(blockers, NameOf(p)+" rule "+strconv.Itoa(i))
				continue
			}
			edits = append(edits, s.exemptFrom(p, i)...)
		}
	}
	return edits, blockers
}

// exemptFrom adds the caller to notPrincipals of each group that matches it.
func (s *search) exemptFrom(p *authz.Policy, rule int) (edits []Edit) {
	r, id := &p.Spec.Rules[rule], s.request.Peer.String()
	at := ruleAt(rule)
	if len(r.From) == 0 {
		r.From = []authz.From{{NotPrincipals: []string{id}}}
		return []Edit{{NameOf(p), at + ".from[0].notPrincipals", Add, id}}
	}
	for i := range r.From {
		if !s.matches(p.Metadata.Namespace, authz.Deny, authz.Rule{From: r.From[i : i+1]}) {
			continue
		}
		r.From[i].NotPrincipals = append(append([]string{}, r.From[i].NotPrincipals...), id)
		edits = append(edits, Edit{NameOf(p), groupAt(at, "from", i) + ".notPrincipals", Add, id})
	}
	return edits
}

// widen applies the fewest edits that make one Allow rule match. Of those that
// look right some may not be: a group must not become empty, and not every value
// can be written as a pattern.
func (s *search) widen() []Edit {
	var all []*candidate
	for _, p := range s.selected(authz.Allow) {
		for i := range p.Spec.Rules {
			if c := s.candidate(p, i); c != nil {
				all = append(all, c)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *candidate) int { return len(a.edits) - len(b.edits) })
	for _, c := range all {
		before := c.policy.Spec.Rules[c.index]
		c.policy.Spec.Rules[c.index] = c.rule
		if s.allowed() {
			return c.edits
		}
		c.policy.Spec.Rules[c.index] = before
	}
	return nil
}

// A candidate is a rule with the edits that would make it match.
type candidate struct {
	policy *authz.Policy
	index  int
	rule   authz.Rule
	edits  []Edit
}

// candidate edits a copy of one rule; nil where no edit makes it match.
func (s *search) candidate(p *authz.Policy, index int) *candidate {
	c := &candidate{policy: p, index: index, rule: cloneRule(p.Spec.Rules[index])}
	from := s.cheapest(c, "from", len(c.rule.From), func(i int) []axis { return s.callerAxes(&c.rule.From[i]) })
	to := s.cheapest(c, "to", len(c.rule.To), func(int) []axis { return s.callAxes() })
	when, ok := s.conditions(c)
	if from == nil || to == nil || !ok {
		return nil
	}
	for _, e := range [][]edit{from.edits, to.edits, when} {
		for _, e := range e {
			e.apply()
			c.edits = append(c.edits, e.Edit)
		}
	}
	return c
}

// An edit knows how to apply itself to the candidate's rule.
type edit struct {
	Edit
	apply func()
}

type groupEdits struct{ edits []edit }

// cheapest returns the edits for the group of a part that needs the fewest; none
// for a part that is absent, nil where no group can be made to match.
func (s *search) cheapest(c *candidate, part string, groups int, axes func(i int) []axis) *groupEdits {
	if groups == 0 {
		return &groupEdits{}
	}
	var best *groupEdits
	for i := range groups {
		edits, ok := s.group(c, part, i, axes(i))
		if ok && (best == nil || len(edits) < len(best.edits)) {
			best = &groupEdits{edits}
		}
	}
	return best
}

// group returns what one group lacks, field by field.
func (s *search) group(c *candidate, part string, group int, axes []axis) (edits []edit, ok bool) {
	at := groupAt(ruleAt(c.index), part, group)
	for _, a := range axes {
		is, isNot := a.lists(&c.rule, group)
		if !s.holds(c, part, group, a, true, is.get()) {
			if a.fact == "" {
				return nil, false
			}
			edits = append(edits, newEdit(c, at, is, Add, a.fact))
		}
		for _, value := range isNot.get() {
			if !s.holds(c, part, group, a, false, []string{value}) {
				edits = append(edits, newEdit(c, at, isNot, Remove, value))
			}
		}
	}
	return edits, true
}

// holds tells whether one form of a field with these values matches the request.
// An absent one does.
func (s *search) holds(c *candidate, part string, group int, a axis, positive bool, values []string) bool {
	if len(values) == 0 {
		return true
	}
	var alone authz.Rule
	if part == "from" {
		alone.From = []authz.From{{}}
	} else {
		alone.To = []authz.To{{}}
	}
	is, isNot := a.lists(&alone, 0)
	form := isNot
	if positive {
		form = is
	}
	form.put(values)
	// What a namespace is one of depends on whether the group names domains.
	if part == "from" && len(alone.From[0].TrustDomains) == 0 && len(c.rule.From[group].TrustDomains) > 0 &&
		strings.Contains("namespaces notNamespaces serviceAccounts notServiceAccounts", form.name) {
		alone.From[0].TrustDomains = []string{"*"}
	}
	return s.matches(c.policy.Metadata.Namespace, authz.Allow, alone)
}

func newEdit(c *candidate, at string, l list, op Operation, value string) edit {
	apply := func() { l.put(append(append([]string{}, l.get()...), value)) }
	if op == Remove {
		apply = func() { l.put(without(l.get(), value)) }
	}
	return edit{Edit{NameOf(c.policy), at + "." + l.name, op, value}, apply}
}

func ruleAt(i int) string { return "spec.rules[" + strconv.Itoa(i) + "]" }

func groupAt(rule, part string, i int) string { return rule + "." + part + "[" + strconv.Itoa(i) + "]" }
