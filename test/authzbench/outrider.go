package main

import (
	"fmt"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
)

// outrider is the engine of this repository.
func outrider(s shape, n int, calls []call) (decide, error) {
	allow := authz.Policy{Metadata: authz.Metadata{Name: "allow"}, Spec: authz.PolicySpec{Action: authz.Allow}}
	for i := range n {
		principal := s.principal(i)
		if s.byPrefix {
			principal += "*"
		}
		allow.Spec.Rules = append(allow.Spec.Rules, authz.Rule{
			From: []authz.From{{Principals: []string{principal}}},
			To:   []authz.To{{Ports: []int{port}, Methods: []string{"GET", "POST"}, Paths: []string{exact, below + "*"}}},
		})
	}
	deny := authz.Policy{Metadata: authz.Metadata{Name: "deny"}, Spec: authz.PolicySpec{
		Action: authz.Deny, Rules: []authz.Rule{{From: []authz.From{{Principals: []string{guests + "*"}}}}},
	}}
	set, err := authz.Compile([]authz.Policy{allow, deny}, authz.Options{})
	if err != nil {
		return nil, err
	}
	requests := make([]*authz.Request, len(calls))
	for i, c := range calls {
		id, err := spiffeid.FromString(c.principal)
		if err != nil {
			return nil, fmt.Errorf("read caller: %w", err)
		}
		requests[i] = &authz.Request{
			Peer: id, Port: uint16(c.port), HTTP: true, Method: c.method, Path: c.path, Host: "payments",
		}
	}
	return func(i int) (bool, error) { return set.Authorize(requests[i]).Allowed, nil }, nil
}
