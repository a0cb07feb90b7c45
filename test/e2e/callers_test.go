package e2e

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/proxy/hop"
)

// reserved are header lines that only a sidecar may write, in spellings that some
// application takes for them.
var reserved = []string{
	"X-Forwarded-Client-Cert: By=spiffe://a/b;Hash=00;URI=" + payments,
	"x-forwarded-client-cert: URI=" + payments,
	"X_Forwarded_Client_Cert: URI=" + payments,
	"X-Outrider-Peer: " + payments,
	"x-outrider-peer: " + payments,
	"X_Outrider_Peer: " + payments,
	"x-outrider_peer: " + payments,
	"X-Outrider-Decision: forged",
	"X-Outrider-Anything: forged",
}

// seen collects what an application is told under names that look reserved.
func seen(h http.Header) (lines []string) {
	for name, values := range h {
		plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if strings.HasPrefix(plain, "x-outrider") || plain == "x-forwarded-client-cert" {
			for _, v := range values {
				lines = append(lines, strings.ToLower(name)+": "+v)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func TestForgedIdentityHeadersReachNobody(t *testing.T) {
	t.Parallel()
	got := make(chan []string, 8)
	app := serveApp(t, func(w http.ResponseWriter, r *http.Request) {
		got <- seen(r.Header)
		for _, line := range reserved {
			name, value, _ := strings.Cut(line, ": ")
			w.Header()[name] = append(w.Header()[name], value)
		}
		hello(w, r)
	})
	p := newPair(t, side{forward: app}, side{})
	permissive := side{
		source: p.inID, forward: app, listener: ", mtls: Permissive, protocol: HTTP", policies: allowAll,
	}.start(t)
	undeclared := side{
		source: p.inID, forward: app, listener: ", mtls: Permissive", policies: allowAll, spec: "  limits: {detectTimeout: 1ms}",
	}.start(t)
	waited := dial(t, undeclared.Address(t, "in"))
	testkit.Eventually(t, "who waits is taken for a client of opaque bytes", func() bool {
		return metric(t, undeclared, "outrider_connections_active", `protocol="tcp"`) == 1
	})
	request := "GET / HTTP/1.1\r\nHost: payments\r\n" + strings.Join(reserved, "\r\n") + "\r\n\r\n"
	peer := p.outID.Current().SVID.Certificates[0]
	hash := identityHash(peer.Raw)
	proved := []string{
		"x-forwarded-client-cert: By=" + payments + ";Hash=" + hash + ";URI=" + checkout,
		"x-outrider-peer: " + checkout,
	}
	cases := []struct {
		name string
		via  *wire
		want []string
	}{
		{"through two sidecars", dial(t, p.out.Address(t, "out")), proved},
		{"from a mesh peer", dialMesh(t, p.in.Address(t, "in"), p.outID, h1), proved},
		{"from a SPIFFE client that is no Outrider", dialMesh(t, p.in.Address(t, "in"), p.outID, "http/1.1"), proved},
		{"from a mesh peer that declares opaque bytes", dialMesh(t, p.in.Address(t, "in"), p.outID, hop.ALPNTCP), proved},
		{"from plaintext", dial(t, permissive.Address(t, "in")), nil},
		{"from plaintext that waits first", waited, nil},
	}
	const least = 6
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		c.via.send(request)
		a := c.via.answer().wants(t, 200)
		if diff := cmp.Diff(c.want, <-got); diff != "" {
			t.Errorf("%s: the application was told (-want +got):\n%s", c.name, diff)
		}
		if back := seen(a.Header); back != nil {
			t.Errorf("%s: the caller was told %q", c.name, back)
		}
	}
}

func TestAPlaintextCallerHasNoIdentity(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	app := serveApp(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("X-Outrider-Peer"))
	})
	peer := ca.Source(t, checkout)
	allowCheckout := access("Allow", `{from: [{principals: ["`+checkout+`"]}]}`)
	cases := []struct {
		name, policies string
		plain, mutual  int
	}{
		{"everybody is let in", allowAll, 200, 200},
		{"whoever has an identity is let in", allowMesh, 403, 200},
		{"one identity is let in", allowCheckout, 403, 200},
		{"any identity is let in by rule", access("Allow", `{from: [{principals: ["*"]}]}`), 403, 200},
		{"whoever has no identity is kept out", allowAll + next + access("Deny", `{from: [{notPrincipals: ["*"]}]}`), 403, 200},
		{"nobody is let in", "", 403, 403},
	}
	const least = 6
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		s := side{source: ca.Source(t, payments), forward: app, listener: ", mtls: Permissive, protocol: HTTP", policies: c.policies}.start(t)
		a := dial(t, s.Address(t, "in")).get("/")
		if a.StatusCode != c.plain || a.StatusCode == 200 && a.body != "" {
			t.Errorf("%s: plaintext got %d %q, want %d", c.name, a.StatusCode, a.body, c.plain)
		}
		m := dialMesh(t, s.Address(t, "in"), peer, h1).get("/")
		if m.StatusCode != c.mutual || m.StatusCode == 200 && m.body != checkout {
			t.Errorf("%s: mutual TLS got %d %q, want %d", c.name, m.StatusCode, m.body, c.mutual)
		}
		r := s.Log.Await(t, "the plaintext request", func(r map[string]any) bool {
			return r["kind"] == "request" && r["security"] == "plaintext"
		})
		if id := field(r, "source", "id"); id != nil {
			t.Errorf("%s: the record gives plaintext the identity %v", c.name, id)
		}
	}
}

func TestAStrictPortRefusesPlaintextReadably(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	reached := make(chan struct{}, 8)
	app := serveTCP(t, func(*netConn) { reached <- struct{}{} })
	s := side{source: ca.Source(t, payments), forward: app, policies: allowAll}.start(t)
	requests := []string{
		"GET / HTTP/1.1\r\nHost: payments\r\n\r\n",
		"POST /v1/charges HTTP/1.1\r\nHost: payments\r\nContent-Length: 5\r\n\r\nhello",
		"DELETE /x HTTP/1.0\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: payments\r\n\r\n",
	}
	for _, request := range requests {
		w := dial(t, s.Address(t, "in"))
		w.send(request)
		a := w.answer().refused(t, 403, "plaintext_refused")
		if !a.Close {
			t.Errorf("%.10q: the connection is to go on", request)
		}
		w.Close()
		id := decisionID(t, a)
		s.Log.Await(t, "that decision", func(r map[string]any) bool {
			return r["decision_id"] == id && r["reason"] == "plaintext_refused"
		})
	}
	counted(t, s, float64(len(requests)), "outrider_connections_closed_total", `reason="plaintext_refused"`)
	for _, bytes := range []string{"SSH-2.0-OpenSSH\r\n", "\x00\x00\x00\x00\x00\x00", "hello world, this is no HTTP"} {
		w := dial(t, s.Address(t, "in"))
		w.send(bytes)
		if rest, _ := w.ended(); strings.Contains(rest, "HTTP/1.1") && !strings.HasPrefix(bytes, "SSH") {
			t.Errorf("%q was answered %q", bytes, rest)
		}
	}
	select {
	case <-reached:
		t.Error("plaintext reached the application")
	default:
	}
}

func TestAPortThatBecomesStrictEndsPlaintextThatIsOpen(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	dir := t.TempDir()
	mode := func(m string) string { return mesh + "{mtls: " + m + ", defaultAccess: AllowAll}\n" }
	write := func(m string) { testkit.WritePolicies(t, dir, mode(m)) }
	write("Permissive")
	web := side{source: ca.Source(t, payments), forward: serveApp(t, hello), directory: dir}.start(t)
	raw := side{source: ca.Source(t, payments), forward: serveTCP(t, echo), directory: dir}.start(t)
	plain, mutual := dial(t, web.Address(t, "in")), dialMesh(t, web.Address(t, "in"), ca.Source(t, checkout), h1)
	plain.get("/").wants(t, 200)
	mutual.get("/").wants(t, 200)
	opaque := dial(t, raw.Address(t, "in"))
	opaque.send("\x00ping")
	opaque.reads("\x00ping")

	write("Strict")
	opaque.ended()
	raw.Log.AwaitReason(t, "policy_changed")
	testkit.Eventually(t, "the other sidecar has read the policy too", func() bool {
		return dial(t, web.Address(t, "in")).get("/").StatusCode == 403
	})
	plain.get("/").refused(t, 403, "plaintext_refused")
	plain.ended()
	mutual.get("/").wants(t, 200)
}

func TestWhatMayNotPassAnyMoreIsCutOff(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	allow := func(who, more string) string {
		return access("Allow", `{from: [{principals: ["`+who+`"]}]`+more+`}`)
	}
	cases := []struct{ name, before, after string }{
		{"the caller is denied", allow(checkout, ""), allow(intruder, "")},
		{"the rule now speaks of HTTP", allow(checkout, ""), allow(checkout, `, to: [{methods: [GET]}]`)},
		{"a Deny of HTTP paths appears", allowMesh, allowMesh + next + access("Deny", `{to: [{paths: ["/admin"]}]}`)},
		{"inspection is turned on", allowMesh, allowMesh + next + inspection("mode: Block")},
	}
	const least = 4
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		dir := t.TempDir()
		testkit.WritePolicies(t, dir, c.before)
		s := side{source: ca.Source(t, payments), forward: serveTCP(t, echo), directory: dir}.start(t)
		w := dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), "outrider/1+tcp")
		w.send("ping")
		w.reads("ping")
		testkit.WritePolicies(t, dir, c.after)
		if rest, err := w.ended(); rest != "" || err == nil {
			t.Errorf("%s: ended with %q, %v; want to be cut off", c.name, rest, err)
		}
		r := s.Log.AwaitReason(t, "policy_changed")
		if r["kind"] != "connection" || r["received_bytes"] != float64(4) {
			t.Errorf("%s: the record is %v", c.name, r)
		}
	}
}
