package authz_test

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
)

var checkout = authztest.Account("shop", "checkout")

func TestNoSetDenies(t *testing.T) {
	var s *authz.Set
	r := authztest.Request(t, checkout, "/")
	want := authz.Decision{Rule: -1}
	if got := s.Authorize(r); got != want {
		t.Errorf("Authorize: %+v", got)
	}
	if got := s.AuthorizeConnection(r); got != want {
		t.Errorf("AuthorizeConnection: %+v", got)
	}
	if _, ok := s.Nearest(r); ok || s.HasL7(80) || s.Policies() != nil || s.DryRun() != nil || s.Quotas() != nil || s.Shadow() != nil {
		t.Error("a nil set knows something")
	}
}

// TestWhatIsNotKnownCountsAgainstTheCaller leaves out one fact at a time.
func TestWhatIsNotKnownCountsAgainstTheCaller(t *testing.T) {
	for _, c := range []struct {
		name   string
		rule   authz.Rule
		forget func(*authz.Request)
	}{
		{"the address", from(authz.From{IPBlocks: []string{"10.0.0.0/8"}}), func(r *authz.Request) { r.Source = netip.Addr{} }},
		{"the excluded address", from(authz.From{NotIPBlocks: []string{"11.0.0.0/8"}}), func(r *authz.Request) { r.Source = netip.Addr{} }},
		{"the port", to(authz.To{Ports: []int{8080}}), func(r *authz.Request) { r.Port = 0 }},
		{"the excluded port", to(authz.To{NotPorts: []int{80}}), func(r *authz.Request) { r.Port = 0 }},
		{"the method", to(authz.To{Methods: []string{"GET"}}), func(r *authz.Request) { r.Method = "" }},
		{"the excluded method", to(authz.To{NotMethods: []string{"PUT"}}), func(r *authz.Request) { r.Method = "" }},
		{"the path", to(authz.To{Paths: []string{"/a"}}), func(r *authz.Request) { r.Path = "" }},
		{"the excluded path", to(authz.To{NotPaths: []string{"/b"}}), func(r *authz.Request) { r.Path = "" }},
		{"HTTP", to(authz.To{Hosts: []string{"payments"}}), func(r *authz.Request) { r.HTTP = false }},
		{"the header", authz.Rule{When: []authz.Condition{{Header: "x-a", NotValues: []string{"*"}}}}, func(r *authz.Request) { r.Header = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			allow := authztest.Set(t, authztest.Allow("a", c.rule))
			deny := authztest.Set(t, authztest.Allow("a", authz.Rule{}), authztest.Deny("d", c.rule))
			known, unknown := authztest.Request(t, checkout, "/a"), authztest.Request(t, checkout, "/a")
			c.forget(unknown)
			if d := allow.Authorize(known); !d.Allowed {
				t.Errorf("the Allow does not match what is known: %v", d)
			}
			if d := allow.Authorize(unknown); d.Allowed {
				t.Errorf("the Allow matches what is not known: %v", d)
			}
			for _, r := range []*authz.Request{known, unknown} {
				if d := deny.Authorize(r); d.Allowed {
					t.Errorf("the Deny does not match: %v\n%+v", d, r)
				}
			}
		})
	}
}

func from(g authz.From) authz.Rule { return authz.Rule{From: []authz.From{g}} }
func to(g authz.To) authz.Rule     { return authz.Rule{To: []authz.To{g}} }

func TestNearestOfAConnection(t *testing.T) {
	s := authztest.Set(t, authztest.Allow("a", authz.Rule{
		From: []authz.From{{Principals: []string{checkout}}}, To: []authz.To{{Methods: []string{"GET"}, Ports: []int{80}}},
	}))
	got, ok := s.Nearest(&authz.Request{Peer: spiffeid.RequireFromString(checkout), Port: 81, HTTP: true})
	if want := (authz.Nearest{Policy: "a", Field: "ports", Problem: "port 81 not in [80]"}); !ok || got != want {
		t.Errorf("%+v, %v; want %+v", got, ok, want)
	}
}

func TestNearestIsBounded(t *testing.T) {
	s := authztest.Set(t, authztest.Allow("a", to(authz.To{Paths: []string{"/a"}})))
	got, ok := s.Nearest(authztest.Request(t, "", "/"+strings.Repeat("x", 10_000)))
	if !ok || len(got.String()) > 400 {
		t.Errorf("%d bytes for the log: %v", len(got.String()), got)
	}
	got, _ = s.Nearest(authztest.Request(t, "", "/\"\n"))
	if want := `a rule 0: path "/\"\n" not in [/a]`; got.String() != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestNearestAmongMany: the rules of the caller are found wherever they stand.
func TestNearestAmongMany(t *testing.T) {
	const n = 2000
	s := authztest.Set(t, manyRules(n))
	r := authztest.Request(t, authztest.Account("shop", fmt.Sprintf("caller-%d", n-1)), "/v2")
	got, ok := s.Nearest(r)
	if want := (authz.Nearest{
		Policy: "many", Rule: n - 1, Field: "paths", Problem: `path "/v2" not in [/v1/charges /v1/charges/{*}]`,
	}); !ok || got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	r.Port = 9
	if got, _ := s.Nearest(authztest.Request(t, checkout, "/v1/charges")); got.Rule != 0 {
		t.Errorf("of a stranger, all are as near as the first: %+v", got)
	}
	// Those without a key of their own may be as near.
	rest := manyRules(n)
	rest.Spec.Rules = append(rest.Spec.Rules, authz.Rule{
		From: []authz.From{{Principals: []string{"*"}}}, To: []authz.To{{Paths: []string{"/v2"}}, {Paths: []string{"/v3"}, Ports: []int{8080}}},
	})
	if got, _ := authztest.Set(t, rest).Nearest(authztest.Request(t, checkout, "/v4")); got.Rule != n {
		t.Errorf("%+v, want rule %d", got, n)
	}
	// Rules that no index divides.
	many := make([]authz.Rule, n)
	for i := range many {
		many[i] = from(authz.From{NotPrincipals: []string{"*"}})
	}
	s = authztest.Set(t, authztest.Allow("many", many...))
	if got, ok := s.Nearest(r); !ok || got.Rule != 0 {
		t.Errorf("%+v, %v", got, ok)
	}
	// Rules by a fact that is not known.
	for i := range many {
		many[i] = to(authz.To{Ports: []int{i + 1}})
	}
	s = authztest.Set(t, authztest.Allow("many", many...))
	r.Port = 0
	if got, ok := s.Nearest(r); !ok || got.Rule != 0 {
		t.Errorf("%+v, %v", got, ok)
	}
}

func TestNearestKeepsHeadersToItself(t *testing.T) {
	s := authztest.Set(t, authztest.Allow("a", authz.Rule{
		When: []authz.Condition{{Header: "authorization", Values: []string{"*x"}}},
	}))
	r := authztest.Request(t, "", "/")
	r.Header = authztest.Header{{"Authorization", "Bearer secret"}}
	if got, ok := s.Nearest(r); !ok || strings.Contains(got.String(), "secret") || got.Field != "authorization" {
		t.Errorf("%+v, %v", got, ok)
	}
}

func TestHasL7(t *testing.T) {
	get, when := []string{"GET"}, []authz.Condition{{Header: "x-a", Values: []string{"1"}}}
	for _, c := range []struct {
		name  string
		rules []authz.Rule
		yes   []uint16 // of 80, 443 and 5432
	}{
		{"no rules", nil, nil},
		{"an empty rule", []authz.Rule{{}}, nil},
		{"ports alone", []authz.Rule{to(authz.To{Ports: []int{80}})}, nil},
		{"a method on every port", []authz.Rule{to(authz.To{Methods: get})}, []uint16{80, 443, 5432}},
		{"a method on a port", []authz.Rule{to(authz.To{Methods: get, Ports: []int{80}})}, []uint16{80}},
		{"a path that is excluded", []authz.Rule{to(authz.To{NotPaths: []string{"/"}, Ports: []int{80}})}, []uint16{80}},
		{"a host on ports of which one is excluded", []authz.Rule{to(authz.To{Hosts: []string{"a"}, Ports: []int{80, 443}, NotPorts: []int{80}})}, []uint16{443}},
		{"a method on all ports but one", []authz.Rule{to(authz.To{Methods: get, NotPorts: []int{80}})}, []uint16{443, 5432}},
		{
			"methods on all ports but different ones",
			[]authz.Rule{to(authz.To{Methods: get, NotPorts: []int{80, 443}}), to(authz.To{Methods: get, NotPorts: []int{443, 5432}})},
			[]uint16{80, 5432},
		},
		{
			"a port that one rule excludes and another names",
			[]authz.Rule{to(authz.To{Methods: get, NotPorts: []int{80}}), to(authz.To{Methods: get, Ports: []int{80}})},
			[]uint16{80, 443, 5432},
		},
		{"a condition", []authz.Rule{{When: when}}, []uint16{80, 443, 5432}},
		{"a condition on a port", []authz.Rule{{When: when, To: []authz.To{{Ports: []int{443}}}}}, []uint16{443}},
	} {
		for _, action := range []func(string, ...authz.Rule) authz.Policy{authztest.Allow, authztest.Deny} {
			p := action("p", c.rules...)
			s := authztest.Set(t, p)
			for _, port := range []uint16{80, 443, 5432} {
				if got, want := s.HasL7(port), slices.Contains(c.yes, port); got != want {
					t.Errorf("%s %s: HasL7(%d) = %v", p.Spec.Action, c.name, port, got)
				}
			}
			p.Spec.Mode = authz.DryRun
			if s := authztest.Set(t, p); s.HasL7(80) || s.HasL7(443) || s.HasL7(5432) {
				t.Errorf("%s %s: a policy in dry run concerns a port", p.Spec.Action, c.name)
			}
		}
	}
}

func TestSetKnowsItsPolicies(t *testing.T) {
	trial := authztest.Deny("trial", authz.Rule{})
	trial.Spec.Mode = authz.DryRun
	elsewhere := authztest.Allow("elsewhere")
	elsewhere.Metadata.Namespace = "bank"
	s := authztest.Set(t, authztest.Deny("b"), trial, elsewhere, authztest.Allow("a"))
	if diff := cmp.Diff([]string{"a", "b"}, s.Policies()); diff != "" {
		t.Errorf("Policies (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]authz.Policy{trial}, s.DryRun()); diff != "" {
		t.Errorf("DryRun (-want +got):\n%s", diff)
	}
}

func TestCompileRefuses(t *testing.T) {
	bad := authztest.Allow("bad", to(authz.To{Ports: []int{0, 1, 65536}}))
	bad.Metadata.Namespace = "elsewhere"
	speaks := from(authz.From{Namespaces: []string{"shop"}})
	for _, c := range []struct {
		name string
		p    authz.Policy
		opts authz.Options
		want []string
	}{
		{
			"every problem, also of policies for others", bad,
			authz.Options{Workload: authztest.Workload()},
			[]string{"compile access policies: ", "to[0].ports[0]", "to[0].ports[2]"},
		},
		{"a default that is none", authztest.Allow("a"), authz.Options{Default: "allow"}, []string{`default access "allow"`}},
		{"namespaces of no trust domain", authztest.Allow("a", speaks), authz.Options{}, []string{"a: ", "trust domain is not known"}},
		{"excluded ones too", authztest.Deny("a", from(authz.From{NotServiceAccounts: []string{"a/b"}})), authz.Options{}, []string{"a: "}},
	} {
		s, err := authz.Compile([]authz.Policy{c.p}, c.opts)
		if err == nil || s != nil {
			t.Errorf("%s: %v, %v", c.name, s, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not tell of %q", c.name, err, want)
			}
		}
	}
	if _, err := authz.Compile([]authz.Policy{bad}, authz.Options{}); !errors.As(err, new(authz.Problem)) {
		t.Errorf("%v holds no Problem", err)
	}
	named := from(authz.From{Namespaces: []string{"shop"}, TrustDomains: []string{"a.example"}})
	if _, err := authz.Compile([]authz.Policy{authztest.Allow("a", named)}, authz.Options{}); err != nil {
		t.Errorf("namespaces of a named trust domain: %v", err)
	}
}

func TestDecisionExplainsItself(t *testing.T) {
	var lines []string
	for b := range authz.ByLimit + 2 {
		d := authz.Decision{Allowed: b > authz.ByDeny, Basis: b, Policy: "ns/p", Rule: 2}
		lines = append(lines, b.String()+" | "+d.String())
	}
	want := []string{
		"- | denied: nothing was evaluated",
		"deny | denied by ns/p rule 2",
		"allow | allowed by ns/p rule 2",
		"no_allow_matched | allowed: allow policies select the workload and none matched",
		"default | allowed by default access: no allow policy selects the workload",
		"per_request | allowed: each request of the connection is decided by itself",
		"limit | allowed: the limit of ns/p rule 2 is used up",
		"- | allowed: nothing was evaluated",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

// manyRules are n rules of which each names one principal, a method and a path.
func manyRules(n int) authz.Policy {
	rules := make([]authz.Rule, n)
	for i := range rules {
		rules[i] = authz.Rule{
			From: []authz.From{{Principals: []string{authztest.Account("shop", fmt.Sprintf("caller-%d", i))}}},
			To:   []authz.To{{Ports: []int{8080}, Methods: []string{"GET", "POST"}, Paths: []string{"/v1/charges", "/v1/charges/{*}"}}},
		}
	}
	return authztest.Allow("many", rules...)
}

func TestAuthorizeAllocatesNothing(t *testing.T) {
	everything := authz.Rule{
		From: []authz.From{{
			Principals: []string{"*"}, NotNamespaces: []string{"x"}, NotServiceAccounts: []string{"a/b"},
			TrustDomains: []string{"cluster.*"}, IPBlocks: []string{"10.0.0.0/8"},
		}},
		To: []authz.To{{
			Ports: []int{8080}, Hosts: []string{"*.Example:8080"}, Methods: []string{"G*"}, Paths: []string{"/a%3A/{*}/{**}"},
		}},
		When: []authz.Condition{{Header: "x-a", Values: []string{"1"}, NotValues: []string{"2"}}},
	}
	s := authztest.Set(t, manyRules(100), authztest.Allow("b", everything), authztest.Deny("c", authz.Rule{
		When: []authz.Condition{{Header: "x-b", Values: []string{"*"}}},
	}))
	request := authztest.Request(t, checkout, "/a:/%C3%A9/c")
	request.Host = "A.example.:8080"
	request.Header = authztest.Header{{"X-A", "1"}}
	denied := authztest.Request(t, "", "/")
	if d := s.Authorize(request); !d.Allowed || d.Policy != "b" {
		t.Fatal(d)
	}
	for name, decide := range map[string]func(){
		"an allowed request": func() { s.Authorize(request) },
		"a denied request":   func() { s.Authorize(denied) },
		"a connection":       func() { s.AuthorizeConnection(request) },
	} {
		// The pool for header checks loses what it holds now and then, on purpose
		// under the race detector; so the least of many runs is what counts.
		least := math.Inf(1)
		for range 100 {
			least = min(least, testing.AllocsPerRun(1, decide))
		}
		if least != 0 {
			t.Errorf("%s: %v allocations, want none", name, least)
		}
	}
}

func BenchmarkAuthorize(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000} {
		s := authztest.Set(b, manyRules(n))
		for _, c := range []struct {
			name, caller string
			allowed      bool
		}{
			{"allowed", authztest.Account("shop", fmt.Sprintf("caller-%d", n/2)), true},
			{"denied", authztest.Account("shop", "stranger"), false},
		} {
			b.Run(fmt.Sprintf("%d-rules/%s", n, c.name), func(b *testing.B) {
				r := authztest.Request(b, c.caller, "/v1/charges/17")
				b.ReportAllocs()
				for b.Loop() {
					if s.Authorize(r).Allowed != c.allowed {
						b.Fatal("wrong decision")
					}
				}
			})
		}
	}
}

// BenchmarkAuthorizeScan is the cost of rules that the index cannot set aside.
func BenchmarkAuthorizeScan(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000} {
		b.Run(fmt.Sprintf("%d-rules", n), func(b *testing.B) {
			rules := make([]authz.Rule, n)
			for i := range rules {
				rules[i] = from(authz.From{Principals: []string{fmt.Sprintf("spiffe://cluster.local/ns/team-%d/*", i)}})
			}
			s := authztest.Set(b, authztest.Allow("many", rules...))
			r := authztest.Request(b, checkout, "/v1/charges/17")
			b.ReportAllocs()
			for b.Loop() {
				if s.Authorize(r).Allowed {
					b.Fatal("wrong decision")
				}
			}
		})
	}
}

func BenchmarkNormalizePath(b *testing.B) {
	for name, raw := range map[string]string{"normal": "/v1/charges/ch_17/lines", "dots": "/v1/./charges/../charges//ch_17"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := authz.NormalizePath(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
