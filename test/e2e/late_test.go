package e2e

import (
	"testing"

	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/proxy/hop"
)

// TestClientsThatWaitBeforeTheySpeak: what a client speaks is what decides, however
// late it comes, on a port where nothing is declared.
func TestClientsThatWaitBeforeTheySpeak(t *testing.T) {
	t.Parallel()
	const brief = "  limits: {detectTimeout: 1ms}\n"
	get := func(w *wire) { w.get("/").wants(t, 200) }
	grpc := func(w *wire) { isOK(t, newCaller(t, w).grpc(1, charge)) }
	cases := []struct {
		name     string
		app      func() string
		known    bool // a request has come on the port before
		ask      func(*wire)
		protocol string
	}{
		{"HTTP/1.1", func() string { return serveApp(t, hello) }, false, get, "http1"},
		{"HTTP/1.1 on a port of HTTP", func() string { return serveApp(t, hello) }, true, get, "http1"},
		{"HTTP/2", func() string { return serveH2(t, grpcHello) }, false, grpc, "http2"},
		{"HTTP/2 on a port of HTTP", func() string { return serveH2(t, grpcHello) }, true, grpc, "http2"},
	}
	ran := 0
	for _, c := range cases {
		p := newPair(t, side{forward: c.app(), spec: brief}, side{spec: brief})
		directions := []struct {
			name string
			s    *testkit.Sidecar
			open func() *wire
		}{
			{"outbound", p.out, func() *wire { return dial(t, p.out.Address(t, "out")) }},
			{"inbound", p.in, func() *wire { return dialMesh(t, p.in.Address(t, "in"), p.outID, hop.ALPNTCP) }},
		}
		for _, d := range directions {
			if c.known {
				c.ask(d.open())
			}
			was := answered(t, d.s, c.protocol)
			before := metric(t, d.s, "outrider_connections_opened_total")
			w := d.open()
			if !c.known { // it has been waited for, and the application is connected
				testkit.Eventually(t, c.name+", "+d.name+": it is taken for opaque bytes", func() bool {
					return metric(t, d.s, "outrider_connections_opened_total") > before
				})
			}
			c.ask(w)
			testkit.Eventually(t, c.name+", "+d.name+": the request is written down", func() bool {
				return answered(t, d.s, c.protocol) > was
			})
			ran++
		}
	}
	const least = 8
	if ran < least {
		t.Errorf("%d cases, want %d", ran, least)
	}
}

// answered counts the requests of a protocol that were answered well.
func answered(t *testing.T, s *testkit.Sidecar, protocol string) (n int) {
	t.Helper()
	for _, r := range s.Log.Records(t) {
		if r["kind"] == "request" && r["protocol"] == protocol && r["status"] == 200.0 {
			n++
		}
	}
	return n
}

// A request in pieces that come too slowly to know it is not let through.
func TestARequestInPieces(t *testing.T) {
	t.Parallel()
	app := serveTCP(t, echo)
	s := newPair(t, side{forward: app, spec: "  limits: {detectTimeout: 1ms}\n"}, side{})
	w := dialMesh(t, s.in.Address(t, "in"), s.outID, hop.ALPNTCP)
	w.send("GE")
	w.reads("GE") // it was taken for opaque bytes, and may be
	w.send("T / HTTP/1.1\r\nX-Outrider-Peer: " + payments + "\r\n\r\n")
	if rest, _ := w.ended(); rest != "" {
		t.Errorf("the application was told %q", rest)
	}
	s.in.Log.AwaitReason(t, "bad_request")
}
