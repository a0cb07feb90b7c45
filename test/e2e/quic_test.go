package e2e

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

// overQUIC awaits a record on both sides that says how the hop was made.
func overQUIC(t *testing.T, p *pair, protocol string, want any) {
	t.Helper()
	for _, s := range []*testkit.Sidecar{p.in, p.out} {
		r := s.Log.Await(t, "a call over "+protocol, func(r map[string]any) bool { return r["protocol"] == protocol })
		if r["quic"] != want || r["security"] != "mutual_tls" || field(r, "source", "id") != checkout || field(r, "destination", "id") != payments {
			t.Errorf("quic is %v, want %v, in %v", r["quic"], want, r)
		}
	}
}

func TestEveryProtocolPassesOverQUIC(t *testing.T) {
	t.Parallel()
	p := newPair(t, side{forward: serveApp(t, hello)}, side{quic: "On"})
	w := dial(t, p.out.Address(t, "out"))
	for range 3 { // the second and third on the stream of the first
		w.get("/").wants(t, 200)
	}
	overQUIC(t, p, "http1", true)
	counted(t, p.out, 2, "outrider_upstream_connections_total", `direction="outbound"`, `result="reused"`)
	if n := metric(t, p.out, "outrider_upstream_connections_total", `direction="outbound"`, `result="new"`); n != 1 {
		t.Errorf("three requests in a row took %v streams", n)
	}

	h2 := &http.Client{Transport: &http.Transport{Protocols: unencryptedHTTP2()}}
	h2in := newPair(t, side{forward: serveHTTP2(t, hello)}, side{quic: "On"})
	res, err := h2.Get("http://" + h2in.out.Address(t, "out") + "/")
	if err != nil {
		t.Fatal(err)
	}
	if res.Body.Close(); res.StatusCode != 200 || res.ProtoMajor != 2 {
		t.Errorf("status %d over HTTP/%d", res.StatusCode, res.ProtoMajor)
	}
	h2.CloseIdleConnections()
	overQUIC(t, h2in, "http2", true)

	tcp := newPair(t, side{forward: serveTCP(t, echo)}, side{quic: "On", listener: ", protocol: TCP"})
	conn := dial(t, tcp.out.Address(t, "out"))
	conn.send("\x00\x01 opaque")
	conn.closeWrite()
	if rest, err := conn.ended(); rest != "\x00\x01 opaque" || err != nil {
		t.Errorf("came back %q, %v", rest, err)
	}
	overQUIC(t, tcp, "tcp", true)
}

// On a busy machine a handshake may take longer than QUIC is waited for, and once
// it is there the next connection has it.
func TestAutoTakesQUICWhereItWorks(t *testing.T) {
	t.Parallel()
	p := newPair(t, side{forward: serveTCP(t, echo)}, side{quic: "Auto", listener: ", protocol: TCP"})
	testkit.Eventually(t, "a connection over QUIC", func() bool {
		conn := dial(t, p.out.Address(t, "out"))
		conn.send("opaque")
		conn.closeWrite()
		if rest, err := conn.ended(); rest != "opaque" || err != nil {
			t.Fatalf("came back %q, %v", rest, err)
		}
		return slices.ContainsFunc(p.in.Log.Records(t), func(r map[string]any) bool { return r["quic"] == true })
	})
}

func TestLargeBodiesPassOverQUIC(t *testing.T) {
	t.Parallel()
	const size = 20 << 20 // beyond every window
	app := serveApp(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Write(b)
	})
	p := newPair(t, side{forward: app}, side{quic: "On"})
	body := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	res, err := http.Post("http://"+p.out.Address(t, "out")+"/", "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d of %d bytes came back, %v", len(got), len(body), err)
	}
}

func TestQUICThatDoesNotWork(t *testing.T) {
	t.Parallel()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // takes packets and says nothing, as a firewall does
	_, dropped, _ := net.SplitHostPort(silent.LocalAddr().String())
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, refused, _ := net.SplitHostPort(closed.LocalAddr().String())
	closed.Close()

	for _, c := range []struct{ name, port, reason string }{
		{"nobody listens", refused, "timeout|refused"},
		{"packets are dropped", dropped, "timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Run("Auto takes TCP, and remembers", func(t *testing.T) {
				p := newPair(t, side{forward: serveApp(t, hello)}, side{quic: "Auto", quicPort: c.port})
				dial(t, p.out.Address(t, "out")).get("/").wants(t, 200)
				overQUIC(t, p, "http1", nil)
				var n float64
				for reason := range strings.SplitSeq(c.reason, "|") {
					n += metric(t, p.out, "outrider_quic_fallbacks_total", `reason="`+reason+`"`)
				}
				if n != 1 {
					t.Errorf("%v fallbacks were counted as %s", n, c.reason)
				}
			})
			t.Run("On takes nothing else", func(t *testing.T) {
				p := newPair(t, side{forward: serveApp(t, hello)}, side{
					quic: "On", quicPort: c.port, spec: "  limits: {upstreamConnectTimeout: 500ms}\n",
				})
				a := dial(t, p.out.Address(t, "out")).get("/")
				if !strings.HasPrefix(a.Status, "502") && !strings.HasPrefix(a.Status, "504") {
					t.Errorf("the answer is %s", a.Status)
				}
			})
		})
	}
}

func TestOverQUICIdentitiesCountAsOverTCP(t *testing.T) {
	t.Parallel()
	t.Run("the server is somebody else", func(t *testing.T) {
		for _, mode := range []string{"On", "Auto"} {
			p := newPair(t, side{forward: serveApp(t, hello)}, side{quic: mode, server: intruder})
			dial(t, p.out.Address(t, "out")).get("/").refused(t, http.StatusBadGateway, "upstream_tls_failed")
		}
	})
	t.Run("the caller may not", func(t *testing.T) {
		policy := access("Allow", `{from: [{principals: ["`+intruder+`"]}]}`)
		p := newPair(t, side{forward: serveApp(t, hello), policies: policy}, side{quic: "On"})
		dial(t, p.out.Address(t, "out")).get("/").refused(t, http.StatusForbidden, "access_denied")
		overQUIC(t, p, "http1", true)
	})
	t.Run("the caller is of an unknown trust domain", func(t *testing.T) {
		p := newPair(t, side{forward: serveApp(t, hello)}, side{quic: "On"})
		other := identitytest.NewCA(t, "elsewhere.org")
		if err := other.CA.Federate(p.ca.Bundle()); err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(p.in.QUICAddress())
		stranger := side{
			source: other.Source(t, "spiffe://elsewhere.org/ns/shop/sa/checkout"), to: []string{p.in.Address(t, "in")},
			quic: "On", quicPort: port,
		}.start(t)
		if a := dial(t, stranger.Address(t, "out")).get("/"); !strings.HasPrefix(a.Status, "5") {
			t.Errorf("the answer is %s", a.Status)
		}
	})
}

func TestAPortThatNobodyServesOverQUIC(t *testing.T) {
	t.Parallel()
	p := newPair(t, side{forward: serveApp(t, hello)}, side{quic: "On"})
	_, port, _ := net.SplitHostPort(p.in.QUICAddress())
	out := side{source: p.outID, to: []string{nobody(t)}, quic: "On", quicPort: port}.start(t)
	if a := dial(t, out.Address(t, "out")).get("/"); !strings.HasPrefix(a.Status, "502") {
		t.Errorf("the answer is %s", a.Status)
	}
	if n := p.in.Log.Records(t); len(n) != 0 {
		t.Errorf("somebody served it: %v", n)
	}
}
