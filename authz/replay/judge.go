package replay

import (
	"slices"
	"strconv"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/observed"
)

// A Verdict is what policies would say of a call.
type Verdict uint8

// The verdicts.
const (
	// Unknown: it depends on what no record holds, such as headers.
	Unknown Verdict = iota
	Allowed
	Denied
)

// String is the word for people.
func (v Verdict) String() string {
	switch v {
	case Allowed:
		return "allow"
	case Denied:
		return "deny"
	case Unknown:
	}
	return "unknown"
}

// A Judge holds policies compiled for calls of which only their records are known.
type Judge struct {
	// plain are the policies as they are. Of the others, against takes every
	// condition that can't be judged as speaking against the call, and favour as
	// speaking for it.
	plain, against, favour *authz.Set
}

// NewJudge compiles policies. What is wrong with them is the error of
// [authz.Compile]. Limits are not judged: whoever is within them is allowed.
func NewJudge(policies []authz.Policy, opts authz.Options) (*Judge, error) {
	plain, err := authz.Compile(policies, opts)
	if err != nil {
		return nil, err
	}
	against, err := authz.Compile(assume(policies, authz.Deny), opts)
	if err != nil {
		return nil, err
	}
	favour, err := authz.Compile(assume(policies, authz.Allow), opts)
	if err != nil {
		return nil, err
	}
	return &Judge{plain: plain, against: against, favour: favour}, nil
}

// assume takes conditions that a record can't tell as met in policies of one
// action and as failed in those of the other.
func assume(policies []authz.Policy, met authz.Action) []authz.Policy {
	all := slices.Clone(policies)
	for i := range all {
		spec := &all[i].Spec
		spec.Rules = slices.Clone(spec.Rules)
		for j := range spec.Rules {
			r := &spec.Rules[j]
			known := slices.DeleteFunc(slices.Clone(r.When), unrecorded)
			switch {
			case len(known) == len(r.When):
			case spec.Action == met:
				if r.When = known; len(known) == 0 {
					r.When = nil
				}
			default:
				*r = never()
			}
		}
	}
	return all
}

// unrecorded tells whether a condition is about something that no record holds.
func unrecorded(c authz.Condition) bool { return c.Connection != authz.Listener }

// never is a rule that matches nobody. It keeps the place of one, so that the
// rules behind it keep their numbers.
func never() authz.Rule {
	return authz.Rule{From: []authz.From{{Principals: []string{"*"}, NotPrincipals: []string{"*"}}}}
}

// A Judgement is a verdict and what it rests on.
type Judgement struct {
	Verdict Verdict
	// By names the rule that decided, or the step that did.
	By string
	// Why says more, unless the verdict is Allowed.
	Why string
}

// Judge asks about one call.
func (j *Judge) Judge(c *observed.Call) Judgement {
	r := c.Request()
	decide := (*authz.Set).Authorize
	unmade := r.HTTP && r.Method == ""
	if unmade {
		decide = (*authz.Set).AuthorizeConnection
	}
	against, favour := decide(j.against, r), decide(j.favour, r)
	switch {
	case !favour.Allowed:
		return Judgement{Denied, by(favour), j.reason(favour, r)}
	case !against.Allowed:
		return Judgement{Unknown, by(against), "it depends on headers, or on other facts that no record holds"}
	case unmade:
		return Judgement{Unknown, by(against), "it depends on the requests that the connection would have made"}
	}
	return Judgement{Allowed, by(against), ""}
}

func (j *Judge) reason(d authz.Decision, r *authz.Request) string {
	if n, ok := j.plain.Nearest(r); ok && d.Basis == authz.NoAllowMatched {
		return "nearest " + n.String()
	}
	return d.String()
}

func by(d authz.Decision) string {
	if d.Policy != "" {
		return d.Policy + " rule " + strconv.Itoa(d.Rule)
	}
	return d.Basis.String()
}
