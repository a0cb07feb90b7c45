// Package probe asks the engine about one rule by itself, as if there were no
// other: whether a field, a group or a whole rule matches is then the engine's
// word and not that of a second implementation.
package probe

import (
	"github.com/outrider-mesh/outrider/authz"
)

// A Rule is one rule to be asked about.
type Rule struct {
	action authz.Action
	set    *authz.Set
}

// New compiles a rule. The action says how facts that are not known are taken:
// an Allow that asks for them does not match and a Deny does. Namespace is that of
// the policy, in which short names of service accounts are; trustDomain is the
// workload's. The error is that of a rule that is not valid.
func New(action authz.Action, namespace, trustDomain string, r authz.Rule) (*Rule, error) {
	fallback := authz.DenyAll
	if action == authz.Deny {
		fallback = authz.AllowAll
	}
	set, err := authz.Compile([]authz.Policy{{
		Metadata: authz.Metadata{Name: "rule", Namespace: namespace},
		Spec:     authz.PolicySpec{Action: action, Rules: []authz.Rule{r}},
	}}, authz.Options{Workload: authz.Workload{Namespace: namespace, TrustDomain: trustDomain}, Default: fallback})
	if err != nil {
		return nil, err
	}
	return &Rule{action, set}, nil
}

// Matches tells whether the rule matches.
func (p *Rule) Matches(r *authz.Request) bool {
	return p.set.Authorize(r).Allowed == (p.action == authz.Allow)
}
