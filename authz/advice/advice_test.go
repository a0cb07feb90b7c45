package advice_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/advice"
	"github.com/outrider-mesh/outrider/authz/authztest"
)

func options() authz.Options { return authz.Options{Workload: authztest.Workload()} }

func rule(from authz.From, to ...authz.To) authz.Rule {
	return authz.Rule{From: []authz.From{from}, To: to}
}

func TestSmallest(t *testing.T) {
	checkout, basket := authztest.Account("shop", "checkout"), authztest.Account("shop", "basket")
	callers := authztest.Allow("callers", rule(authz.From{Principals: []string{checkout}},
		authz.To{Ports: []int{8080}, Methods: []string{"GET"}, Paths: []string{"/a", "/b/{*}"}}))
	tenants := authztest.Allow("tenants", authz.Rule{When: []authz.Condition{{Header: "x-tenant", Values: []string{"eu-*"}}}})
	get := func(peer, path string) *authz.Request { return authztest.Request(t, peer, path) }
	with := func(r *authz.Request, change func(*authz.Request)) *authz.Request {
		change(r)
		return r
	}
	cases := []struct {
		name     string
		policies []authz.Policy
		request  *authz.Request
		want     string // edits, blockers and the policy of the rule
	}{
		{"allowed already", []authz.Policy{callers}, get(checkout, "/a"), ""},
		{"another caller", []authz.Policy{callers}, get(basket, "/a"), `callers: add "` + basket + `" to spec.rules[0].from[0].principals; or a rule in callers`},
		{"another path", []authz.Policy{callers}, get(checkout, "/c*"), `callers: add "/c%2A" to spec.rules[0].to[0].paths; or a rule in callers`},
		{
			"another method and port",
			[]authz.Policy{callers},
			with(get(checkout, "/a"), func(r *authz.Request) { r.Method, r.Port = "PUT", 9 }),
			`callers: add "9" to spec.rules[0].to[0].ports; callers: add "PUT" to spec.rules[0].to[0].methods; or a rule in callers`,
		},
		{"nobody", []authz.Policy{callers}, get("", "/a"), ""},
		{"no policy at all", nil, get(checkout, "/a"), "or a rule in a new policy"},
		{"an Allow without rules", []authz.Policy{authztest.Allow("closed")}, get(checkout, "/a"), "or a rule in closed"},
		{
			"a Deny besides",
			[]authz.Policy{callers, authztest.Deny("never", authz.Rule{})},
			get(basket, "/a"),
			`never: add "` + basket + `" to spec.rules[0].from[0].notPrincipals; callers: add "` + basket + `" to spec.rules[0].from[0].principals; or a rule in callers`,
		},
		{"a Deny alone", []authz.Policy{callers, authztest.Deny("never", authz.Rule{})}, get(checkout, "/a"), `never: add "` + checkout + `" to spec.rules[0].from[0].notPrincipals`},
		{
			"a Deny of nobody",
			[]authz.Policy{authztest.Allow("all", authz.Rule{}), authztest.Deny("mtls", rule(authz.From{NotPrincipals: []string{"*"}}))},
			get("", "/a"), "blocked by mtls rule 0",
		},
		{
			"a not-form",
			[]authz.Policy{authztest.Allow("some", rule(authz.From{Principals: []string{"*"}, NotPrincipals: []string{"*/sa/basket", "*/sa/x"}}))},
			get(basket, "/a"), `some: remove "*/sa/basket" from spec.rules[0].from[0].notPrincipals; or a rule in some`,
		},
		{
			"the only value of the only field",
			[]authz.Policy{authztest.Allow("some", rule(authz.From{NotPrincipals: []string{basket}}))},
			get(basket, "/a"), "or a rule in some",
		},
		{
			"a namespace of the own trust domain",
			[]authz.Policy{authztest.Allow("ns", rule(authz.From{Namespaces: []string{"ops"}}))},
			get(checkout, "/a"),
			`ns: add "shop" to spec.rules[0].from[0].namespaces; or a rule in ns`,
		},
		{
			"a namespace of another",
			[]authz.Policy{authztest.Allow("ns", rule(authz.From{Namespaces: []string{"shop"}}))},
			get("spiffe://other.example/ns/shop/sa/x", "/a"), "or a rule in ns",
		},
		{
			"an account of named trust domains",
			[]authz.Policy{authztest.Allow("sa", rule(authz.From{TrustDomains: []string{"other.example"}, ServiceAccounts: []string{"shop/y"}}))},
			get("spiffe://other.example/ns/shop/sa/x", "/a"), `sa: add "shop/x" to spec.rules[0].from[0].serviceAccounts; or a rule in sa`,
		},
		{
			"an account of named trust domains that matches",
			[]authz.Policy{authztest.Allow("sa", rule(authz.From{TrustDomains: []string{"other.example"}, ServiceAccounts: []string{"shop/x"}}, authz.To{Ports: []int{1}}))},
			get("spiffe://other.example/ns/shop/sa/x", "/a"), `sa: add "8080" to spec.rules[0].to[0].ports; or a rule in sa`,
		},
		{"a header that was not sent", []authz.Policy{tenants}, get(checkout, "/a"), "or a rule in tenants"},
		{
			"another listener",
			[]authz.Policy{authztest.Allow("partners", authz.Rule{When: []authz.Condition{{Connection: authz.Listener, Values: []string{"partners"}}}})},
			get(checkout, "/a"), "or a rule in partners",
		},
		{
			"a header with another value",
			[]authz.Policy{tenants},
			with(get(checkout, "/a"), func(r *authz.Request) { r.Header = authztest.Header{{"X-Tenant", "us-1"}, {"x-tenant", "us-1"}} }),
			`tenants: add "us-1" to spec.rules[0].when[0].values; or a rule in tenants`,
		},
		{
			"bytes where HTTP is wanted",
			[]authz.Policy{callers},
			with(get(checkout, ""), func(r *authz.Request) { *r = authz.Request{Peer: r.Peer, Port: 5432} }), "or a rule in callers",
		},
		{
			"the nearest of several",
			[]authz.Policy{authztest.Allow("a-far", rule(authz.From{Principals: []string{basket}}, authz.To{Ports: []int{1}})), callers},
			get(checkout, "/c"), `callers: add "/c" to spec.rules[0].to[0].paths; or a rule in callers`,
		},
	}
	if len(cases) < 18 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			change, ok := advice.Smallest(c.policies, options(), c.request)
			if got := describe(change); got != c.want || ok != (c.want != "") {
				t.Errorf("%v\ngot  %s\nwant %s", ok, got, c.want)
			}
		})
	}
}

func describe(c advice.Change) string {
	var parts []string
	for _, b := range c.Blockers {
		parts = append(parts, "blocked by "+b)
	}
	for _, e := range c.Edits {
		parts = append(parts, e.String())
	}
	if c.Rule != nil {
		where := c.Policy
		if where == "" {
			where = "a new policy"
		}
		parts = append(parts, "or a rule in "+where)
	}
	return strings.Join(parts, "; ")
}

// apply makes an edit the way a person would: in the document.
func apply(t *testing.T, policies []authz.Policy, e advice.Edit) {
	t.Helper()
	i := slices.IndexFunc(policies, func(p authz.Policy) bool { return advice.NameOf(&p) == e.Policy })
	if i < 0 {
		t.Fatalf("no policy %q", e.Policy)
	}
	var doc map[string]any
	text, err := json.Marshal(policies[i])
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	edit(t, doc, strings.Split(strings.NewReplacer("[", ".", "]", "").Replace(e.Field), "."), e)
	text, err = json.Marshal(doc)
	if err == nil {
		policies[i] = authz.Policy{}
		err = json.Unmarshal(text, &policies[i])
	}
	if err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, at any, path []string, e advice.Edit) {
	t.Helper()
	m, ok := at.(map[string]any)
	if !ok {
		i, err := strconv.Atoi(path[0])
		if err != nil {
			t.Fatal(err)
		}
		edit(t, at.([]any)[i], path[1:], e)
		return
	}
	key := path[0]
	if len(path) > 1 {
		if m[key] == nil && key == "from" { // a Deny of everybody gets its first group
			m[key] = []any{map[string]any{}}
		}
		edit(t, m[key], path[1:], e)
		return
	}
	values, _ := m[key].([]any)
	var value any = e.Value
	if n, err := strconv.Atoi(e.Value); err == nil && strings.HasSuffix(strings.ToLower(key), "ports") {
		value = float64(n)
	}
	if e.Operation == advice.Add {
		m[key] = append(values, value)
		return
	}
	if m[key] = slices.DeleteFunc(values, func(v any) bool { return v == value }); len(m[key].([]any)) == 0 {
		delete(m, key)
	}
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func some[T any](r *rand.Rand, of ...T) []T {
	if r.IntN(2) == 0 {
		return nil
	}
	return []T{pick(r, of...), pick(r, of...)}
}

func randomRule(r *rand.Rand) (made authz.Rule) {
	for range r.IntN(3) {
		made.From = append(made.From, authz.From{
			Principals: some(r, "*", "*/sa/checkout", authztest.Account("shop", "basket"), "spiffe://other.example/*"), NotPrincipals: some(r, "*/sa/basket", "*"),
			Namespaces: some(r, "shop", "ops"), NotNamespaces: some(r, "o*", "shop"), ServiceAccounts: some(r, "shop/checkout", "ops/x"),
			TrustDomains: some(r, "cluster.local", "*.example"), IPBlocks: some(r, "10.0.0.0/8", "192.0.2.1"), NotIPBlocks: some(r, "10.0.0.9"),
		})
	}
	for range r.IntN(3) {
		made.To = append(made.To, authz.To{
			Ports: some(r, 8080, 9), NotPorts: some(r, 9, 7), Hosts: some(r, "payments", "*.example"), Methods: some(r, "GET", "P*"),
			NotMethods: some(r, "PUT"), Paths: some(r, "/a", "/b/{*}", "/b/*", "*"), NotPaths: some(r, "/b/1", "*c"),
		})
	}
	for range r.IntN(2) {
		made.When = append(made.When, authz.Condition{Header: "x-a", Values: some(r, "1", "2*"), NotValues: some(r, "3", "1")})
	}
	return made
}

func randomRequest(t *testing.T, r *rand.Rand) *authz.Request {
	q := authztest.Request(t, pick(r, "", authztest.Account("shop", "checkout"), authztest.Account("shop", "basket"), "spiffe://other.example/ns/ops/sa/x"), pick(r, "/a", "/b/1", "/c", "/b%7Bc"))
	q.Port, q.Method = pick[uint16](r, 8080, 9, 7), pick(r, "GET", "PUT")
	q.Header = authztest.Header{{"x-a", pick(r, "1", "3", "4*")}}[:r.IntN(2)]
	if r.IntN(6) == 0 {
		*q = authz.Request{Peer: q.Peer, Port: q.Port, Source: netip.MustParseAddr("192.0.2.1")}
	}
	return q
}

func randomPolicies(r *rand.Rand) (all []authz.Policy) {
	for i := range 1 + r.IntN(3) {
		p := authz.Policy{Metadata: authz.Metadata{Name: fmt.Sprintf("p%d", i), Namespace: "shop"}, Spec: authz.PolicySpec{Action: pick(r, authz.Allow, authz.Allow, authz.Deny)}}
		for range 1 + r.IntN(2) {
			p.Spec.Rules = append(p.Spec.Rules, randomRule(r))
		}
		all = append(all, p)
	}
	return all
}

// FuzzSmallest: what is proposed helps when somebody else applies it, and the
// narrow rule helps nobody else.
func FuzzSmallest(f *testing.F) {
	const least = 300
	for seed := range uint64(least) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		policies, q := randomPolicies(r), randomRequest(t, r)
		set, err := authz.Compile(policies, options())
		if err != nil {
			return
		}
		before, _ := json.Marshal(policies)
		change, ok := advice.Smallest(policies, options(), q)
		if after, _ := json.Marshal(policies); string(after) != string(before) {
			t.Fatal("the policies were changed")
		}
		if ok && set.Authorize(q).Allowed {
			t.Fatal("a change for what is allowed")
		}
		if !ok || len(change.Blockers) > 0 {
			return
		}
		check(t, policies, change, q, r)
	})
}

func check(t *testing.T, policies []authz.Policy, change advice.Change, q *authz.Request, r *rand.Rand) {
	t.Helper()
	wide, narrow := slices.Clone(policies), slices.Clone(policies)
	edits := 0
	for _, e := range change.Edits {
		apply(t, wide, e)
		i := slices.IndexFunc(policies, func(p authz.Policy) bool { return advice.NameOf(&p) == e.Policy })
		if policies[i].Spec.Action == authz.Deny {
			apply(t, narrow, e)
		} else {
			edits++
		}
	}
	if edits > 0 || change.Rule == nil {
		if set, err := authz.Compile(wide, options()); err != nil || !set.Authorize(q).Allowed {
			t.Fatalf("the edits don't help: %v\n%s", err, describe(change))
		}
	}
	if change.Rule == nil {
		return
	}
	exempted, err := authz.Compile(narrow, options())
	if err != nil {
		t.Fatal(err)
	}
	extra := authz.Policy{Metadata: authz.Metadata{Name: "extra"}, Spec: authz.PolicySpec{Action: authz.Allow, Rules: []authz.Rule{*change.Rule}}}
	set, err := authz.Compile(append(narrow, extra), options())
	if err != nil || !set.Authorize(q).Allowed {
		t.Fatalf("the rule doesn't help: %v\n%s", err, describe(change))
	}
	for range 20 {
		other := randomRequest(t, r)
		same := other.Peer == q.Peer && other.Port == q.Port && (!q.HTTP || other.Method == q.Method && other.Path == q.Path)
		if !same && set.Authorize(other).Allowed && !exempted.Authorize(other).Allowed {
			t.Errorf("the rule allows %s %s", other.Method, other.Path)
		}
	}
}
