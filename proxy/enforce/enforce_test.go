package enforce_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/proxy/enforce"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

const (
	port     = 8080
	checkout = "spiffe://example.org/ns/shop/sa/checkout"
	intruder = "spiffe://example.org/ns/shop/sa/intruder"
	batch    = "spiffe://example.org/ns/night/sa/batch"
)

// payments lets checkout POST charges on the port, and batch reach 5432.
func payments(t *testing.T) *authz.Set {
	t.Helper()
	allow := func(name string, from []authz.From, to authz.To) authz.Policy {
		p := authz.Policy{Metadata: authz.Metadata{Name: name, Namespace: "shop"}}
		p.Spec.Action = authz.Allow
		p.Spec.Rules = []authz.Rule{{From: from, To: []authz.To{to}}}
		return p
	}
	set, err := authz.Compile([]authz.Policy{
		allow("payments-callers", []authz.From{{Principals: []string{checkout}}},
			authz.To{Ports: []int{port}, Methods: []string{"POST"}, Paths: []string{"/v1/charges"}}),
		allow("database", []authz.From{{Principals: []string{batch}}}, authz.To{Ports: []int{5432}}),
	}, authz.Options{Workload: authz.Workload{Namespace: "shop", Name: "payments", TrustDomain: "example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func connection(peer string, to uint16, p flow.Protocol) *flow.Connection {
	c := &flow.Connection{
		Direction: flow.Inbound, Protocol: p,
		Remote:      netip.MustParseAddrPort("[::ffff:10.0.0.9]:4711"),
		Destination: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to),
	}
	if peer != "" {
		c.Peer = identity.Peer{ID: spiffeid.RequireFromString(peer)}
	}
	return c
}

func request(c *flow.Connection, method, path string) *flow.Request {
	return &flow.Request{Conn: c, Method: method, Path: path, Host: "payments"}
}

func TestConnections(t *testing.T) {
	var e enforce.Enforcer
	e.Publish(payments(t))
	for _, c := range []struct {
		name    string
		conn    *flow.Connection
		allowed bool
		explain []string
	}{
		{"HTTP of a caller whose requests may pass", connection(checkout, port, flow.HTTP1), true, nil},
		{
			"HTTP of a caller none of whose requests may pass", connection(intruder, port, flow.HTTP1), false,
			[]string{"no", "shop/payments-callers rule 0", intruder},
		},
		{"HTTP/2 of a caller whose requests may pass", connection(checkout, port, flow.HTTP2), true, nil},
		{
			"HTTP/2 of a caller none of whose requests may pass", connection(intruder, port, flow.HTTP2), false,
			[]string{"no", "shop/payments-callers rule 0", intruder},
		},
		{"HTTP without an identity", connection("", port, flow.HTTP1), false, []string{"shop/payments-callers rule 0", "principal"}},
		{
			"opaque bytes where only HTTP is allowed", connection(checkout, port, flow.TCP), false,
			[]string{"shop/payments-callers rule 0", "not HTTP"},
		},
		{"opaque bytes where they are allowed", connection(batch, 5432, flow.TCP), true, nil},
		{"opaque bytes on a port nobody speaks of", connection(checkout, 9999, flow.TCP), false, []string{"none matched", "shop/database rule 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := e.Connection(c.conn); got != c.allowed {
				t.Fatalf("allowed: %t", got)
			}
			checkRefusal(t, c.conn.Refusal, c.conn.Decision, c.allowed, c.explain)
		})
	}
}

func TestRequests(t *testing.T) {
	var e enforce.Enforcer
	e.Publish(payments(t))
	caller := connection(checkout, port, flow.HTTP1)
	for _, c := range []struct {
		name    string
		request *flow.Request
		allowed bool
		explain []string
	}{
		{"what the policy allows", request(caller, "POST", "/v1/charges"), true, nil},
		{"another method", request(caller, "DELETE", "/v1/charges"), false, []string{`method "DELETE" not in [POST]`}},
		{"another path", request(caller, "POST", "/v1/refunds"), false, []string{`path "/v1/refunds"`}},
		{"another caller", request(connection(intruder, port, flow.HTTP1), "POST", "/v1/charges"), false, []string{intruder}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := e.Request(c.request); got != c.allowed {
				t.Fatalf("allowed: %t", got)
			}
			checkRefusal(t, c.request.Refusal, c.request.Decision, c.allowed, c.explain)
		})
	}
}

func checkRefusal(t *testing.T, r flow.Refusal, d authz.Decision, allowed bool, explain []string) {
	t.Helper()
	if d.Allowed != allowed {
		t.Errorf("decision %v", d)
	}
	if allowed {
		if r != (flow.Refusal{}) {
			t.Errorf("refusal %v of what is allowed", r)
		}
		return
	}
	if r.Reason != flow.AccessDenied {
		t.Errorf("reason %v", r.Reason)
	}
	for _, want := range explain {
		if !strings.Contains(r.Detail, want) {
			t.Errorf("%q does not say %q", r.Detail, want)
		}
	}
}

// The nearest rule of an HTTP connection must not complain that it is no HTTP.
func TestTheExplanationOfAnHTTPConnectionIsNotAboutHTTP(t *testing.T) {
	var e enforce.Enforcer
	e.Publish(payments(t))
	c := connection(intruder, port, flow.HTTP1)
	if e.Connection(c) || strings.Contains(c.Refusal.Detail, "not HTTP") {
		t.Errorf("explained as %q", c.Refusal.Detail)
	}
}

func TestWithoutPoliciesEverythingIsDenied(t *testing.T) {
	var e enforce.Enforcer
	for _, p := range []flow.Protocol{flow.Undetected, flow.HTTP1, flow.TCP} {
		c := connection(checkout, port, p)
		if e.Connection(c) || e.StillAllows(c) || e.Request(request(c, "GET", "/")) {
			t.Errorf("%v passed without a policy", p)
		}
		if c.Refusal.Reason != flow.AccessDenied {
			t.Errorf("reason %v", c.Refusal.Reason)
		}
	}
	if e.NeedsHTTP(port) {
		t.Error("without a policy a port needs HTTP")
	}
}

func TestAPolicyThatChanges(t *testing.T) {
	var e enforce.Enforcer
	e.Publish(payments(t))
	c := connection(batch, 5432, flow.TCP)
	if !e.StillAllows(c) {
		t.Fatal("denied before")
	}
	if !e.NeedsHTTP(port) || e.NeedsHTTP(5432) {
		t.Error("only the port with methods and paths needs HTTP")
	}
	denyAll, err := authz.Compile(nil, authz.Options{Default: authz.DenyAll})
	if err != nil {
		t.Fatal(err)
	}
	e.Publish(denyAll)
	if e.StillAllows(c) {
		t.Error("allowed by a policy that allows nothing")
	}
	if c.Decision != (authz.Decision{}) || c.Refusal != (flow.Refusal{}) {
		t.Error("asking again changed the connection")
	}
}

func TestAnAllowedRequestAllocatesNothing(t *testing.T) {
	var e enforce.Enforcer
	set, err := authz.Compile(nil, authz.Options{Default: authz.AllowAll})
	if err != nil {
		t.Fatal(err)
	}
	e.Publish(set)
	q := &flow.Request{Conn: &flow.Connection{Protocol: flow.HTTP1}, Method: "GET", Path: "/"}
	if !e.Request(q) {
		t.Fatal("refused")
	}
	// The race detector drops some of what is put into a sync.Pool, so less
	// than one on average is as much as can be asked for.
	if n := testing.AllocsPerRun(1000, func() { e.Request(q) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}
