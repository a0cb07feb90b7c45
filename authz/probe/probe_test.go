package probe_test

import (
	"testing"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
	"github.com/outrider-mesh/outrider/authz/probe"
)

func TestMatches(t *testing.T) {
	get := authztest.Request(t, authztest.Account("shop", "checkout"), "/a")
	opaque := &authz.Request{Peer: get.Peer, Port: 8080}
	cases := []struct {
		name        string
		rule        authz.Rule
		request     *authz.Request
		allow, deny bool
	}{
		{"everything", authz.Rule{}, get, true, true},
		{"the path", authz.Rule{To: []authz.To{{Paths: []string{"/a"}}}}, get, true, true},
		{"another path", authz.Rule{To: []authz.To{{Paths: []string{"/b"}}}}, get, false, false},
		{"a path of bytes that have none", authz.Rule{To: []authz.To{{Paths: []string{"/b"}}}}, opaque, false, true},
		{"an address that is not known", authz.Rule{From: []authz.From{{IPBlocks: []string{"10.0.0.0/8"}}}}, opaque, false, true},
		{"a short name of the policy's namespace", authz.Rule{From: []authz.From{{ServiceAccounts: []string{"checkout"}}}}, get, true, true},
	}
	for _, c := range cases {
		for action, want := range map[authz.Action]bool{authz.Allow: c.allow, authz.Deny: c.deny} {
			p, err := probe.New(action, "shop", authztest.TrustDomain, c.rule)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Matches(c.request); got != want {
				t.Errorf("%s as %s: %t", c.name, action, got)
			}
		}
	}
	if _, err := probe.New(authz.Allow, "", "", authz.Rule{From: []authz.From{{}}}); err == nil {
		t.Error("a rule that is not valid is accepted")
	}
}
