package authz_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
)

func limited(r authz.Rule, l authz.Limit) authz.Rule {
	r.Limit = &l
	return r
}

func TestQuotas(t *testing.T) {
	s := authztest.Set(t,
		authztest.Allow("a",
			limited(authz.Rule{}, authz.Limit{Rate: 100, Per: authz.Second}), authz.Rule{},
			limited(authz.Rule{}, authz.Limit{Rate: 90, Per: authz.Minute, Burst: 7, Key: authz.Route}),
			limited(authz.Rule{}, authz.Limit{Rate: 1, Per: authz.Hour, Key: authz.Total}),
		),
		authztest.Deny("caps",
			limited(authz.Rule{}, authz.Limit{Rate: 1, Per: authz.Second, Key: authz.Total}),
			limited(authz.Rule{}, authz.Limit{Rate: 3, Per: authz.Second, Key: authz.Route}),
			limited(authz.Rule{}, authz.Limit{Rate: 1_000_000, Per: authz.Second, Key: authz.Caller}),
		),
	)
	of := func(policy string, rule int) authz.RuleName { return authz.RuleName{Policy: policy, Rule: rule} }
	want := []authz.Quota{
		{RuleName: of("a", 0), Every: 10 * time.Millisecond, Burst: 100, Key: authz.Caller},
		{RuleName: of("a", 2), Every: time.Minute / 90, Burst: 7, Key: authz.Route},
		{RuleName: of("a", 3), Every: time.Hour, Burst: 1, Key: authz.Total},
		// What fewer callers share comes first.
		{RuleName: of("caps", 2), Every: time.Microsecond, Burst: 1_000_000, Key: authz.Caller},
		{RuleName: of("caps", 1), Every: time.Second / 3, Burst: 3, Key: authz.Route},
		{RuleName: of("caps", 0), Every: time.Second, Burst: 1, Key: authz.Total},
	}
	if diff := cmp.Diff(want, s.Quotas()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A ledger notes what is taken, and gives what it is told to give.
type ledger struct {
	taken []authz.Share
	order []int
	waits map[int]time.Duration // of quotas that are used up
}

func (l *ledger) Take(quota int, of authz.Share) (time.Duration, bool) {
	l.taken, l.order = append(l.taken, of), append(l.order, quota)
	wait, spent := l.waits[quota]
	return wait, !spent
}

func TestShares(t *testing.T) {
	paths := []authz.To{
		{Ports: []int{9}, Paths: []string{"/b"}},
		{NotPaths: []string{"/x"}, Paths: []string{"/a/{*}", "/b", "/c:d"}},
		{Methods: []string{"PUT"}},
	}
	for _, c := range []struct {
		key         authz.Key
		method, raw string
		want        authz.Share
	}{
		{authz.Caller, "GET", "/b", authz.Share{Caller: checkout}},
		{"", "GET", "/b", authz.Share{Caller: checkout}},
		{authz.Total, "GET", "/b", authz.Share{}},
		{authz.Route, "GET", "/a/1", authz.Share{Route: 2}},
		{authz.Route, "GET", "/a/2", authz.Share{Route: 2}},
		{authz.Route, "GET", "/b", authz.Share{Route: 3}},
		{authz.Route, "GET", "/c%3Ad", authz.Share{Route: 4}},
		{authz.Route, "PUT", "/z", authz.Share{}},
	} {
		s := authztest.Set(t, authztest.Allow("a", limited(authz.Rule{To: paths}, authz.Limit{Rate: 1, Per: authz.Second, Key: c.key})))
		r := authztest.Request(t, checkout, c.raw)
		r.Method = c.method
		var l ledger
		if d := s.Admit(r, &l); !d.Allowed || len(l.taken) != 1 || l.taken[0] != c.want {
			t.Errorf("%s %s %s: %v takes %+v, want %+v", c.key, c.method, c.raw, d, l.taken, c.want)
		}
	}
}

// TestWhatIsTaken: a call that is refused without regard to limits uses none up,
// one that a rule without limit allows uses none of the other Allow rules, and a
// call beyond its own limit takes nothing from the limits that others share.
func TestWhatIsTaken(t *testing.T) {
	one := authz.Limit{Rate: 1, Per: authz.Second}
	total := authz.Limit{Rate: 1, Per: authz.Second, Key: authz.Total}
	s := authztest.Set(t,
		authztest.Allow("free", authztest.Principals(authztest.Account("shop", "free"))),
		authztest.Allow("own", limited(authztest.Principals(checkout), one), limited(authztest.Principals("*"), one)), // quotas 0, 1
		authztest.Deny("cap", limited(authz.Rule{}, total), limited(authz.Rule{}, one)),                               // quotas 3, 2
		authztest.Deny("never", to(authz.To{Paths: []string{"/never"}})),
	)
	const (
		own, open, cap1, capAll = 0, 1, 2, 3
	)
	none := map[int]time.Duration{}
	for _, c := range []struct {
		name, caller, path string
		waits              map[int]time.Duration
		order              []int
		wait               time.Duration
	}{
		{"denied by a rule", checkout, "/never", none, nil, 0},
		{"allowed by nobody", "", "/", none, nil, 0},
		{"allowed without a limit", authztest.Account("shop", "free"), "/", none, []int{cap1, capAll}, 0},
		{"allowed by the first", checkout, "/", none, []int{cap1, own, capAll}, 0},
		{"allowed by the second", checkout, "/", map[int]time.Duration{own: 5}, []int{cap1, own, open, capAll}, 0},
		{"beyond both", checkout, "/", map[int]time.Duration{own: 5, open: 3}, []int{cap1, own, open}, 3},
		{"beyond both, the other way round", checkout, "/", map[int]time.Duration{own: 2, open: 3}, []int{cap1, own, open}, 2},
		{"beyond its own cap", checkout, "/", map[int]time.Duration{cap1: 7}, []int{cap1}, 7},
		{"beyond everybody's cap", checkout, "/", map[int]time.Duration{capAll: 9}, []int{cap1, own, capAll}, 9},
	} {
		l := ledger{waits: c.waits}
		d := s.Admit(authztest.Request(t, c.caller, c.path), &l)
		if diff := cmp.Diff(c.order, l.order); diff != "" || d.RetryAfter != c.wait || (d.Basis == authz.ByLimit) != (c.wait != 0) {
			t.Errorf("%s: %v, wait %d; quotas (-want +got):\n%s", c.name, d, d.RetryAfter, diff)
		}
	}
}

func TestExplainNamesLimits(t *testing.T) {
	l := authz.Limit{Rate: 1, Per: authz.Second}
	s := authztest.Set(t,
		authztest.Allow("a", limited(authz.Rule{}, l), limited(to(authz.To{Ports: []int{1}}), l)),
		authztest.Deny("cap", limited(authz.Rule{}, l), limited(to(authz.To{Ports: []int{1}}), l)),
	)
	e := s.Explain(authztest.Request(t, checkout, "/"))
	if diff := cmp.Diff([]authz.RuleName{{Policy: "a"}, {Policy: "cap"}}, e.Limits); diff != "" || len(e.Denies) > 0 {
		t.Errorf("%+v: limits (-want +got):\n%s", e, diff)
	}
	s = authztest.Set(t, authztest.Allow("a", limited(authz.Rule{}, l), authz.Rule{}))
	if e := s.Explain(authztest.Request(t, checkout, "/")); e.Limits != nil || len(e.Allows) != 2 {
		t.Errorf("of what is allowed without a limit: %+v", e)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	l := authz.Limit{Rate: 1, Per: authz.Second}
	s := authztest.Set(t, authztest.Allow("a", limited(authz.Rule{}, l)), authztest.Deny("cap", limited(authz.Rule{}, l)))
	r := authztest.Request(t, checkout, "/")
	var m authz.Meter = unlimited{}
	if n := testing.AllocsPerRun(100, func() { s.Admit(r, m) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

type unlimited struct{}

func (unlimited) Take(int, authz.Share) (time.Duration, bool) { return 0, true }

func TestShadow(t *testing.T) {
	trial := authztest.Deny("trial", to(authz.To{Paths: []string{"/a"}}))
	trial.Spec.Mode = authz.DryRun
	s := authztest.Set(t, authztest.Allow("a", authz.Rule{}), trial)
	r := authztest.Request(t, checkout, "/a")
	if d := s.Authorize(r); !d.Allowed {
		t.Errorf("a policy in dry run decides: %v", d)
	}
	if d := s.Shadow().Authorize(r); d.Policy != "trial" || s.Shadow().Shadow() != nil || s.Shadow().DryRun() != nil {
		t.Errorf("the shadow says %v", d)
	}
	if diff := cmp.Diff([]string{"a", "trial"}, s.Shadow().Policies()); diff != "" {
		t.Error(diff)
	}
	if authztest.Set(t, authztest.Allow("a", authz.Rule{})).Shadow() != nil {
		t.Error("a shadow of nothing")
	}
}
