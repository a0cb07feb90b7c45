package authz_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
)

func TestExplainADenial(t *testing.T) {
	s := authztest.Set(t,
		authztest.Allow("far", authz.Rule{
			From: []authz.From{{Principals: []string{authztest.Account("ops", "admin")}}}, To: []authz.To{{Ports: []int{9}}},
		}),
		authztest.Allow("near", authz.Rule{
			From: []authz.From{{Namespaces: []string{"ops"}}, {Principals: []string{checkout}, NotIPBlocks: []string{"192.0.2.0/24"}}},
			To:   []authz.To{{Methods: []string{"GET"}, NotPaths: []string{"/admin"}}},
			When: []authz.Condition{{Header: "x-a", Values: []string{"*"}}, {Header: "X-Tenant", Values: []string{"eu"}}},
		}),
	)
	r := authztest.Request(t, checkout, "/admin")
	r.Header = authztest.Header{{"x-tenant", "secret"}, {"x-a", "1"}}
	got := s.Explain(r)
	want := authz.Explanation{
		Decision: authz.Decision{Basis: authz.NoAllowMatched, Rule: -1}, Restricted: true,
		Nearest: &authz.NearestRule{RuleName: authz.RuleName{Policy: "near"}, Fields: []authz.FieldResult{
			{
				At: "spec.rules[0].from[1].principals", Name: "principals", Matched: true, Known: true, Got: checkout, Wanted: []string{checkout},
				Text: `principal "` + checkout + `" in [` + checkout + `]`,
			},
			{
				At: "spec.rules[0].from[1].notIPBlocks", Name: "notIPBlocks", Not: true, Matched: true, Known: true, Got: "10.0.0.9",
				Wanted: []string{"192.0.2.0/24"}, Text: `address "10.0.0.9" not in notIPBlocks [192.0.2.0/24]`,
			},
			{
				At: "spec.rules[0].to[0].methods", Name: "methods", Matched: true, Known: true, Got: "GET", Wanted: []string{"GET"},
				Text: `method "GET" in [GET]`,
			},
			{
				At: "spec.rules[0].to[0].notPaths", Name: "notPaths", Not: true, Known: true, Got: "/admin", Wanted: []string{"/admin"},
				Text: `path "/admin" in notPaths [/admin]`,
			},
			{At: "spec.rules[0].when[0].values", Name: "x-a", Matched: true, Known: true, Wanted: []string{"*"}, Text: "header x-a in [*]"},
			{At: "spec.rules[0].when[1].values", Name: "x-tenant", Known: true, Wanted: []string{"eu"}, Text: "header x-tenant not in [eu]"},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if failed := got.Nearest.Failed(); len(failed) != 2 || failed[0].Name != "notPaths" || failed[1].Name != "x-tenant" {
		t.Errorf("failed: %+v", failed)
	}
}

func TestExplainNamesEveryRuleThatMatches(t *testing.T) {
	s := authztest.Set(t,
		authztest.Allow("a", authz.Rule{To: []authz.To{{Ports: []int{1}}}}, authz.Rule{}), authztest.Allow("b", authz.Rule{}),
		authztest.Deny("c", authz.Rule{}), authztest.Deny("d", authz.Rule{To: []authz.To{{Ports: []int{1}}}}, authz.Rule{}),
	)
	want := authz.Explanation{
		Decision: authz.Decision{Basis: authz.ByDeny, Policy: "c"}, Restricted: true,
		Denies: []authz.RuleName{{Policy: "c"}, {Policy: "d", Rule: 1}}, Allows: []authz.RuleName{{Policy: "a", Rule: 1}, {Policy: "b"}},
	}
	if diff := cmp.Diff(want, s.Explain(authztest.Request(t, "", "/"))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestExplainAConnection(t *testing.T) {
	s := authztest.Set(t, authztest.Allow("a", to(authz.To{Methods: []string{"GET"}, Ports: []int{8080}})))
	r := authztest.Request(t, checkout, "")
	r.Method = ""
	if e := s.Explain(r); e.Decision.Basis != authz.PerRequest || e.Nearest != nil {
		t.Errorf("an HTTP connection: %+v", e)
	}
	r.HTTP = false
	e := s.Explain(r)
	if e.Decision.Allowed || e.Nearest == nil || e.Nearest.Failed()[0].Known || e.Nearest.Failed()[0].Name != "methods" {
		t.Errorf("an opaque connection: %+v", e)
	}
	if got, want := e.Nearest.Failed()[0].Text, "connection is not HTTP: method not in [GET]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestExplainWithoutASet(t *testing.T) {
	var s *authz.Set
	if diff := cmp.Diff(authz.Explanation{Decision: authz.Decision{Rule: -1}}, s.Explain(authztest.Request(t, "", "/"))); diff != "" {
		t.Error(diff)
	}
}
