package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

func TestAnApplicationThatIsSlowIsAnsweredFor(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	app := serveTCP(t, func(*netConn) { <-over })
	p := newPair(t,
		side{forward: app, spec: "  limits: {upstreamResponseTimeout: 300ms}"},
		side{},
	)
	defer close(over)
	dial(t, p.out.Address(t, "out")).get("/").refused(t, 504, "upstream_timeout")
	r := p.in.Log.AwaitReason(t, "upstream_timeout")
	if r["status"] != float64(504) {
		t.Errorf("the record has status %v", r["status"])
	}
	// The request may have been carried out: it must not be sent again.
	if field(r, "retried") != nil {
		t.Error("a request that timed out was sent again")
	}
}

func TestAnAnswerThatBreaksOffIsNeverTakenForComplete(t *testing.T) {
	t.Parallel()
	const partly = "0123456789"
	cases := []struct{ name, head string }{
		{"a declared length", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + partly},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n" + partly + "\r\n"},
		{"the middle of a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + partly},
		{"trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\na\r\n" + partly + "\r\n0\r\nX: y\r\n"},
	}
	const least = 4
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		app := serveTCP(t, func(conn *netConn) {
			http.ReadRequest(bufio.NewReader(conn))
			io.WriteString(conn, c.head)
		})
		p := newPair(t, side{forward: app}, side{})
		for _, version := range []string{"1.1", "1.0"} {
			w := dial(t, p.out.Address(t, "out"))
			w.send("GET / HTTP/" + version + "\r\nHost: payments\r\n\r\n")
			a, err := w.tryAnswer()
			switch {
			case err != nil || a.StatusCode == 502: // nothing of the answer had been sent
			case version == "1.0" && a.ContentLength < 0:
				// Only the way the connection ends can tell.
				if a.err == nil {
					t.Errorf("%s, HTTP/1.0: an orderly end behind %q", c.name, a.body)
				}
			case a.err == nil:
				t.Errorf("%s, HTTP/%s: complete with %q", c.name, version, a.body)
			}
		}
		p.in.Log.AwaitReason(t, "upstream_closed")
	}
}

func TestAnAnswerBeforeItsHeadIsABadGateway(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, says, reason string }{
		{"nothing", "", "upstream_closed"},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-Le", "upstream_closed"},
		{"no HTTP", "SSH-2.0-x\r\n\r\n", "upstream_protocol"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "upstream_protocol"},
		{"an upgrade nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "upstream_protocol"},
	}
	const least = 5
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		app := serveTCP(t, func(conn *netConn) {
			http.ReadRequest(bufio.NewReader(conn))
			io.WriteString(conn, c.says)
		})
		p := newPair(t, side{forward: app}, side{})
		w := dial(t, p.out.Address(t, "out"))
		w.get("/").refused(t, 502, c.reason)
		w.get("/").refused(t, 502, c.reason) // the caller's connection goes on
	}
}

func TestAClientThatVanishesLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 16)
	goOn := make(chan struct{})
	app := serveApp(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		if r.URL.Path == "/big" {
			b := make([]byte, 64<<10)
			for range 512 {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
			return
		}
		io.Copy(io.Discard, r.Body)
		<-goOn
		hello(w, r)
	})
	p := newPair(t, side{forward: app}, side{})
	addr := p.out.Address(t, "out")
	for _, request := range []string{
		"GET /big HTTP/1.1\r\nHost: payments\r\n\r\n",
		"POST /upload HTTP/1.1\r\nHost: payments\r\nContent-Length: 100000\r\n\r\nabc",
		"POST /upload HTTP/1.1\r\nHost: payments\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"GET /slow HTTP/1.1\r\nHost: payments\r\n\r\n",
	} {
		w := dial(t, addr)
		w.send(request)
		<-asked
		w.Conn.(*net.TCPConn).SetLinger(0)
		w.Close()
	}
	half := dial(t, addr)
	half.send("GET / HT")
	half.Close()
	close(goOn)
	for _, s := range []*testkit.Sidecar{p.out, p.in} {
		testkit.Eventually(t, "nothing is open but pooled hops", func() bool {
			return metric(t, p.out, "outrider_connections_active") == 0
		})
		s.Log.AwaitReason(t, "client_closed")
	}
	dial(t, addr).get("/slow").wants(t, 200)
}

func TestClientsThatAreTooSlowAreLetGo(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	app := serveApp(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		hello(w, r)
	})
	s := side{
		source: ca.Source(t, payments), forward: app, policies: allowMesh,
		spec: "  limits: {headTimeout: 200ms, bodyTimeout: 200ms}",
	}.start(t)
	peer := ca.Source(t, checkout)
	cases := []struct {
		name, sends, reason string
		status              int
	}{
		{"a head that does not end", "GET / HTTP/1.1\r\nHost: pay", "request_timeout", 408},
		{"a body that does not come", "POST / HTTP/1.1\r\nHost: payments\r\nContent-Length: 10\r\n\r\n", "request_timeout", 408},
		{"a body that stands still", "POST / HTTP/1.1\r\nHost: payments\r\nContent-Length: 10\r\n\r\nabc", "request_timeout", 408},
		{"a chunk that stands still", "POST / HTTP/1.1\r\nHost: payments\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "request_timeout", 408},
	}
	const least = 4
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for i, c := range cases {
		w := dialMesh(t, s.Address(t, "in"), peer, h1)
		w.send(c.sends)
		w.answer().refused(t, c.status, c.reason)
		w.ended()
		counted(t, s, float64(i+1), "outrider_requests_total", `reason="`+c.reason+`"`)
	}
	t.Run("a head that trickles", func(t *testing.T) {
		w := dialMesh(t, s.Address(t, "in"), peer, h1)
		trickle := "GET / HTTP/1.1\r\nHost: payments\r\nA: " + strings.Repeat("a", 1<<16)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.ended()
		}()
		for i := range len(trickle) {
			if _, err := io.WriteString(w, trickle[i:i+1]); err != nil {
				break
			}
			select {
			case <-ended:
			case <-tick(t):
				continue
			}
			break
		}
		<-ended
	})
	t.Run("no handshake", func(t *testing.T) {
		s := side{source: ca.Source(t, payments), forward: app, spec: "  limits: {handshakeTimeout: 200ms}"}.start(t)
		dial(t, s.Address(t, "in")).ended()
		half := dial(t, s.Address(t, "in"))
		half.send("\x16\x03\x01\x02\x00\x01")
		half.ended()
		counted(t, s, 2, "outrider_connections_closed_total", `reason="request_timeout"`)
	})
	t.Run("an idle connection", func(t *testing.T) {
		s := side{source: ca.Source(t, payments), forward: app, policies: allowMesh, spec: "  limits: {idleTimeout: 1s}"}.start(t)
		w := dialMesh(t, s.Address(t, "in"), peer, h1)
		w.get("/").wants(t, 200)
		if rest, err := w.ended(); rest != "" || err != nil {
			t.Errorf("the idle connection ended with %q, %v: want an orderly end", rest, err)
		}
	})
}

func TestARefusalIsTheSameInAnswerAndRecord(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	l7 := access("Allow", `{from: [{principals: ["`+checkout+`"]}], to: [{methods: [GET], paths: ["/ok"]}]}`)
	s := side{
		source: ca.Source(t, payments), forward: serveApp(t, hello),
		policies: l7 + next + inspection("mode: Block"), spec: "  limits: {headBytes: 4096}",
	}.start(t)
	peer := ca.Source(t, checkout)
	cases := []struct {
		name, request string
		status        int
		reason        string
	}{
		{"denied by policy", "GET /other HTTP/1.1\r\nHost: payments\r\n\r\n", 403, "access_denied"},
		{"an attack", "GET /ok?q=1%27%20OR%20%271%27=%271%27-- HTTP/1.1\r\nHost: payments\r\n\r\n", 403, "waf_blocked"},
		{"malformed", "GET /ok HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad_request"},
		{"a path with two readings", "GET /ok%2f..%2fother HTTP/1.1\r\nHost: payments\r\n\r\n", 400, "bad_request"},
		{"too large", "GET /ok HTTP/1.1\r\nHost: payments\r\nA: " + strings.Repeat("a", 5000) + "\r\n\r\n", 431, "head_too_large"},
		{"CONNECT", "CONNECT payments:80 HTTP/1.1\r\nHost: payments:80\r\n\r\n", 405, "method_refused"},
	}
	const least = 6
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		w := dialMesh(t, s.Address(t, "in"), peer, h1)
		w.send(c.request)
		a := w.answer().refused(t, c.status, c.reason)
		id := decisionID(t, a)
		if got := a.Header.Get("X-Outrider-Decision"); got != id {
			t.Errorf("%s: the header has %q, the body %q", c.name, got, id)
		}
		r := s.Log.Await(t, c.name, func(r map[string]any) bool { return r["decision_id"] == id })
		if r["reason"] != c.reason || r["status"] != float64(c.status) || r["kind"] != "request" {
			t.Errorf("%s: the record of %s: reason %v, status %v", c.name, id, r["reason"], r["status"])
		}
		if got := field(r, "source", "id"); got != checkout {
			t.Errorf("%s: the record's source is %v", c.name, got)
		}
		for _, secret := range []string{"allow-callers", "principals", checkout} {
			if strings.Contains(a.body, secret) || strings.Contains(strings.Join(a.Header.Values("Proxy-Status"), " "), secret) {
				t.Errorf("%s: the answer gives away %q", c.name, secret)
			}
		}
	}
	if n := metric(t, s, "outrider_requests_total", `reason="-"`); n != 0 {
		t.Errorf("%v requests got through", n)
	}
	dialMesh(t, s.Address(t, "in"), peer, h1).get("/ok").wants(t, 200)
	counted(t, s, 1, "outrider_requests_total", `reason="-"`, `peer="`+checkout+`"`, `code_class="2xx"`)
}
