package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

// TestFailureTable is the failure table of the design: when this, then that.
func TestFailureTable(t *testing.T) {
	t.Parallel()
	rows := []struct {
		when, then string
		run        func(*testing.T)
	}{
		{"no SVID yet", "not ready; refuse, never plaintext", noSVIDYet},
		{"SVID expired and no new one", "refuse new and close old connections; alarm metric well before", svidExpired},
		{"trust bundle loses a root", "close connections whose chain no longer verifies", rootLost},
		{"peer certificate expires", "connection ends gracefully at its NotAfter", peerExpires},
		{"policy source gone", "last good set, its age in a metric", policySourceGone},
		{"bad policy or rule set", "nack, keep the old, say why in status", badPolicy},
		{
			"WAF error or timeout or overload or body too large or unknown encoding",
			"per policy, Deny by default, counted by reason", wafFailures,
		},
		{"app not listening", "502 with reason connect; outlier ejection upstream", appDown},
		{"panic in a request", "that connection closes, counted; the process lives", panicInRequest},
		{"out of limits", "a definite status (431, 413, 503) or close, counted", outOfLimits},
		{
			"a port with L7 policy sees bytes that are not HTTP",
			"close, reason not_http; never falls to opaque", notHTTP,
		},
	}
	const least = 11 // as many as the design has
	if len(rows) < least {
		t.Errorf("%d rows, the failure table has %d", len(rows), least)
	}
	for _, row := range rows {
		t.Run(row.when, func(t *testing.T) {
			t.Parallel()
			t.Logf("when %s, then %s", row.when, row.then)
			row.run(t)
		})
	}
}

func noSVIDYet(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	src := new(identity.Publisher)
	s := side{source: src, forward: serveApp(t, hello), policies: allowAll, notReady: true}.start(t)
	if ok, missing := ready(t, s); ok || !strings.Contains(missing, "identity") {
		t.Errorf("ready %v, missing %q: want identity to be missing", ok, missing)
	}
	if a := s.Addresses(); len(a) != 0 {
		t.Errorf("listeners are bound without an identity: %v", a)
	}
	if got := metric(t, s, "outrider_ready"); got != 0 {
		t.Errorf("outrider_ready is %v", got)
	}
	issued := ca.Source(t, payments).Current()
	src.Publish(issued.SVID, issued.Bundles)
	s.AwaitReady(t)
	dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1).get("/").wants(t, 200)
	testkit.Eventually(t, "ready", func() bool { ok, _ := ready(t, s); return ok })
}

func svidExpired(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	src, peer := ca.Source(t, payments), ca.Source(t, checkout)
	notAfter := time.Now().Add(3 * time.Second).Truncate(time.Second)
	src.Rotate(t, devca.IssueOptions{NotAfter: notAfter})
	s := side{source: src, forward: serveApp(t, hello), policies: allowMesh}.start(t)
	if got := metric(t, s, "outrider_identity_svid_expiry_timestamp_seconds"); got != float64(notAfter.Unix()) {
		t.Errorf("the alarm metric says %f, want %d", got, notAfter.Unix())
	}
	old := dialMesh(t, s.Address(t, "in"), peer, h1)
	old.get("/").wants(t, 200)
	old.ended()
	if time.Now().Before(notAfter) {
		t.Error("the old connection was closed before the SVID expired")
	}
	if w, err := tryMesh(t, s.Address(t, "in"), peer, h1); err == nil {
		w.send("GET / HTTP/1.1\r\nHost: payments\r\n\r\n")
		if a, err := w.tryAnswer(); err == nil {
			t.Errorf("a new connection was served: %d", a.StatusCode)
		}
	}
	s.Log.AwaitReason(t, "no_identity")
	testkit.Eventually(t, "not ready for want of an identity", func() bool {
		ok, missing := ready(t, s)
		return !ok && strings.Contains(missing, "identity")
	})
	src.Rotate(t, devca.IssueOptions{})
	testkit.Eventually(t, "ready with the new SVID", func() bool { ok, _ := ready(t, s); return ok })
	dialMesh(t, s.Address(t, "in"), peer, h1).get("/").wants(t, 200)
}

func rootLost(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	src, peer, server := ca.Source(t, payments), ca.Source(t, checkout), ca.Source(t, payments)
	echoed := serveTCP(t, echo)
	in := side{source: src, forward: serveApp(t, hello), policies: allowMesh}.start(t)
	opaque := side{source: src, forward: echoed, policies: allowMesh}.start(t)
	mesh := serveMesh(t, server, hello)
	caller := ca.Source(t, checkout)
	out := side{source: caller, to: []string{mesh.addr}}.start(t)

	web := dialMesh(t, in.Address(t, "in"), peer, h1)
	web.get("/").wants(t, 200)
	raw := dialMesh(t, opaque.Address(t, "in"), peer, "outrider/1+tcp")
	raw.send("ping")
	raw.reads("ping")
	app := dial(t, out.Address(t, "out"))
	app.get("/").wants(t, 200)
	if n := mesh.open(); n != 1 {
		t.Fatalf("%d pooled hops, want 1", n)
	}

	if err := ca.RotateRoot(); err != nil {
		t.Fatal(err)
	}
	ca.DropOldRoots()
	src.Rotate(t, devca.IssueOptions{})
	caller.Rotate(t, devca.IssueOptions{})

	web.ended()
	raw.ended()
	testkit.Eventually(t, "the pooled hop is closed", func() bool { return mesh.open() == 0 })
	in.Log.AwaitReason(t, "certificate_revoked")
	opaque.Log.AwaitReason(t, "certificate_revoked")
	app.get("/").refused(t, 502, "upstream_tls_failed") // the server still shows the old root's SVID
	if w, err := tryMesh(t, in.Address(t, "in"), peer, h1); err == nil {
		if rest, err := w.ended(); err == nil {
			t.Errorf("a chain of the old root was accepted: %q", rest)
		}
	}
	peer.Rotate(t, devca.IssueOptions{})
	dialMesh(t, in.Address(t, "in"), peer, h1).get("/").wants(t, 200)
}

func peerExpires(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	asked, goOn := make(chan struct{}), make(chan struct{})
	app := serveApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(asked)
			<-goOn
		}
		hello(w, r)
	})
	in := side{source: ca.Source(t, payments), forward: app, policies: allowMesh}.start(t)
	opaque := side{source: ca.Source(t, payments), forward: serveTCP(t, echo), policies: allowMesh}.start(t)
	peer := ca.Source(t, checkout)
	notAfter := time.Now().Add(3 * time.Second).Truncate(time.Second)
	peer.Rotate(t, devca.IssueOptions{NotAfter: notAfter})

	idle := dialMesh(t, in.Address(t, "in"), peer, h1)
	idle.get("/").wants(t, 200)
	raw := dialMesh(t, opaque.Address(t, "in"), peer, "outrider/1+tcp")
	raw.send("ping")
	raw.reads("ping")
	busy := dialMesh(t, in.Address(t, "in"), peer, h1)
	busy.send("GET /slow HTTP/1.1\r\nHost: payments\r\n\r\n")
	<-asked

	if rest, err := idle.ended(); rest != "" || err != nil {
		t.Errorf("the idle connection ended with %q, %v: want an orderly end", rest, err)
	}
	if time.Now().Before(notAfter) {
		t.Error("the idle connection ended before the certificate did")
	}
	raw.ended()
	opaque.Log.AwaitReason(t, "certificate_expired")
	close(goOn)
	if a := busy.answer().wants(t, 200); a.body != "hello" || !a.Close {
		t.Errorf("the request in progress got %q, Connection: close %v", a.body, a.Close)
	}
	if rest, err := busy.ended(); rest != "" || err != nil {
		t.Errorf("the busy connection ended with %q, %v: want an orderly end", rest, err)
	}
	in.Log.AwaitReason(t, "certificate_expired")
}

func policySourceGone(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	dir := filepath.Join(t.TempDir(), "policies")
	testkit.WritePolicies(t, dir, allowMesh)
	s := side{source: ca.Source(t, payments), forward: serveApp(t, hello), directory: dir}.start(t)
	loaded := metric(t, s, "outrider_policy_last_success_timestamp_seconds")
	if loaded == 0 {
		t.Error("no metric tells the age of the policies")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the status says why", func() bool { return policyProblem(t, s) != "" })
	dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1).get("/").wants(t, 200)
	if got := metric(t, s, "outrider_policy_last_success_timestamp_seconds"); got != loaded {
		t.Errorf("the policies in force are of %f, the metric says %f", loaded, got)
	}
	counted(t, s, 1, "outrider_policy_load_errors_total")
	if ok, missing := ready(t, s); !ok {
		t.Errorf("not ready although the last good set is in force: %q", missing)
	}
}

// policyProblem is what the configuration dump says about the policies.
func policyProblem(t *testing.T, s *testkit.Sidecar) string {
	t.Helper()
	problem, _ := field(configDump(t, s), "policies", "problem").(string)
	return problem
}

func badPolicy(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	dir := filepath.Join(t.TempDir(), "policies")
	good := access("Allow", `{from: [{principals: ["`+checkout+`"]}]}`)
	testkit.WritePolicies(t, dir, good)
	s := side{source: ca.Source(t, payments), forward: serveApp(t, hello), directory: dir}.start(t)
	ask := func(who string) answer {
		return dialMesh(t, s.Address(t, "in"), ca.Source(t, who), h1).get("/")
	}
	ask(checkout).wants(t, 200)
	ask(intruder).refused(t, 403, "access_denied")

	bad := []struct{ name, documents, says string }{
		{"text that is not YAML", "{{{", "policies.yaml"},
		{"a key that nobody knows", strings.Replace(good, "action:", "acton:", 1), "acton"},
		{"a rule set that does not compile", good + next + inspection(`rules: "SecRule ARGS \"@nosuch x\" \"id:1,deny\""`), "nosuch"},
	}
	for i, b := range bad {
		testkit.WritePolicies(t, dir, b.documents)
		testkit.Eventually(t, b.name+" is named in the status", func() bool {
			return strings.Contains(policyProblem(t, s), b.says)
		})
		ask(checkout).wants(t, 200)
		ask(intruder).refused(t, 403, "access_denied")
		counted(t, s, float64(i+1), "outrider_policy_load_errors_total")
	}
	testkit.WritePolicies(t, dir, access("Allow", `{from: [{principals: ["`+intruder+`"]}]}`))
	testkit.Eventually(t, "the mended policy is in force", func() bool { return ask(checkout).StatusCode == 403 })
	ask(intruder).wants(t, 200)
	if p := policyProblem(t, s); p != "" {
		t.Errorf("the status still says %q", p)
	}
}

func appDown(t *testing.T) {
	p := newPair(t, side{forward: nobody(t)}, side{})
	a := dial(t, p.out.Address(t, "out")).get("/v1/charges").refused(t, 502, "connect")
	id := decisionID(t, a)
	r := p.in.Log.AwaitReason(t, "connect")
	if r["decision_id"] != id {
		t.Errorf("the caller was told decision %q, the record has %q", id, r["decision_id"])
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
	out := side{source: outID, to: []string{in.Address(t, "in")}}.start(t)

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
		bystander.get("/").wants(t, 200)
		dial(t, out.Address(t, "out")).get("/").wants(t, 200)
	}
}

func outOfLimits(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	peer := ca.Source(t, checkout)
	app := serveApp(t, func(w http.ResponseWriter, r *http.Request) {
		new(bytes.Buffer).ReadFrom(r.Body)
		hello(w, r)
	})
	s := side{
		source: ca.Source(t, payments), forward: app, policies: allowMesh,
		spec: "  limits: {headBytes: 2048, headerCount: 10, targetBytes: 256, bodyBytes: 1000}",
	}.start(t)
	request := func(line, fields, body string) string {
		return line + " HTTP/1.1\r\nHost: payments\r\n" + fields + "\r\n" + body
	}
	many := strings.Repeat("A: b\r\n", 20)
	cases := []struct {
		name, request string
		status        int
		reason        string
	}{
		{"a head of too many bytes", request("GET /", "A: "+strings.Repeat("x", 3000)+"\r\n", ""), 431, "head_too_large"},
		{"a head of too many fields", request("GET /", many, ""), 431, "head_too_large"},
		{"a target that is too long", request("GET /"+strings.Repeat("x", 300), "", ""), 431, "head_too_large"},
		{"a body whose length is declared", request("POST /", "Content-Length: 1001\r\n", strings.Repeat("x", 1001)), 413, "body_too_large"},
		{"a chunked body", request("POST /", "Transfer-Encoding: chunked\r\n", chunks(5, 300)), 413, "body_too_large"},
	}
	const least = 5
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		w := dialMesh(t, s.Address(t, "in"), peer, h1)
		w.send(c.request)
		a := w.answer().refused(t, c.status, c.reason)
		if !a.Close {
			t.Errorf("%s: the connection is to go on", c.name)
		}
		w.ended()
		counted(t, s, 1, "outrider_requests_total", `reason="`+c.reason+`"`)
	}
	within := dialMesh(t, s.Address(t, "in"), peer, h1)
	within.send(request("POST /", "Content-Length: 1000\r\n", strings.Repeat("x", 1000)))
	within.answer().wants(t, 200)

	tooManyConnections(t, ca, app)
	tooManyUpstream(t, ca)
}

func chunks(n, size int) string {
	return strings.Repeat(fmt.Sprintf("%x\r\n%s\r\n", size, strings.Repeat("x", size)), n) + "0\r\n\r\n"
}

func tooManyConnections(t *testing.T, ca *identitytest.CA, app string) {
	const most = 3
	s := side{
		source: ca.Source(t, payments), forward: app, policies: allowMesh,
		spec: fmt.Sprintf("  limits: {connections: %d}", most),
	}.start(t)
	peer := ca.Source(t, checkout)
	var open []*wire
	for range most {
		w := dialMesh(t, s.Address(t, "in"), peer, h1)
		w.get("/").wants(t, 200)
		open = append(open, w)
	}
	over := dial(t, s.Address(t, "in"))
	if rest, _ := over.ended(); rest != "" {
		t.Errorf("a connection over the limit was told %q", rest)
	}
	s.Log.AwaitReason(t, "overloaded")
	counted(t, s, 1, "outrider_connections_closed_total", `reason="overloaded"`)
	open[0].Close()
	testkit.Eventually(t, "there is room again", func() bool {
		w, err := tryMesh(t, s.Address(t, "in"), peer, h1)
		if err != nil {
			return false
		}
		defer w.Close()
		w.send("GET / HTTP/1.1\r\nHost: payments\r\n\r\n")
		a, err := w.tryAnswer()
		return err == nil && a.StatusCode == 200
	})
}

func tooManyUpstream(t *testing.T, ca *identitytest.CA) {
	asked, goOn := make(chan struct{}), make(chan struct{})
	app := serveApp(t, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-goOn
		hello(w, r)
	})
	s := side{
		source: ca.Source(t, payments), forward: app, policies: allowMesh,
		spec: "  limits: {upstreamConnectionsPerDestination: 1}",
	}.start(t)
	peer := ca.Source(t, checkout)
	busy := dialMesh(t, s.Address(t, "in"), peer, h1)
	busy.send("GET / HTTP/1.1\r\nHost: payments\r\n\r\n")
	<-asked
	a := dialMesh(t, s.Address(t, "in"), peer, h1).get("/").refused(t, 503, "overloaded")
	if a.Header.Get("Retry-After") == "" {
		t.Error("a 503 without Retry-After")
	}
	close(goOn)
	busy.answer().wants(t, 200)
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
		{"HTTP/2 with prior knowledge", l7, func(a string) *wire { return dialMesh(t, a, peer) }, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
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
