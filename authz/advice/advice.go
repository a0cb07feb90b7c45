// Package advice finds the smallest change of policies that would allow a call
// which they deny.
//
// A change is a list of edits, each of which adds a value to a field of a policy
// or removes one. What is proposed has been tried: the edited policies were
// compiled and allowed the call. Where the edits would open more than this call,
// a rule is proposed besides that grants the call and nothing else.
//
// The package proposes and never decides whether a call should be allowed; an
// answer may well be to leave the policies alone. It answers nothing where no
// edit can help: nothing that a policy says can give a caller an identity or a
// request a header.
package advice

import (
	"slices"
	"strconv"

	"github.com/outrider-mesh/outrider/authz"
)

// Operation is what an edit does.
type Operation string

// The operations.
const (
	// Add puts a value into a list, which is made if it is not there.
	Add Operation = "add"
	// Remove takes a value out of a list; of a list of one, the field goes.
	Remove Operation = "remove"
)

// An Edit changes one value of one policy.
type Edit struct {
	// Policy is its "namespace/name", or its name alone without a namespace.
	Policy string `json:"policy"`
	// Field is the path of the list, such as "spec.rules[0].to[0].methods".
	Field     string    `json:"field"`
	Operation Operation `json:"op"`
	Value     string    `json:"value"`
}

// String is the edit in one line.
func (e Edit) String() string {
	preposition := " to "
	if e.Operation == Remove {
		preposition = " from "
	}
	return e.Policy + ": " + string(e.Operation) + " " + strconv.Quote(e.Value) + preposition + e.Field
}

// A Change is what would allow the call.
type Change struct {
	// Edits are all needed together; none where only Rule helps.
	Edits []Edit
	// Rule grants the call and nothing else; it stands in place of those Edits
	// that are about Allow policies. Nil for a caller without identity, and where
	// Deny policies alone are in the way.
	Rule *authz.Rule
	// Policy names the Allow policy that Rule is to be added to; empty: there is
	// none, and it needs a new one.
	Policy string
	// Blockers are Deny rules that no edit can exempt the call from, as
	// "namespace/name rule 0". With any, there is nothing else in the Change.
	Blockers []string
}

// Smallest returns the change with the fewest edits that would make policies
// allow r, and false where r is allowed already or no change of policies helps.
// The policies must be valid; they are not changed.
func Smallest(policies []authz.Policy, opts authz.Options, r *authz.Request) (Change, bool) {
	s := search{policies: clone(policies), opts: opts, request: r}
	if s.allowed() {
		return Change{}, false
	}
	exempting, blockers := s.exempt()
	if len(blockers) > 0 {
		return Change{Blockers: blockers}, true
	}
	c := Change{Edits: exempting}
	if s.allowed() {
		return c, true
	}
	c.Policy, c.Rule = s.narrow()
	c.Edits = append(c.Edits, s.widen()...)
	return c, c.Rule != nil || s.allowed()
}

// A search edits policies until they allow the request.
type search struct {
	policies []authz.Policy
	opts     authz.Options
	request  *authz.Request
}

func (s *search) allowed() bool {
	set, err := authz.Compile(s.policies, s.opts)
	return err == nil && set.Authorize(s.request).Allowed
}

// selected are the enforced policies of an action that select the workload, in
// the order in which the engine tries them.
func (s *search) selected(action authz.Action) (all []*authz.Policy) {
	set, err := authz.Compile(s.policies, s.opts)
	if err != nil {
		return nil
	}
	for _, name := range set.Policies() {
		i := slices.IndexFunc(s.policies, func(p authz.Policy) bool { return NameOf(&p) == name })
		if s.policies[i].Spec.Action == action {
			all = append(all, &s.policies[i])
		}
	}
	return all
}

// NameOf is how edits and decisions name a policy.
func NameOf(p *authz.Policy) string {
	if p.Metadata.Namespace == "" {
		return p.Metadata.Name
	}
	return p.Metadata.Namespace + "/" + p.Metadata.Name
}

// clone copies all that edits may touch.
func clone(policies []authz.Policy) []authz.Policy {
	all := slices.Clone(policies)
	for i := range all {
		all[i].Spec.Rules = slices.Clone(all[i].Spec.Rules)
		for j := range all[i].Spec.Rules {
			all[i].Spec.Rules[j] = cloneRule(all[i].Spec.Rules[j])
		}
	}
	return all
}

// cloneRule copies the lists of groups; edits replace the lists of values.
func cloneRule(r authz.Rule) authz.Rule {
	r.From, r.To, r.When = slices.Clone(r.From), slices.Clone(r.To), slices.Clone(r.When)
	return r
}
