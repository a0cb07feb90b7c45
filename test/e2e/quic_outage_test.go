package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/internal/testkit/udprelay"
)

// relayed is a pair between whose ends UDP can be dropped, and TCP not.
func relayed(t *testing.T, app, mode string) (*pair, *udprelay.Relay) {
	t.Helper()
	p := &pair{ca: identitytest.NewCA(t, "example.org")}
	p.inID, p.outID = p.ca.Source(t, payments), p.ca.Source(t, checkout)
	p.in = side{source: p.inID, forward: app, policies: allowMesh, spec: "  quic: {listen: \"127.0.0.1:0\"}\n"}.start(t)
	relay := udprelay.New(t, p.in.QUICAddress())
	p.out = side{
		source: p.outID, to: []string{p.in.Address(t, "in")}, quic: mode, quicPort: strconv.Itoa(int(relay.Port())),
		spec: "  limits: {upstreamConnectTimeout: 1s}\n",
	}.start(t)
	return p, relay
}

// overQUICFrom starts a pair until one has come about over QUIC: see unhurried.
func overQUICFrom(t *testing.T, mode string) (*slowApp, *pair, *udprelay.Relay) {
	t.Helper()
	for range 20 {
		app := newSlowApp(t)
		p, relay := relayed(t, app.addr, mode)
		dial(t, p.out.Address(t, "out")).get("/").wants(t, 200)
		if metric(t, p.out, "outrider_quic_fallbacks_total") == 0 {
			return app, p, relay
		}
	}
	t.Fatal("never over QUIC")
	return nil, nil, nil
}

// Where UDP is dropped in the middle of a connection, the call that is under way and may
// not be repeated fails in time for its caller to do something about it, and Auto goes on
// over TCP.
func TestUDPIsDroppedInTheMiddleOfAConnection(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"Auto", "On"} {
		app, p, relay := overQUICFrom(t, mode)
		busy := dial(t, p.out.Address(t, "out"))
		busy.send("POST /slow HTTP/1.1\r\nHost: payments\r\nContent-Length: 0\r\n\r\n") // which nobody repeats
		<-app.asked
		relay.Drop(true)
		a := busy.answer() // within the patience of a test: QUIC's own is 30 s
		if a.StatusCode == 200 {
			t.Errorf("%s: it was answered", mode)
		}
		status := dial(t, p.out.Address(t, "out")).get("/").StatusCode
		switch {
		case mode == "Auto" && status != 200:
			t.Errorf("Auto: status %d where TCP works", status)
		case mode == "On" && status == 200:
			t.Error("On: a call went over TCP")
		}
		relay.Drop(false)
		testkit.Eventually(t, mode+": calls are answered again", func() bool {
			return dial(t, p.out.Address(t, "out")).get("/").StatusCode == 200
		})
		close(app.goOn)
	}
}

// A sidecar that was killed and is there again knows nothing of the connections that
// its callers still have. They learn that at once, and not when they lose patience.
func TestASidecarIsRestartedUnderItsCallers(t *testing.T) {
	t.Parallel()
	p, relay := relayed(t, serveApp(t, hello), "On")
	w := dial(t, p.out.Address(t, "out"))
	w.get("/").wants(t, 200)
	// The new one has the same port at another address; nothing leads to the old one.
	_, port, err := net.SplitHostPort(p.in.Address(t, "in"))
	if err != nil {
		t.Fatal(err)
	}
	again := testkit.Start(t, testkit.Options{
		Name: "payments", Labels: map[string]string{"app": "payments"}, Source: p.inID, Policies: allowMesh,
		YAML: fmt.Sprintf("  inbound: [{name: in, listen: \"127.0.0.2:%s\", forward: %q}]\n  quic: {listen: \"127.0.0.1:0\"}\n", port, serveApp(t, hello)),
	})
	relay.Lead(t, again.QUICAddress())
	lost := 0
	for {
		a := w.get("/")
		if a.StatusCode == 200 {
			break
		}
		if lost++; lost > 3 {
			t.Fatalf("call %d after the restart: %s", lost, a.Status)
		}
	}
	if n := len(again.Log.Records(t)); n != 1 {
		again.Log.Await(t, "the call after the restart", func(r map[string]any) bool { return r["quic"] == true })
	}
}

// One of two replicas drains under load: what it has begun it finishes, what comes goes
// to the other, and no call fails although none may be sent twice.
func TestOneOfTwoReplicasDrainsUnderLoadOverQUIC(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	app := serveApp(t, hello)
	var replicas []*testkit.Sidecar
	quicPort := ""
	for _, ip := range []string{"127.0.0.1", "127.0.0.2"} {
		if quicPort == "" {
			quicPort = "0"
		}
		s := testkit.Start(t, testkit.Options{
			Name: "payments", Labels: map[string]string{"app": "payments"}, Source: ca.Source(t, payments), Policies: allowMesh,
			YAML: fmt.Sprintf("  inbound: [{name: in, listen: \"%s:0\", forward: %q}]\n  quic: {listen: \"%[1]s:%[3]s\"}\n", ip, app, quicPort),
		})
		_, quicPort, _ = net.SplitHostPort(s.QUICAddress())
		replicas = append(replicas, s)
	}
	out := side{
		source: ca.Source(t, checkout), to: []string{replicas[0].Address(t, "in"), replicas[1].Address(t, "in")},
		quic: "On", quicPort: quicPort,
	}.start(t)
	l := startLoad(t, out.Address(t, "out"), 8)
	testkit.Eventually(t, "both serve", func() bool {
		return l.failed.Load() > 0 || len(replicas[0].Log.Records(t)) > 50 && len(replicas[1].Log.Records(t)) > 50
	})
	replicas[0].Stop()
	if err := replicas[0].Wait(); err != nil {
		t.Error(err)
	}
	was := l.served.Load()
	testkit.Eventually(t, "the other goes on", func() bool { return l.reached(was + 200) })
	l.finish()
	t.Logf("%d requests, %d failed", l.served.Load(), l.failed.Load())
}

// A stream that its server closes for want of use takes no request with it, not even
// one that may not be sent twice.
func TestAStreamThatWasClosedForWantOfUse(t *testing.T) {
	t.Parallel()
	p := newPair(t, side{forward: serveApp(t, hello), spec: "  limits: {idleTimeout: 5ms}\n"}, side{quic: "On"})
	client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	defer client.CloseIdleConnections()
	const calls = 200
	for i := range calls {
		if err := callOnce(client, "http://"+p.out.Address(t, "out")+"/"); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		if i%10 == 0 { // at times long after, at times just then
			testkit.Eventually(t, "the stream is closed", func() bool {
				return metric(t, p.in, "outrider_connections_active", `direction="inbound"`) == 0
			})
		}
	}
	if n := metric(t, p.out, "outrider_upstream_connections_total", `direction="outbound"`, `result="new"`); n < calls/10 {
		t.Errorf("only %v streams were opened: none was closed", n)
	}
}

// A root that goes away takes the calls of its identities with it, the streams that are
// open included, whichever end loses it.
func TestATrustBundleLosesARootOverQUIC(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"the server's", "the client's"} {
		p := newPair(t, side{forward: serveTCP(t, echo)}, side{quic: "On", listener: ", protocol: TCP"})
		held := dial(t, p.out.Address(t, "out"))
		held.send("ping")
		held.reads("ping")
		stranger := identitytest.NewCA(t, "example.org")
		loser := p.inID
		if end == "the client's" {
			loser = p.outID
		}
		loser.Publish(loser.Current().SVID, stranger.Bundles())
		if rest, _ := held.ended(); rest != "" {
			t.Errorf("%s: the open call said %q", end, rest)
		}
		nc, err := net.Dial("tcp", p.out.Address(t, "out"))
		if errors.Is(err, syscall.ECONNRESET) {
			continue // cut off before the dial was over
		}
		if err != nil {
			t.Fatal(err)
		}
		late := newWire(t, nc)
		io.WriteString(late, "ping")
		if rest, _ := late.ended(); strings.Contains(rest, "ping") {
			t.Errorf("%s: a call after it was answered", end)
		}
	}
}
