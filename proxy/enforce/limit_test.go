package enforce_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/enforce"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

// tally notes what is counted.
type tally struct{ lines []string }

func (c *tally) RateLimited(policy string) { c.lines = append(c.lines, "limited "+policy) }

func (c *tally) Shadow(live, shadow bool, policy string) {
	c.lines = append(c.lines, fmt.Sprintf("shadow %t %t %s", live, shadow, policy))
}

func compile(t *testing.T, policies ...authz.Policy) *authz.Set {
	t.Helper()
	s, err := authz.Compile(policies, authz.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func policy(name string, action authz.Action, rules ...authz.Rule) authz.Policy {
	return authz.Policy{Metadata: authz.Metadata{Name: name}, Spec: authz.PolicySpec{Action: action, Rules: rules}}
}

func TestRequestsBeyondALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count := new(tally)
		e := enforce.Enforcer{Counter: count}
		set := compile(t, policy("a", authz.Allow, authz.Rule{Limit: &authz.Limit{Rate: 30, Per: authz.Minute, Burst: 2}}))
		e.Publish(set)
		call := func(peer string) *flow.Request {
			q := request(connection(peer, port, flow.HTTP2), "GET", "/")
			e.Request(q)
			return q
		}
		for range 2 {
			if q := call(checkout); !q.Decision.Allowed {
				t.Fatalf("refused: %+v", q.Refusal)
			}
		}
		q := call(checkout)
		want := flow.Refusal{
			Reason: flow.RateLimited, Detail: "denied: the limit of a rule 0 is used up", RetryAfter: 2 * time.Second,
		}
		if diff := cmp.Diff(want, q.Refusal); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if q := call(batch); !q.Decision.Allowed {
			t.Errorf("another caller is refused: %+v", q.Refusal)
		}
		if !e.StillAllowsRequest(q) {
			t.Error("a request that is judged again is counted again")
		}
		e.Publish(set) // what is used up stays used up
		pass(500 * time.Millisecond)
		q = call(checkout)
		if a, _ := enforce.AnswerTo(q.Refusal, decisionID); !strings.Contains(string(a.Fields), "retry-after: 2\r\n") {
			t.Errorf("1.5 s are not rounded up: %s", a.Fields)
		}
		if a, _ := enforce.GRPCAnswerTo(q.Refusal, decisionID); !strings.Contains(string(a.Fields), "grpc-retry-pushback-ms: 1500\r\n") {
			t.Errorf("gRPC is told to wait otherwise: %s", a.Fields)
		}
		pass(1500 * time.Millisecond)
		if q := call(checkout); !q.Decision.Allowed {
			t.Errorf("refused when it said to come back: %+v", q.Refusal)
		}
		if diff := cmp.Diff([]string{"limited a", "limited a"}, count.lines); diff != "" {
			t.Errorf("counted (-want +got):\n%s", diff)
		}
	})
}

func TestConnectionsBeyondALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e enforce.Enforcer
		e.Publish(compile(t,
			policy("a", authz.Allow, authz.Rule{}),
			policy("cap", authz.Deny, authz.Rule{Limit: &authz.Limit{Rate: 1, Per: authz.Hour, Key: authz.Total}}),
		))
		for range 5 { // their requests are what counts
			if c := connection(checkout, port, flow.HTTP1); !e.Connection(c) {
				t.Fatalf("refused: %+v", c.Refusal)
			}
		}
		first, second := connection(checkout, port, flow.TCP), connection(checkout, port, flow.TCP)
		if !e.Connection(first) || e.Connection(second) || second.Refusal.Reason != flow.RateLimited {
			t.Errorf("one connection an hour: %+v, then %+v", first.Refusal, second.Refusal)
		}
		if !e.StillAllows(first) {
			t.Error("a connection that is judged again is counted again")
		}
	})
}

// HTTP/2 is HTTP: a rule about methods lets its connections in.
func TestAnHTTP2ConnectionIsDecidedByItsRequests(t *testing.T) {
	var e enforce.Enforcer
	e.Publish(payments(t))
	if c := connection(checkout, port, flow.HTTP2); !e.Connection(c) || c.Decision.Basis != authz.PerRequest {
		t.Errorf("%v, %+v", c.Decision, c.Refusal)
	}
}

func TestFactsOfConnections(t *testing.T) {
	var e enforce.Enforcer
	when := func(fact authz.Fact, value string) authz.Rule {
		return authz.Rule{When: []authz.Condition{{Connection: fact, Values: []string{value}}}}
	}
	full := connection(checkout, port, flow.TCP)
	full.ServerName, full.Listener, full.QUIC = "payments.shop", "mesh", true
	for fact, value := range map[authz.Fact]string{
		authz.ServerName: "payments.shop", authz.Listener: "mesh", authz.Transport: "quic", authz.DestinationIP: "127.0.0.1",
	} {
		e.Publish(compile(t, policy("a", authz.Allow, when(fact, value))))
		if !e.Connection(full) {
			t.Errorf("%s is not passed on: %+v", fact, full.Refusal)
		}
	}
	e.Publish(compile(t, policy("a", authz.Allow, when(authz.Transport, "tcp"))))
	if c := connection(checkout, port, flow.TCP); !e.Connection(c) {
		t.Errorf("TCP is not: %+v", c.Refusal)
	}
}

// TestTrialsAreWithoutEffect judges random calls under random policies, with and
// without others beside them.
func TestTrialsAreWithoutEffect(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	rule := func() authz.Rule {
		r := authz.Rule{From: []authz.From{{Principals: []string{[]string{checkout, intruder, batch, "*"}[random.IntN(4)]}}}}
		if random.IntN(2) == 0 {
			r.To = []authz.To{{Methods: []string{[]string{"GET", "POST"}[random.IntN(2)]}}}
		}
		return r
	}
	some := func(prefix string, mode authz.Mode) (all []authz.Policy) {
		for n := range random.IntN(4) {
			p := policy(fmt.Sprintf("%s%d", prefix, n), []authz.Action{authz.Allow, authz.Allow, authz.Deny}[random.IntN(3)], rule(), rule())
			p.Spec.Mode = mode
			all = append(all, p)
		}
		return all
	}
	differ, judged := 0, 0
	for range 500 {
		live, trial, proposal := some("live", ""), some("trial", authz.DryRun), some("live", "")
		var plain, dry, proposed enforce.Enforcer
		plain.Publish(compile(t, live...))
		dry.Publish(compile(t, slices.Concat(live, trial)...))
		proposed.Publish(compile(t, live...))
		proposed.Propose(compile(t, proposal...))
		for _, peer := range []string{"", checkout, intruder, batch} {
			for _, p := range []flow.Protocol{flow.HTTP1, flow.HTTP2, flow.TCP} {
				want := judge(&plain, peer, p)
				for _, e := range []*enforce.Enforcer{&dry, &proposed} {
					got := judge(e, peer, p)
					judged++
					if got.shadow.Basis != 0 && got.shadow.Allowed != got.decision.Allowed {
						differ++
					}
					got.shadow = authz.Decision{}
					if got != want {
						t.Fatalf("%+v with a trial and %+v without\nlive %+v\ntrial %+v", got, want, live, trial)
					}
				}
			}
		}
	}
	if judged < 10_000 || differ < 1000 {
		t.Errorf("%d calls judged, of which trials see %d otherwise", judged, differ)
	}
}

// verdicts are all that judging a connection and its request leaves behind.
type verdicts struct {
	connection, request bool
	decision, shadow    authz.Decision
	refusal             flow.Refusal
}

func judge(e *enforce.Enforcer, peer string, p flow.Protocol) (v verdicts) {
	c := connection(peer, port, p)
	v.connection = e.Connection(c)
	if p == flow.TCP {
		v.decision, v.shadow, v.refusal = c.Decision, c.Shadow, c.Refusal
		return v
	}
	q := request(c, "GET", "/")
	v.request = e.Request(q)
	v.decision, v.shadow, v.refusal = q.Decision, q.Shadow, q.Refusal
	return v
}

func TestTrialsAreCounted(t *testing.T) {
	count := new(tally)
	e := enforce.Enforcer{Counter: count}
	authenticated := authz.Rule{From: []authz.From{{Principals: []string{"*"}}}}
	trial := policy("trial", authz.Deny, authz.Rule{From: []authz.From{{Principals: []string{batch}}}})
	trial.Spec.Mode = authz.DryRun
	e.Publish(compile(t, policy("live", authz.Allow, authenticated), trial))
	for _, peer := range []string{checkout, batch, ""} {
		judge(&e, peer, flow.HTTP1)
	}
	e.Propose(compile(t, policy("proposed", authz.Allow, authz.Rule{From: []authz.From{{Principals: []string{batch}}}})))
	judge(&e, checkout, flow.TCP)
	e.Propose(nil)
	judge(&e, batch, flow.TCP)
	want := []string{
		"shadow true true live", "shadow true false trial",
		"shadow false false ", "shadow false false ", // the connection, and a request that there won't be
		"shadow true false live", "shadow true false trial",
	}
	if diff := cmp.Diff(want, count.lines); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// A connection that is refused before its first request has no other trial.
	count.lines = nil
	e.Propose(compile(t, policy("proposed", authz.Allow, authz.Rule{})))
	c := connection("", port, flow.HTTP2)
	if e.Connection(c) || !c.Shadow.Allowed || c.Shadow.Basis != authz.PerRequest {
		t.Errorf("%v, in trial %v", c.Decision, c.Shadow)
	}
	if diff := cmp.Diff([]string{"shadow false true "}, count.lines); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	e.Propose(nil)
	// What a limit refuses is not a difference of policies.
	count.lines = nil
	e.Publish(compile(t,
		policy("live", authz.Allow, authz.Rule{Limit: &authz.Limit{Rate: 1, Per: authz.Hour}}), trial))
	judge(&e, checkout, flow.TCP)
	judge(&e, checkout, flow.TCP)
	want = []string{"shadow true true live", "shadow true true live", "limited live"}
	if diff := cmp.Diff(want, count.lines); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestACountedRequestAllocatesNothing(t *testing.T) {
	var e enforce.Enforcer
	limited := authz.Rule{Limit: &authz.Limit{Rate: 1_000_000, Per: authz.Second}}
	e.Publish(compile(t, policy("a", authz.Allow, limited), policy("cap", authz.Deny, limited)))
	e.Propose(compile(t, policy("b", authz.Allow, authz.Rule{})))
	q := request(connection(checkout, port, flow.HTTP1), "GET", "/")
	if !e.Request(q) {
		t.Fatal("refused")
	}
	// See TestAnAllowedRequestAllocatesNothing.
	if n := testing.AllocsPerRun(1000, func() { e.Request(q) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}
