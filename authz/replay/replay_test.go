package replay_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
	"github.com/outrider-mesh/outrider/authz/observed"
	"github.com/outrider-mesh/outrider/authz/replay"
)

func judge(t *testing.T, policies ...authz.Policy) *replay.Judge {
	t.Helper()
	j, err := replay.NewJudge(policies, authz.Options{Workload: authztest.Workload()})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// call is "VERDICT CALLER METHOD PATH"; "-" is a caller without identity, and
// without a method and a path it is opaque, with "http" alone a connection.
func call(t *testing.T, text string, hits int) *observed.Tally {
	t.Helper()
	words := strings.Fields(text)
	c := &observed.Tally{Hits: hits, Call: observed.Call{Port: 8080, Rule: -1, Source: netip.MustParseAddr("10.0.0.9")}}
	switch words[0] {
	case "allow":
		c.Verdict = observed.Allowed
	case "deny":
		c.Verdict = observed.Denied
	}
	if words[1] != "-" {
		c.Peer = spiffeid.RequireFromString(authztest.Account("shop", words[1]))
	}
	if len(words) > 2 {
		c.HTTP = true
	}
	if len(words) > 3 {
		c.Method, c.Path = words[2], words[3]
	}
	return c
}

func when(rule authz.Rule, c ...authz.Condition) authz.Rule {
	rule.When = c
	return rule
}

func TestJudge(t *testing.T) {
	checkout := authztest.Account("shop", "checkout")
	gets := authz.Rule{From: []authz.From{{Principals: []string{checkout}}}, To: []authz.To{{Methods: []string{"GET"}}}}
	tenant := authz.Condition{Header: "x-tenant", NotValues: []string{"eu"}}
	cases := []struct {
		name     string
		policies []authz.Policy
		call     string
		want     string
	}{
		{"allowed", []authz.Policy{authztest.Allow("p", gets)}, "deny checkout GET /a", "allow p rule 0"},
		{"denied", []authz.Policy{authztest.Allow("p", gets)}, "allow checkout PUT /a", "deny no_allow_matched"},
		{"another caller", []authz.Policy{authztest.Allow("p", gets)}, "allow basket GET /a", "deny no_allow_matched"},
		{"nobody", []authz.Policy{authztest.Allow("p", gets)}, "allow - GET /a", "deny no_allow_matched"},
		{"opaque", []authz.Policy{authztest.Allow("p", authztest.Principals(checkout))}, "allow checkout", "allow p rule 0"},
		{"a connection that may go on", []authz.Policy{authztest.Allow("p", gets)}, "deny checkout http", "unknown per_request"},
		{"a connection that may not", []authz.Policy{authztest.Allow("p", gets)}, "deny basket http", "deny no_allow_matched"},
		{"an Allow that depends on a header", []authz.Policy{authztest.Allow("p", when(gets, tenant))}, "allow checkout GET /", "unknown no_allow_matched"},
		{"one that would not match anyway", []authz.Policy{authztest.Allow("p", when(gets, tenant))}, "allow basket GET /", "deny no_allow_matched"},
		{
			"one beside another that matches",
			[]authz.Policy{authztest.Allow("p", when(gets, tenant), gets)},
			"allow checkout GET /", "allow p rule 1",
		},
		{
			"a Deny that depends on a header",
			[]authz.Policy{authztest.Allow("p", authz.Rule{}), authztest.Deny("d", when(gets, tenant))},
			"allow checkout GET /", "unknown d rule 0",
		},
		{
			"one that would not match anyway, before one that does",
			[]authz.Policy{authztest.Allow("p", authz.Rule{}), authztest.Deny("d", when(gets, tenant), authztest.Principals("*"))},
			"allow basket GET /", "deny d rule 1",
		},
		{
			"a server name",
			[]authz.Policy{authztest.Allow("p", when(gets, authz.Condition{Connection: authz.ServerName, NotValues: []string{"a"}}))},
			"allow checkout GET /", "unknown no_allow_matched",
		},
		{
			"a listener, which records have",
			[]authz.Policy{authztest.Allow("p", when(gets, authz.Condition{Connection: authz.Listener, Values: []string{"partners"}}))},
			"allow checkout GET /", "deny no_allow_matched",
		},
	}
	if len(cases) < 14 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		g := judge(t, c.policies...).Judge(&call(t, c.call, 1).Call)
		if got := g.Verdict.String() + " " + g.By; got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if (g.Verdict == replay.Allowed) != (g.Why == "") {
			t.Errorf("%s: why is %q", c.name, g.Why)
		}
	}
}

func summary(r replay.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "same %d, denied %d, unknown %d, allowed %d, undecided %d\n", r.Same, r.Denied, r.Unknown, r.Allowed, r.Undecided)
	for _, c := range r.Changes {
		caller := c.Caller[strings.LastIndexByte(c.Caller, '/')+1:]
		fmt.Fprintf(&b, "%s to %s: %s %s, by %s, %d in %d:", c.Before, c.After, caller, c.Method, c.By, c.Hits, c.Routes)
		for _, e := range c.Examples {
			fmt.Fprintf(&b, " %s", e.Path)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestCompare(t *testing.T) {
	log := &observed.Log{Calls: []*observed.Tally{
		call(t, "allow checkout GET /a", 5), call(t, "allow checkout PUT /a", 1), call(t, "allow checkout PUT /b", 7), call(t, "allow checkout PUT /c", 2),
		call(t, "allow checkout PUT /d", 2), call(t, "deny basket GET /a", 3), call(t, "allow other GET /x", 20), call(t, "undecided - http", 9), call(t, "deny nobody GET /a", 4),
	}}
	get := authz.To{Methods: []string{"GET"}}
	from := func(name string) []authz.From {
		return []authz.From{{Principals: []string{authztest.Account("shop", name)}}}
	}
	after := judge(t, authztest.Allow("p", authz.Rule{From: from("checkout"), To: []authz.To{get}}, authz.Rule{From: from("basket"), To: []authz.To{get}},
		authz.Rule{From: from("other"), When: []authz.Condition{{Header: "x-a", Values: []string{"1"}}}}))
	want := `same 9, denied 12, unknown 20, allowed 3, undecided 9
allow to deny: checkout PUT, by no_allow_matched, 12 in 4: /b /c /d
allow to unknown: other GET, by no_allow_matched, 20 in 1: /x
deny to allow: basket GET, by p rule 1, 3 in 1: /a
`
	if diff := cmp.Diff(want, summary(replay.Compare(log, nil, after))); diff != "" {
		t.Error(diff)
	}
	// Against other policies, what the log says does not matter.
	before := judge(t, authztest.Allow("q", authz.Rule{From: from("basket")}))
	got := replay.Compare(log, before, after)
	if got.Allowed != 5 || got.Denied != 0 || got.Same != 3+12+4 || got.Unknown != 20 {
		t.Error(summary(got))
	}
}

// Two verdicts that can't be told are no proof that nothing changes.
func TestUnknownBeforeAndAfterIsNotTheSame(t *testing.T) {
	j := judge(t, authztest.Allow("p", authz.Rule{When: []authz.Condition{{Header: "x-a", Values: []string{"1"}}}}))
	log := &observed.Log{Calls: []*observed.Tally{call(t, "allow checkout GET /a", 2)}}
	if r := replay.Compare(log, j, j); r.Unknown != 2 || r.Same != 0 {
		t.Error(summary(r))
	}
}

// FuzzJudge: whatever the headers were, a verdict that is known is what the
// engine says.
func FuzzJudge(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		policies := randomPolicies(r)
		opts := authz.Options{Workload: authztest.Workload()}
		set, err := authz.Compile(policies, opts)
		if err != nil {
			t.Skip()
		}
		j, err := replay.NewJudge(policies, opts)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			c := call(t, "allow "+[]string{"-", "checkout", "basket"}[r.IntN(3)]+" "+[]string{"GET", "PUT"}[r.IntN(2)]+" "+[]string{"/a", "/b"}[r.IntN(2)], 1)
			got := j.Judge(&c.Call)
			for _, header := range []authztest.Header{{}, {{"x-a", "1"}}, {{"x-a", "2"}}, {{"x-b", "1"}}, {{"x-a", "1"}, {"x-b", "2"}}} {
				q := c.Request()
				q.Header, q.ServerName = header, []string{"", "a"}[r.IntN(2)]
				if d := set.Authorize(q); got.Verdict != replay.Unknown && d.Allowed != (got.Verdict == replay.Allowed) {
					t.Errorf("%v by %s, and with %v the engine says %v", got.Verdict, got.By, header, d)
				}
			}
		}
	})
}

func randomPolicies(r *rand.Rand) (all []authz.Policy) {
	for i := range 1 + r.IntN(3) {
		var rules []authz.Rule
		for range 1 + r.IntN(2) {
			var rule authz.Rule
			if r.IntN(2) == 0 {
				rule.From = []authz.From{{Principals: []string{authztest.Account("shop", []string{"checkout", "basket"}[r.IntN(2)])}}}
			}
			if r.IntN(2) == 0 {
				rule.To = []authz.To{{Methods: []string{[]string{"GET", "PUT"}[r.IntN(2)]}}}
			}
			for range r.IntN(3) {
				c := authz.Condition{Header: []string{"x-a", "x-b"}[r.IntN(2)], Values: []string{"1"}}
				if r.IntN(3) == 0 {
					c = authz.Condition{Connection: authz.ServerName, Values: []string{"a"}}
				}
				if r.IntN(2) == 0 {
					c.Values, c.NotValues = nil, c.Values
				}
				rule.When = append(rule.When, c)
			}
			rules = append(rules, rule)
		}
		if r.IntN(3) == 0 {
			all = append(all, authztest.Deny(fmt.Sprint("p", i), rules...))
		} else {
			all = append(all, authztest.Allow(fmt.Sprint("p", i), rules...))
		}
	}
	return all
}

// Limits are not replayed: a call that was beyond one counts as one within.
func TestLimitsAreNoChange(t *testing.T) {
	limited := call(t, "deny checkout GET /a", 3)
	limited.Limited = true
	log := &observed.Log{Calls: []*observed.Tally{limited}}
	if r := replay.Compare(log, nil, judge(t, authztest.Allow("p", authz.Rule{}))); r.Same != 3 || len(r.Changes) > 0 {
		t.Errorf("%+v", r)
	}
	if r := replay.Compare(log, nil, judge(t, authztest.Allow("p"))); r.Denied != 3 {
		t.Errorf("%+v", r)
	}
}
