package flow_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// Names label metrics and stand in logs: they are words, and no two are alike.
func checkNames[T fmt.Stringer](t *testing.T, all []T, unset T) {
	t.Helper()
	seen := map[string]bool{}
	for _, v := range all {
		name := v.String()
		if seen[name] {
			t.Errorf("%q names two of them", name)
		}
		seen[name] = true
		if !regexp.MustCompile(`^(-|[a-z][a-z0-9_]*)$`).MatchString(name) {
			t.Errorf("%q is no name", name)
		}
	}
	if got := unset.String(); got != "unknown" {
		t.Errorf("a value that does not exist is called %q", got)
	}
}

func TestNames(t *testing.T) {
	if n := len(flow.Reasons()); n < 28 {
		t.Errorf("only %d reasons", n)
	}
	checkNames(t, flow.Reasons(), flow.Reason(250))
	if n := len(flow.Classes()); n < 6 {
		t.Errorf("only %d classes", n)
	}
	checkNames(t, flow.Classes(), flow.Class(250))
	checkNames(t, []flow.Direction{flow.Inbound, flow.Outbound}, 0)
	checkNames(t, []flow.Protocol{flow.Undetected, flow.HTTP1, flow.TCP}, 99)
	checkNames(t, []flow.Security{flow.Plaintext, flow.MutualTLS}, 99)
	checkNames(t, []flow.Outcome{flow.InspectionOff, flow.Clean, flow.Detected, flow.Blocked, flow.NotInspected}, 99)
	checkNames(t, []flow.Uninspected{
		flow.Inspected, flow.EngineError, flow.EngineTimeout, flow.EngineOverload, flow.BodyOverCap, flow.Encoding, flow.Stream,
	}, 99)
}

func TestReasonsAreComplete(t *testing.T) {
	all := flow.Reasons()
	for i, r := range all {
		if int(r) != i || r.String() == "" || r.String() == "unknown" {
			t.Errorf("reason %d is %v (%d)", i, r, r)
		}
	}
	if next := flow.Reason(len(all)); next.String() != "unknown" {
		t.Errorf("%v is not among the reasons", next)
	}
	if all[0] != flow.None || all[0].String() != "-" {
		t.Errorf("the first is %v", all[0])
	}
}
