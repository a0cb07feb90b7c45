package e2e

import (
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

func appDown(t *testing.T) {
	p := newPair(t, side{forward: nobody(t)}, side{})
	a := dial(t, p.out.Address(t, "out")).get("/v1/charges").refused(t, 502, "connect")
	id := decisionID(t, a)
	r := p.in.Log.AwaitReason(t, "connect")
	if r["decision_id"] != id {
		t.Errorf("the caller was told decision %q, the record has %q", id, r["decision_id"])
	}
	if got := a.Header.Get("X-Outrider-Decision"); got != id {
		t.Errorf("x-outrider-decision is %q behind two sidecars, the body says %q", got, id)
	}
	direct := dialMesh(t, p.in.Address(t, "in"), p.outID, h1).get("/").refused(t, 502, "connect")
	if got, want := direct.Header.Get("X-Outrider-Decision"), decisionID(t, direct); got != want {
		t.Errorf("x-outrider-decision is %q, the body says %q", got, want)
	}
	counted(t, p.in, 1, "outrider_requests_total", `reason="connect"`, `code_class="5xx"`)

	// Of two endpoints one is down: it is left alone after its first failure.
	up := newPair(t, side{forward: serveApp(t, hello)}, side{to: []string{nobody(t)}})
	const calls = 50
	w := dial(t, up.out.Address(t, "out"))
	for range calls {
		w.get("/").wants(t, 200)
	}
	if failed := metric(t, up.out, "outrider_upstream_connections_total", `result="failed"`); failed > 10 {
		t.Errorf("%v of %d calls tried the endpoint that is down", failed, calls)
	}
}

// decisionID takes the id out of the body of a refusal.
func decisionID(t *testing.T, a answer) string {
	t.Helper()
	_, rest, ok := strings.Cut(a.body, "decision ")
	id, _, closed := strings.Cut(rest, ")")
	if !ok || !closed || id == "" {
		t.Fatalf("no decision id in %q", a.body)
	}
	return id
}

func panicInRequest(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	inID := &trap{Source: ca.Source(t, payments)}
	in := side{source: inID, forward: serveApp(t, hello), policies: allowMesh}.start(t)
	outID := &trap{Source: ca.Source(t, checkout)}
	out := side{ // a place among its hops that a panic took for good would be missed
		source: outID, to: []string{in.Address(t, "in")},
		spec: "  limits: {upstreamConnectionsPerDestination: 1}",
	}.start(t)

	// A request that needs a new hop asks for our identity, on its own
	// goroutine; so does the handshake of a peer. The former comes first: later
	// there is a hop in the pool.
	cases := []struct {
		name  string
		s     *testkit.Sidecar
		trap  *trap
		begin func() *wire
	}{
		{"in a request", out, outID, func() *wire {
			w := dial(t, out.Address(t, "out"))
			w.send("GET / HTTP/1.1\r\nHost: payments\r\n\r\n")
			return w
		}},
		{"in the handshake of a peer", in, inID, func() *wire {
			return dial(t, in.Address(t, "in"))
		}},
	}
	for _, c := range cases {
		bystander := dial(t, out.Address(t, "out"))
		c.trap.armed.Store(true)
		w := c.begin()
		if rest, _ := w.ended(); rest != "" {
			t.Errorf("%s: the connection said %q, want a close", c.name, rest)
		}
		c.trap.armed.Store(false)
		counted(t, c.s, 1, "outrider_panics_total")
		c.s.Log.AwaitReason(t, "internal")
		bystander.lastly("/").wants(t, 200)
		dial(t, out.Address(t, "out")).lastly("/").wants(t, 200)
	}
}

func notHTTP(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	peer := ca.Source(t, checkout)
	touched := make(chan struct{}, 16)
	app := serveTCP(t, func(c *netConn) { touched <- struct{}{}; echo(c) })
	l7 := access("Allow", `{from: [{principals: ["`+checkout+`"]}], to: [{methods: [GET]}]}`)
	plain := mesh + "{mtls: Permissive, defaultAccess: AllowAll}\n"
	deny := access("Deny", `{to: [{paths: ["/admin"]}]}`)
	cases := []struct {
		name, policies string
		connect        func(addr string) *wire
		bytes          string
	}{
		{"a peer that declares opaque bytes", l7, func(a string) *wire { return dialMesh(t, a, peer, "outrider/1+tcp") }, "GET / HTTP/1.1\r\n\r\n"},
		{"an inner TLS handshake", l7, func(a string) *wire { return dialMesh(t, a, peer) }, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
		{"another protocol", l7, func(a string) *wire { return dialMesh(t, a, peer) }, "SSH-2.0-OpenSSH_9.9\r\n"},
		{"bytes of no protocol", l7, func(a string) *wire { return dialMesh(t, a, peer) }, "\x00\x01\x02\x03\r\n\r\n"},
		{"HTTP/2 where opaque bytes are declared", l7, func(a string) *wire { return dialMesh(t, a, peer, "outrider/1+tcp") }, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		{"plaintext on a permissive port", plain + next + deny, func(a string) *wire { return dial(t, a) }, "\x00\x01\x02\x03\r\n\r\n"},
		{"a port that is inspected", allowMesh + next + inspection("mode: Block"), func(a string) *wire { return dialMesh(t, a, peer) }, "\x00\x01\x02\x03\r\n\r\n"},
	}
	const least = 7
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		s := side{source: ca.Source(t, payments), forward: app, policies: c.policies}.start(t)
		w := c.connect(s.Address(t, "in"))
		w.Write([]byte(c.bytes)) // it may be closed by now
		if rest, _ := w.ended(); rest != "" {
			t.Errorf("%s: the peer was told %q, want a close", c.name, rest)
		}
		s.Log.Await(t, c.name+" as not_http", func(r map[string]any) bool { return r["reason"] == "not_http" })
		counted(t, s, 1, "outrider_connections_closed_total", `reason="not_http"`)
	}
	select {
	case <-touched:
		t.Error("bytes that are not HTTP reached the application")
	default:
	}
}
