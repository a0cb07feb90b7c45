package authz_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
)

// A maker draws policies and requests from vocabularies that are small enough
// for them to meet often.
type maker struct{ *rand.Rand }

var (
	peers = []string{
		"", "spiffe://cluster.local/ns/shop/sa/checkout", "spiffe://cluster.local/ns/shop/sa/guest",
		"spiffe://cluster.local/ns/ops/sa/admin", "spiffe://other.example/ns/shop/sa/checkout",
		"spiffe://other.example/vm/7", "spiffe://cluster.local/ns/shop/sa/a/b",
	}
	principalValues = append([]string{"*", "*/sa/checkout", "*t", "spiffe://cluster.local/ns/shop/*", "spiffe://other.example/*"}, peers[1:]...)
	namespaceValues = []string{"shop", "ops", "*", "sh*", "*s"}
	accountValues   = []string{"shop/checkout", "ops/admin", "shop/guest"}
	domainValues    = []string{"cluster.local", "other.example", "*.example", "cluster.*", "*"}
	sources         = []string{"10.0.0.1", "10.1.0.1", "192.0.2.1", "2001:db8::1", "::ffff:10.0.0.1", ""}
	blockValues     = []string{"10.0.0.0/8", "10.1.0.0/16", "192.0.2.1", "2001:db8::/32", "0.0.0.0/0"}
	portValues      = []int{80, 443, 8080}
	hostFacts       = []string{"", "a.example", "A.Example:80", "a.example.", "b.a.example:8080", "[::1]:80", "x:y"}
	hostValues      = []string{"a.example", "*.example", "A.*", "*", "a.example:80", "[::1]", "*.a.example:8080"}
	methodFacts     = []string{"GET", "POST", "PATCH", "get"}
	methodValues    = []string{"GET", "POST", "P*", "*T", "*"}
	pathFacts       = []string{
		"/", "/a", "/a/", "/a/b", "/a/b/c", "/a/b/c/", "/b", "/a%3Ab", "/a:b", "/%C3%A9/b", "/a/%25", "*", "/a*b",
	}
	pathValues = []string{
		"/", "/a", "/a/*", "*/b", "*", "/a/{*}", "/a/{**}", "/{*}/b", "/{*}/{**}", "/{**}", "/a:b", "/a%3A*",
		"*%3Ab", "/%C3%A9/{*}", "/a/%25", "*%A9/b", "/a%2Ab", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9",
	}
	headerNames  = []string{"x-a", "X-A", "x-b"}
	headerFacts  = []string{"", "1", "12", "2"}
	headerValues = []string{"1", "1*", "*2", "*"}
	connections  = map[authz.Fact][]string{
		authz.ServerName: {"a.example", "*.example", "a*", "*"}, authz.Listener: {"in", "i*", "out"},
		authz.Transport: {"tcp", "quic"}, authz.DestinationIP: {"10.0.0.0/8", "192.0.2.1", "2001:db8::/32"},
	}
)

func pick[T any](m maker, list []T) T { return list[m.IntN(len(list))] }

// some returns nothing mostly, and sometimes a few values or almost all.
func some[T any](m maker, list []T, odds int) (out []T) {
	if m.IntN(odds) > 0 {
		return nil
	}
	n := 1 + m.IntN(2)
	if m.IntN(8) == 0 {
		n = len(list)
	}
	for range n {
		out = append(out, pick(m, list))
	}
	return out
}

func (m maker) from() authz.From {
	g := authz.From{
		Principals: some(m, principalValues, 2), NotPrincipals: some(m, principalValues, 6),
		Namespaces: some(m, namespaceValues, 6), NotNamespaces: some(m, namespaceValues, 8),
		ServiceAccounts: some(m, accountValues, 8), NotServiceAccounts: some(m, accountValues, 8),
		TrustDomains: some(m, domainValues, 6), NotTrustDomains: some(m, domainValues, 8),
		IPBlocks: some(m, blockValues, 6), NotIPBlocks: some(m, blockValues, 8),
	}
	if m.IntN(4) == 0 {
		g.ServiceAccounts = []string{"checkout"} // in the policy's namespace
	}
	return g
}

func (m maker) to() authz.To {
	return authz.To{
		Ports: some(m, portValues, 4), NotPorts: some(m, portValues, 6),
		Hosts: some(m, hostValues, 5), NotHosts: some(m, hostValues, 8),
		Methods: some(m, methodValues, 3), NotMethods: some(m, methodValues, 8),
		Paths: some(m, pathValues, 2), NotPaths: some(m, pathValues, 6),
	}
}

func (m maker) rule() (r authz.Rule) {
	for range m.IntN(3) {
		r.From = append(r.From, m.from())
	}
	for range m.IntN(3) {
		r.To = append(r.To, m.to())
	}
	for range max(0, m.IntN(5)-3) {
		r.When = append(r.When, authz.Condition{
			Header: pick(m, headerNames), Values: some(m, headerValues, 2), NotValues: some(m, headerValues, 2),
		})
	}
	if m.IntN(6) == 0 {
		fact := pick(m, []authz.Fact{authz.ServerName, authz.Listener, authz.Transport, authz.DestinationIP})
		r.When = append(r.When, authz.Condition{
			Connection: fact, Values: some(m, connections[fact], 2), NotValues: some(m, connections[fact], 2),
		})
	}
	if m.IntN(6) == 0 {
		r.Limit = &authz.Limit{Rate: 1, Per: authz.Second, Key: pick(m, []authz.Key{"", authz.Caller, authz.Route, authz.Total})}
	}
	return r
}

func (m maker) policy(n int) authz.Policy {
	p := authz.Policy{
		Metadata: authz.Metadata{Name: fmt.Sprintf("p%d", m.IntN(1000)*100+n), Namespace: "shop"},
		Spec:     authz.PolicySpec{Action: pick(m, []authz.Action{authz.Allow, authz.Allow, authz.Deny})},
	}
	if m.IntN(10) == 0 {
		p.Spec.Mode = authz.DryRun
	}
	if m.IntN(4) == 0 {
		p.Spec.Selector = &authz.Selector{MatchLabels: map[string]string{"app": pick(m, []string{"payments", "other"})}}
	}
	for range m.IntN(4) {
		p.Spec.Rules = append(p.Spec.Rules, m.rule())
	}
	return p
}

// policies returns some that Validate accepts; a group without a field is made
// now and then and drops its policy.
func (m maker) policies() (all []authz.Policy) {
	count := m.IntN(6)
	if m.IntN(4) == 0 { // more than an index leaves together
		count = 10 + m.IntN(40)
	}
	for n := range count {
		if p := m.policy(n); valid(p) {
			all = append(all, p)
		}
	}
	return all
}

func valid(p authz.Policy) bool {
	return !slices.ContainsFunc(authz.Validate([]authz.Policy{p}), func(p authz.Problem) bool { return !p.Warning })
}

func (m maker) request() *authz.Request {
	r := &authz.Request{Port: uint16(pick(m, append([]int{0}, portValues...)))}
	if peer := pick(m, peers); peer != "" {
		r.Peer = spiffeid.RequireFromString(peer)
	}
	if s := pick(m, sources); s != "" {
		r.Source = netip.MustParseAddr(s)
	}
	if s := pick(m, sources); s != "" {
		r.Destination = netip.MustParseAddr(s)
	}
	r.ServerName, r.Listener = pick(m, []string{"", "A.example", "b"}), pick(m, []string{"", "in", "out"})
	r.Transport = pick(m, []string{"", "tcp", "quic"})
	if r.HTTP = m.IntN(4) > 0; r.HTTP {
		r.Method, r.Host, r.Path = pick(m, methodFacts), pick(m, hostFacts), pick(m, pathFacts)
		h := authztest.Header{}
		for range m.IntN(4) {
			h = append(h, [2]string{pick(m, headerNames), pick(m, headerFacts)})
		}
		r.Header = h
	}
	return r
}

func (m maker) options() authz.Options {
	access := []authz.Access{"", authz.DenyAll, authz.AllowAuthenticated, authz.AllowAll}
	return authz.Options{Workload: authztest.Workload(), Default: pick(m, access)}
}

func compiled(t testing.TB, policies []authz.Policy, opts authz.Options) *authz.Set {
	t.Helper()
	s, err := authz.Compile(policies, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// differences compares the engine with the reference on one random set and n
// requests, and returns how many decisions it compared and how many allowed.
func differences(t testing.TB, m maker, n int) (decisions, allowed int) {
	policies, opts := m.policies(), m.options()
	s := compiled(t, policies, opts)
	slices.SortFunc(policies, func(a, b authz.Policy) int { return strings.Compare(name(a), name(b)) })
	for range n {
		r := m.request()
		d := s.Authorize(r)
		got := outcome{d.Allowed, fmt.Sprintf("%s#%d", d.Policy, d.Rule)}
		switch d.Basis {
		case authz.ByDefault:
			got.by = "default"
		case authz.NoAllowMatched:
			got.by = "none"
		default: // a policy decided, and is named
		}
		if want := (reference{policies: policies, opts: opts}).decide(r); got != want {
			t.Fatalf("Authorize: %v, the reference says %v\nrequest %+v\npolicies %+v", d, want, r, policies)
		}
		c := s.AuthorizeConnection(r)
		if want := (reference{policies: policies, opts: opts, connection: true}).decide(r); c.Allowed != want.allowed {
			t.Fatalf("AuthorizeConnection: %v, the reference says %v\nrequest %+v\npolicies %+v", c, want, r, policies)
		}
		m.compareLimits(t, s, r, reference{policies: policies, opts: opts})
		near, found := s.Nearest(r)
		if found && (d.Basis == authz.ByAllow || near.Problem == "") {
			t.Fatalf("Nearest: %v for %v\nrequest %+v\npolicies %+v", near, d, r, policies)
		}
		checkExplanation(t, s, r, d)
		if r.HTTP && d.Allowed && !c.Allowed {
			t.Fatalf("the connection of an allowed request is refused\nrequest %+v\npolicies %+v", r, policies)
		}
		decisions += 3
		if d.Allowed {
			allowed++
		}
	}
	return decisions, allowed
}

// A meter has nothing left of some quotas.
type meter struct {
	quotas []authz.Quota
	spent  map[string]bool // by rule
}

func (m meter) Take(quota int, _ authz.Share) (time.Duration, bool) {
	q := m.quotas[quota]
	return time.Second, !m.spent[fmt.Sprintf("%s#%d", q.Policy, q.Rule)]
}

// compareLimits compares a decision under limits of which some are used up.
func (m maker) compareLimits(t testing.TB, s *authz.Set, r *authz.Request, ref reference) {
	meter := meter{s.Quotas(), make(map[string]bool)}
	for _, q := range meter.quotas {
		meter.spent[fmt.Sprintf("%s#%d", q.Policy, q.Rule)] = m.IntN(2) == 0
	}
	ref.spent = meter.spent
	before, d, want := s.Authorize(r), s.Admit(r, meter), ref.decide(r)
	if d.Allowed != want.allowed || d.Granted() != before.Allowed || !before.Allowed && d != before || (d.Basis == authz.ByLimit) != (before.Allowed && !d.Allowed) {
		t.Fatalf("Admit: %v, without limits %v, the reference says %v\nrequest %+v\npolicies %+v", d, before, want, r, ref.policies)
	}
}

// checkExplanation checks that an explanation fits the decision it is about.
func checkExplanation(t testing.TB, s *authz.Set, r *authz.Request, d authz.Decision) {
	e := s.Explain(r)
	near, found := s.Nearest(r)
	failed := 0
	if e.Nearest != nil {
		failed = len(e.Nearest.Failed())
	}
	switch {
	case e.Decision != d,
		(len(e.Denies) > 0) != (d.Basis == authz.ByDeny),
		len(e.Denies) > 0 && e.Denies[0] != (authz.RuleName{Policy: d.Policy, Rule: d.Rule}),
		d.Basis == authz.ByAllow && !slices.Contains(e.Allows, authz.RuleName{Policy: d.Policy, Rule: d.Rule}),
		d.Basis == authz.NoAllowMatched && len(e.Allows) > 0,
		(e.Nearest != nil) != found, (failed > 0) != found,
		found && (e.Nearest.Policy != near.Policy || e.Nearest.Rule != near.Rule || e.Nearest.Failed()[0].Text != near.Problem):
		t.Fatalf("explanation %+v of %v, nearest %v\nrequest %+v", e, d, near, r)
	}
}

// TestEngineAgreesWithTheReference compares random decisions from a fixed seed.
func TestEngineAgreesWithTheReference(t *testing.T) {
	const least = 100_000
	m := maker{rand.New(rand.NewPCG(2, 12))}
	decisions, allowed := 0, 0
	for decisions < least {
		n, a := differences(t, m, 40)
		decisions, allowed = decisions+n, allowed+a
	}
	t.Logf("%d decisions, %d requests allowed", decisions, allowed)
	if allowed < least/20 || allowed > least*9/20 {
		t.Errorf("%d of %d requests are allowed: the vocabulary is lopsided", allowed, decisions/2)
	}
}

// FuzzEngineAgreesWithTheReference looks for more differences, by seed: 300 decisions
// for each. make authz compares millions.
func FuzzEngineAgreesWithTheReference(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		differences(t, maker{rand.New(rand.NewPCG(a, b))}, 100)
	})
}

// TestPoliciesArePredictable checks what holds for every set and every request.
func TestPoliciesArePredictable(t *testing.T) {
	m := maker{rand.New(rand.NewPCG(4, 8))}
	checked := 0
	for checked < 20_000 {
		policies, opts := m.policies(), m.options()
		more := m.policy(99)
		if !valid(more) || more.Spec.Mode == authz.DryRun || len(policies) == 0 {
			continue
		}
		before := compiled(t, policies, opts)
		after := compiled(t, append(slices.Clone(policies), more), opts)
		reversed := slices.Clone(policies)
		slices.Reverse(reversed)
		swapped := compiled(t, reversed, opts)
		// The first Allow replaces the default and may deny; a further one may not.
		restricted := slices.ContainsFunc(before.Policies(), func(id string) bool {
			return slices.ContainsFunc(policies, func(p authz.Policy) bool { return name(p) == id && p.Spec.Action == authz.Allow })
		})
		for range 20 {
			r := m.request()
			checked++
			was, is := before.Authorize(r), after.Authorize(r)
			if got := swapped.Authorize(r); got != was {
				t.Fatalf("the order of documents decides: %v and %v\nrequest %+v\npolicies %+v", was, got, r, policies)
			}
			if more.Spec.Action == authz.Allow && restricted && was.Allowed && !is.Allowed {
				t.Fatalf("an added Allow denies what was allowed: %v\nrequest %+v\npolicies %+v\nadded %+v", is, r, policies, more)
			}
			if more.Spec.Action == authz.Deny && !was.Allowed && is.Allowed {
				t.Fatalf("an added Deny allows what was denied: %v\nrequest %+v\npolicies %+v\nadded %+v", is, r, policies, more)
			}
		}
	}
}
