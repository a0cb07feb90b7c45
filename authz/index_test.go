package authz_test

import (
	"testing"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
)

// TestIndexByPorts: ports alone tell these rules apart, and one that is not known
// counts against the caller.
func TestIndexByPorts(t *testing.T) {
	const n = 100
	var rules []authz.Rule
	for i := range n {
		rules = append(rules, to(authz.To{Ports: []int{1000 + i}}))
	}
	allow := authztest.Set(t, authztest.Allow("a", rules...))
	deny := authztest.Set(t, authztest.Allow("a", authz.Rule{}), authztest.Deny("d", rules...))
	r := authztest.Request(t, checkout, "/")
	for port := range uint16(2000) {
		r.Port = port
		known := port >= 1000 && port < 1000+n
		if d := allow.Authorize(r); d.Allowed != known || known && d.Rule != int(port)-1000 {
			t.Errorf("allowed on port %d: %v", port, d)
		}
		if d := deny.Authorize(r); d.Allowed == (known || port == 0) {
			t.Errorf("denied on port %d: %v", port, d)
		}
	}
}

// TestIndexOfManyKeys: a rule with more values than an index takes is found all
// the same.
func TestIndexOfManyKeys(t *testing.T) {
	var paths []string
	var rules []authz.Rule
	for _, a := range "abcdefghijklmnopqrstuvwxyz" {
		for _, b := range "0123456789" {
			paths = append(paths, "/"+string(a)+"/"+string(b))
		}
		rules = append(rules, to(authz.To{Paths: []string{"/" + string(a)}}))
	}
	rules = append(rules, to(authz.To{Paths: paths}))
	s := authztest.Set(t, authztest.Allow("a", rules...))
	for _, p := range append(paths, "/a", "/z") {
		if d := s.Authorize(authztest.Request(t, checkout, p)); !d.Allowed {
			t.Errorf("%s: %v", p, d)
		}
	}
	if d := s.Authorize(authztest.Request(t, checkout, "/z/10")); d.Allowed {
		t.Error(d)
	}
}

// TestIndexOfDeepPaths looks beyond the slashes that an index counts.
func TestIndexOfDeepPaths(t *testing.T) {
	const deep = "/1/2/3/4/5/6/7/8/9/10/"
	var rules []authz.Rule
	for _, end := range []string{"a", "b/{*}", "c/*", "d/{**}", "e", "f", "g", "h", "i", "j"} {
		path := deep + end
		rules = append(rules, to(authz.To{Paths: []string{path}}), to(authz.To{Paths: []string{"/" + end}}))
	}
	s := authztest.Set(t, authztest.Allow("a", rules...))
	for path, want := range map[string]bool{
		deep + "a": true, deep + "b/x": true, deep + "c/x/y": true, deep + "d/x/y": true, "/b/x": true, "/e": true,
		deep: false, deep + "b": false, deep + "b/x/y": false, "/1/2/3/4/5/6/7/8/a": false, "/x": false, "*": false,
	} {
		if d := s.Authorize(authztest.Request(t, checkout, path)); d.Allowed != want {
			t.Errorf("%s: %v", path, d)
		}
	}
}
