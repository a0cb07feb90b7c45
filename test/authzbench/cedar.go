package main

import (
	"fmt"
	"iter"
	"strings"

	"github.com/cedar-policy/cedar-go"
)

// cedarText writes the policies, one for each rule.
func cedarText(s shape, n int) string {
	var b strings.Builder
	for i := range n {
		who, which := fmt.Sprintf("principal == Workload::%q", s.principal(i)), ""
		if s.byPrefix {
			who, which = "principal", fmt.Sprintf("context.id like %q && ", s.principal(i)+"*")
		}
		fmt.Fprintf(&b, `permit(%s, action in [Action::"GET", Action::"POST"], resource) when { %scontext.port == %d && (context.path == %q || context.path like %q) };`+"\n",
			who, which, port, exact, below+"*")
	}
	fmt.Fprintf(&b, "forbid(principal, action, resource) when { context.id like %q };\n", guests+"*")
	return b.String()
}

func cedarRequests(calls []call) []cedar.Request {
	all := make([]cedar.Request, len(calls))
	for i, c := range calls {
		all[i] = cedar.Request{
			Principal: cedar.NewEntityUID("Workload", cedar.String(c.principal)),
			Action:    cedar.NewEntityUID("Action", cedar.String(c.method)),
			Resource:  cedar.NewEntityUID("Application", "payments"),
			Context: cedar.NewRecord(cedar.RecordMap{
				"id": cedar.String(c.principal), "path": cedar.String(c.path), "port": cedar.Long(c.port),
			}),
		}
	}
	return all
}

// cedarAll is cedar-go as its documentation has it: one set of policies.
func cedarAll(s shape, n int, calls []call) (decide, error) {
	set, err := cedar.NewPolicySetFromBytes("bench", []byte(cedarText(s, n)))
	if err != nil {
		return nil, fmt.Errorf("compile for cedar-go: %w", err)
	}
	requests := cedarRequests(calls)
	return func(i int) (bool, error) {
		verdict, diagnostic := cedar.Authorize(set, nil, requests[i])
		if len(diagnostic.Errors) > 0 {
			return false, fmt.Errorf("cedar-go: %v", diagnostic.Errors[0])
		}
		return verdict == cedar.Allow, nil
	}, nil
}

// chosen are the policies that may concern one caller.
type chosen []*cedar.Policy

func (c chosen) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, p := range c {
			if !yield("chosen", p) {
				return
			}
		}
	}
}

// cedarChosen is the best that can be made of cedar-go where rules name whole
// callers: policies are looked up by the caller, by hand, and it sees only those.
func cedarChosen(s shape, n int, calls []call) (decide, error) {
	if s.byPrefix {
		return nil, nil // no such table
	}
	list, err := cedar.NewPolicyListFromBytes("bench", []byte(cedarText(s, n)))
	if err != nil {
		return nil, fmt.Errorf("compile for cedar-go: %w", err)
	}
	forbid := list[n]
	byCaller := make(map[cedar.String]chosen, n)
	for i := range n {
		byCaller[cedar.String(s.principal(i))] = chosen{list[i], forbid}
	}
	anybody, requests := chosen{forbid}, cedarRequests(calls)
	return func(i int) (bool, error) {
		policies, known := byCaller[requests[i].Principal.ID]
		if !known {
			policies = anybody
		}
		verdict, _ := cedar.Authorize(policies, nil, requests[i])
		return verdict == cedar.Allow, nil
	}, nil
}
