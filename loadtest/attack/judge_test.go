package attack

import (
	"errors"
	"fmt"
	"testing"

	"github.com/outrider-mesh/outrider/loadtest/attack/evidence"
	"github.com/outrider-mesh/outrider/loadtest/attack/wire"
	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/proxy/enforce"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

func status(n int) exchange { return exchange{answer: wire.Answer{Status: n}} }

func refused(n int, reason string) exchange {
	return exchange{answer: wire.Answer{Status: n, Reason: reason}}
}

func failure(kind target.Kind) exchange {
	return exchange{err: &target.Failure{Kind: kind, Err: errors.New("because")}}
}

// logged is a sample that was answered and is in the log.
func logged(outcome, reason string) exchange {
	x := status(200)
	x.record = &evidence.Record{Decision: "d", Reason: reason}
	if outcome != "" {
		x.record.WAF = &evidence.WAF{Outcome: outcome}
	}
	return x
}

func TestJudge(t *testing.T) {
	drops, fromLog, noStatus := DefaultRules(), DefaultRules(), DefaultRules()
	drops.DropBlocks, fromLog.FromLog, noStatus.BlockStatus = true, true, nil
	cases := []struct {
		name  string
		rules Rules
		x     exchange
		want  Outcome
		why   string
	}{
		{"an answer of the application", DefaultRules(), status(200), Passed, ""},
		{"one that is no success is one, too", DefaultRules(), status(404), Passed, ""},
		{"and so is the application's failure", DefaultRules(), status(500), Passed, ""},
		{"a 403", DefaultRules(), status(403), Blocked, ""},
		{"a 403 where only an Outrider blocks", noStatus, status(403), Passed, ""},
		{"a dead application", DefaultRules(), status(502), Unclear, "status 502"},
		{"the WAF of an Outrider", noStatus, refused(403, "waf_blocked"), Blocked, "waf_blocked"},
		{"a 403 of an Outrider's access policy", DefaultRules(), refused(403, "access_denied"), Unclear, "access_denied"},
		{"what it cannot inspect", DefaultRules(), refused(403, "waf_uninspected"), Uninspected, "waf_uninspected"},
		{"a WAF without time", DefaultRules(), refused(503, "waf_unavailable"), Unclear, "waf_unavailable"},
		{"its parser", DefaultRules(), refused(400, "bad_request"), Refused, "bad_request"},
		{"a reason that nobody knows yet", DefaultRules(), refused(403, "novel"), Unclear, "novel"},
		{"no answer", DefaultRules(), failure(target.Timeout), Failed, "timeout: because"},
		{"a connection that was dropped", DefaultRules(), failure(target.Closed), Failed, "closed: because"},
		{"the same where that is how a WAF blocks", drops, failure(target.Closed), Blocked, "connection closed"},
		{"which a timeout is not", drops, failure(target.Timeout), Failed, "timeout: because"},
		{"detected in the log", fromLog, logged("detected", ""), Blocked, "detected"},
		{"blocked in the log", fromLog, logged("blocked", "waf_blocked"), Blocked, "blocked"},
		{"clean in the log", fromLog, logged("clean", ""), Passed, ""},
		{"clean, but the application was dead", fromLog, logged("clean", "connect"), Passed, ""},
		{"not inspected, and passed", fromLog, logged("not_inspected", ""), Passed, ""},
		{"not inspected, and refused for that", fromLog, logged("not_inspected", "waf_uninspected"), Uninspected, "waf_uninspected"},
		{"not inspected for want of time", fromLog, logged("not_inspected", "waf_unavailable"), Unclear, "waf_unavailable"},
		{"in the log without inspection", fromLog, logged("", ""), Passed, ""},
		{"refused by the parser in the log", fromLog, logged("", "bad_request"), Refused, "bad_request"},
		{"denied in the log", fromLog, logged("", "access_denied"), Unclear, "access_denied"},
		{"not in the log", fromLog, status(200), Unclear, "no record in the access log"},
		{"not in the log, but the answer says enough", fromLog, refused(400, "bad_request"), Refused, "bad_request"},
		{"not in the log, and no answer", fromLog, failure(target.Connect), Failed, "connect: because"},
		{"the log counts only where it shall", DefaultRules(), logged("detected", ""), Passed, ""},
	}
	if len(cases) < 30 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		got, why := c.rules.judge(&c.x)
		if got != c.want || why != c.why {
			t.Errorf("%s: %s (%s), want %s (%s)", c.name, got, why, c.want, c.why)
		}
	}
}

// Every answer of a sidecar means one thing; a reason that is added needs a
// decision here.
func TestEveryReasonOfTheSidecarIsJudged(t *testing.T) {
	want := map[flow.Reason]Outcome{
		flow.WAFBlocked: Blocked, flow.WAFUninspected: Uninspected,
		flow.BadRequest: Refused, flow.HeadTooLarge: Refused, flow.BodyTooLarge: Refused, flow.MethodRefused: Refused,
		flow.NotHTTP: Refused,
	}
	for _, r := range []flow.Reason{
		flow.AccessDenied, flow.RateLimited, flow.WAFUnavailable, flow.NoIdentity, flow.PlaintextRefused, flow.RequestTimeout,
		flow.Overloaded, flow.NoDestination, flow.Unresolved, flow.ConnectFailed, flow.ConnectTimeout, flow.UpstreamTLSFailed, flow.UpstreamClosed,
		flow.UpstreamProtocol, flow.UpstreamTimeout, flow.PolicyChanged, flow.Draining, flow.Internal,
	} {
		want[r] = Unclear
	}
	judged := 0
	for _, r := range flow.Reasons() {
		a, ok := enforce.AnswerTo(flow.Refusal{Reason: r}, "id")
		if !ok {
			continue
		}
		judged++
		x := refused(a.Status, r.String())
		rules := DefaultRules()
		if got, _ := rules.judge(&x); got != want[r] {
			t.Errorf("%s is judged as %q, want %q", r, string(got), string(want[r]))
		}
	}
	if judged < 23 {
		t.Errorf("judged only %d reasons", judged)
	}
}

func TestRefusalsCountAsAsked(t *testing.T) {
	counting, strict := DefaultRules(), DefaultRules()
	strict.CountRefusals = false
	want := map[Outcome][2]bool{ // counting, strict
		Passed: {false, false}, Blocked: {true, true}, Refused: {true, false}, Uninspected: {true, false},
	}
	for _, o := range outcomes() {
		if got := [2]bool{counting.stops(o), strict.stops(o)}; got != want[o] {
			t.Errorf("%s: %v, want %v", o, got, want[o])
		}
	}
}

func TestUninspected(t *testing.T) {
	partly := logged("clean", "")
	partly.record.WAF.Uninspected = "body_over_cap"
	for _, c := range []struct {
		r    *evidence.Record
		want string
	}{
		{nil, ""},
		{logged("clean", "").record, ""},
		{partly.record, "body_over_cap"},
		{logged("", "").record, "no inspection policy is about it"},
		{logged("", "access_denied").record, ""},
	} {
		if got := uninspected(c.r); got != c.want {
			t.Errorf("%+v: %q, want %q", c.r, got, c.want)
		}
	}
}

func TestRulesAreChecked(t *testing.T) {
	good := DefaultRules()
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []Rules{{BlockStatus: []int{100}}, {UnclearStatus: []int{600}}, {BlockStatus: []int{403}, UnclearStatus: []int{403}}} {
		if bad.check() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestOutcomesHaveWords(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range outcomes() {
		seen[fmt.Sprint(o)] = true
	}
	if len(seen) != 6 || seen[""] {
		t.Errorf("%v", seen)
	}
}
