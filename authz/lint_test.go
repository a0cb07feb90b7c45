package authz_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
)

// TestLintsAreTrue takes rules that are said to have no effect at their word: they
// never decide, or leaving them out changes nothing.
func TestLintsAreTrue(t *testing.T) {
	const enough = 300 // of each code
	m := maker{rand.New(rand.NewPCG(11, 3))}
	checked := map[authz.Code]int{}
	for range 200 {
		policies, opts := m.policies(), m.options()
		for i := range policies { // as if they were in force
			policies[i].Spec.Mode = authz.Enforce
			if m.IntN(2) == 0 {
				policies[i].Spec.Rules = append(policies[i].Spec.Rules, m.narrowed(policies)...)
			}
		}
		for _, p := range authz.Validate(policies) {
			var rule, group int
			if n, _ := fmt.Sscanf(p.Field, "spec.rules[%d]", &rule); n == 0 || checked[p.Code] == enough {
				continue
			}
			switch p.Code {
			case authz.NeverMatches:
				_, _ = fmt.Sscanf(p.Field[len(fmt.Sprintf("spec.rules[%d]", rule)):], ".from[%d]", &group)
				m.neverMatches(t, policies[p.Index], rule, p)
			case authz.Shadowed, authz.Superfluous, authz.LimitWithoutEffect:
				m.changesNothing(t, policies, opts, rule, p)
			default:
				continue
			}
			checked[p.Code]++
		}
	}
	t.Logf("%v", checked)
	for _, code := range []authz.Code{authz.NeverMatches, authz.Shadowed, authz.Superfluous, authz.LimitWithoutEffect} {
		if checked[code] < 50 { // of limits, there are few
			t.Errorf("%s was said %d times", code, checked[code])
		}
	}
}

// narrowed are rules that ask for more than one that is there.
func (m maker) narrowed(policies []authz.Policy) []authz.Rule {
	p := pick(m, policies)
	if len(p.Spec.Rules) == 0 {
		return nil
	}
	r := pick(m, p.Spec.Rules)
	r.From, r.To, r.When = slices.Clone(r.From), slices.Clone(r.To), slices.Clone(r.When)
	for i := range r.From {
		if r.From[i].Principals == nil {
			r.From[i].Principals = []string{pick(m, principalValues)}
		}
	}
	for i := range r.To {
		if r.To[i].Paths == nil {
			r.To[i].Paths = []string{pick(m, pathValues)}
		}
	}
	return []authz.Rule{r}
}

// neverMatches tries what is left of a rule if only the part remains that is said
// never to match.
func (m maker) neverMatches(t *testing.T, p authz.Policy, rule int, said authz.Problem) {
	t.Helper()
	var part string
	var group int
	r, only := p.Spec.Rules[rule], authz.Rule{}
	rest := said.Field[len(fmt.Sprintf("spec.rules[%d].", rule)):]
	if rest == "when" {
		only.When = r.When
	} else if n, err := fmt.Sscanf(rest, "from[%d]", &group); n == 1 && err == nil {
		part, only.From = "from", r.From[group:group+1]
	} else if n, err := fmt.Sscanf(rest, "to[%d]", &group); n == 1 && err == nil {
		part, only.To = "to", r.To[group:group+1]
	} else {
		t.Fatalf("%v names no part", said)
	}
	q := authz.Policy{
		Metadata: authz.Metadata{Name: "only", Namespace: p.Metadata.Namespace},
		Spec:     authz.PolicySpec{Action: p.Spec.Action, Rules: []authz.Rule{only}},
	}
	s := compiled(t, []authz.Policy{q}, authz.Options{Workload: authztest.Workload(), Default: authz.AllowAll})
	for range 100 {
		req := m.request()
		if p.Spec.Action == authz.Deny && (req.Port == 0 || !req.Source.IsValid()) {
			continue // what is not known counts against the caller
		}
		if d := s.Authorize(req); d.Policy == "shop/only" {
			t.Fatalf("%v, and its %s matches\nrequest %+v\nrule %+v", said, part, req, only)
		}
	}
}

// changesNothing leaves a rule out.
func (m maker) changesNothing(t *testing.T, policies []authz.Policy, opts authz.Options, rule int, said authz.Problem) {
	t.Helper()
	before := compiled(t, policies, opts)
	without := slices.Clone(policies)
	p := &without[said.Index]
	p.Spec.Rules = slices.Delete(slices.Clone(p.Spec.Rules), rule, rule+1)
	after := compiled(t, without, opts)
	for range 100 {
		req := m.request()
		if was, is := before.Authorize(req), after.Authorize(req); was.Allowed != is.Allowed {
			t.Fatalf("%v, but %v with and %v without it\nrequest %+v\npolicies %+v", said, was, is, req, policies)
		}
	}
}

// TestLintIsBounded: comparing rules with each other takes as long as their number
// squared, so it ends somewhere.
func TestLintIsBounded(t *testing.T) {
	const n = 2000
	rules := make([]authz.Rule, n)
	for i := range rules {
		rules[i] = authz.Rule{From: []authz.From{{Principals: []string{"*"}}}}
	}
	if got := len(authz.Validate([]authz.Policy{authztest.Allow("a", rules...)})); got < 400 || got > 600 {
		t.Errorf("%d rules of %d were compared", got, n)
	}
}

func TestLintPorts(t *testing.T) {
	get, when := []string{"GET"}, []authz.Condition{{Header: "x-a", Values: []string{"1"}}}
	const allows = "spec.rules[0].to[%d]: warning: allows nothing on port 5432: it carries no HTTP; leave out what is of HTTP, or the port (OUT107)"
	const denies = "spec.rules[0]%s: warning: denies connections to port 5432 by its other fields alone: it carries no HTTP; " +
		"name the ports it is meant for (OUT108)"
	for _, c := range []struct {
		name        string
		rule        authz.Rule
		allow, deny []string
	}{
		{"nothing of HTTP", to(authz.To{Ports: []int{5432}}), nil, nil},
		{"a method there", to(authz.To{Ports: []int{80, 5432}, Methods: get}), []string{fmt.Sprintf(allows, 0)}, []string{fmt.Sprintf(denies, ".to[0]")}},
		{"a method elsewhere", to(authz.To{Ports: []int{80}, Methods: get}), nil, nil},
		{"a method anywhere", to(authz.To{Methods: get}), nil, []string{fmt.Sprintf(denies, ".to[0]")}},
		{"a method anywhere else", to(authz.To{NotPorts: []int{5432}, Methods: get}), nil, nil},
		{"a header", authz.Rule{When: when}, nil, []string{fmt.Sprintf(denies, "")}},
		{
			"a header there, among others",
			authz.Rule{When: when, To: []authz.To{{Ports: []int{80}}, {Ports: []int{5432}}}},
			[]string{fmt.Sprintf(allows, 1)},
			[]string{fmt.Sprintf(denies, ".to[1]")},
		},
	} {
		for _, p := range []authz.Policy{authztest.Allow("p", c.rule), authztest.Deny("p", c.rule)} {
			want := c.allow
			if p.Spec.Action == authz.Deny {
				want = c.deny
			}
			var got []string
			for _, problem := range authz.LintPorts([]authz.Policy{p}, authztest.Workload(), []uint16{5432}) {
				got = append(got, problem.String()[len("p: "):])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", c.name, p.Spec.Action, diff)
			}
		}
	}
	elsewhere := authztest.Deny("p", authz.Rule{When: when})
	elsewhere.Metadata.Namespace = "bank"
	if got := authz.LintPorts([]authz.Policy{elsewhere}, authztest.Workload(), []uint16{5432}); len(got) > 0 {
		t.Errorf("of a policy for others: %v", got)
	}
}
