// Package authztest makes authorization sets and requests for the tests of
// other packages, without a document in sight.
package authztest

import (
	"net/netip"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
)

// TrustDomain is that of [Workload].
const TrustDomain = "cluster.local"

// Workload is whom [Set] protects: shop/payments with the label app=payments.
func Workload() authz.Workload {
	return authz.Workload{
		Namespace: "shop", Name: "payments", TrustDomain: TrustDomain,
		Labels: map[string]string{"app": "payments"},
	}
}

// Set compiles the policies for [Workload] with default deny, or ends the test.
func Set(t testing.TB, policies ...authz.Policy) *authz.Set {
	t.Helper()
	s, err := authz.Compile(policies, authz.Options{Workload: Workload()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Allow is an enforced Allow policy for every workload of every namespace. Give
// it authz.Rule{} to allow everything, and no rule to allow nothing.
func Allow(name string, rules ...authz.Rule) authz.Policy {
	return policy(name, authz.Allow, rules)
}

// Deny is an enforced Deny policy for every workload of every namespace.
func Deny(name string, rules ...authz.Rule) authz.Policy {
	return policy(name, authz.Deny, rules)
}

func policy(name string, action authz.Action, rules []authz.Rule) authz.Policy {
	return authz.Policy{
		Metadata: authz.Metadata{Name: name},
		Spec:     authz.PolicySpec{Action: action, Rules: rules},
	}
}

// Principals is a rule for callers with one of the SPIFFE IDs or patterns.
func Principals(principals ...string) authz.Rule {
	return authz.Rule{From: []authz.From{{Principals: principals}}}
}

// Account is the SPIFFE ID of a service account in [TrustDomain].
func Account(namespace, name string) string {
	return "spiffe://" + TrustDomain + "/ns/" + namespace + "/sa/" + name
}

// Request is a GET of a path on port 8080 by peer, a SPIFFE ID or empty for an
// unauthenticated caller. Change its fields for anything else.
func Request(t testing.TB, peer, path string) *authz.Request {
	t.Helper()
	r := &authz.Request{
		Source: netip.MustParseAddr("10.0.0.9"), Port: 8080,
		HTTP: true, Method: "GET", Host: "payments", Path: path, Header: Header{},
	}
	if peer == "" {
		return r
	}
	id, err := spiffeid.FromString(peer)
	if err != nil {
		t.Fatal(err)
	}
	r.Peer = id
	return r
}

// Header is an [authz.Header] of name and value pairs, in order.
type Header [][2]string

// Each implements [authz.Header].
func (h Header) Each(yield func(name, value string) bool) {
	for _, field := range h {
		if !yield(field[0], field[1]) {
			return
		}
	}
}
