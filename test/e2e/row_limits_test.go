package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

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
