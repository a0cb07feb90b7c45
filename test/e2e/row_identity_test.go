package e2e

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

func noSVIDYet(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	src := new(identity.Publisher)
	s := side{source: src, forward: serveApp(t, hello), policies: allowAll, notReady: true}.start(t)
	if ok, missing := ready(t, s); ok || !strings.Contains(missing, "identity") {
		t.Errorf("ready %v, missing %q: want identity to be missing", ok, missing)
	}
	// One that denies everything needs no trust domain for its policies.
	closed := side{source: src, forward: serveApp(t, hello), notReady: true}.start(t)
	testkit.Eventually(t, "nothing but an identity is missing", func() bool {
		_, missing := ready(t, closed)
		return strings.Join(strings.Fields(missing), " ") == "identity listeners"
	})
	for _, one := range []*testkit.Sidecar{s, closed} {
		if a := one.Addresses(); len(a) != 0 {
			t.Errorf("listeners are bound without an identity: %v", a)
		}
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
	// A tunnel from the caller, whose server's root goes.
	far := side{source: server, forward: echoed, policies: allowMesh}.start(t)
	tunnels := side{source: caller, to: []string{far.Address(t, "in")}, listener: ", protocol: TCP"}.start(t)
	tunnel := dial(t, tunnels.Address(t, "out"))
	tunnel.send("ping")
	tunnel.reads("ping")

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
	tunnel.ended()
	tunnels.Log.AwaitReason(t, "certificate_revoked")
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
	t.Run("the caller's", callerExpires)
	t.Run("the server's, under a tunnel", serverExpires)
}

// serverExpires looks at a hop that is never idle: its exchange does not end by
// itself.
func serverExpires(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	server := ca.Source(t, payments)
	server.Rotate(t, devca.IssueOptions{NotAfter: time.Now().Add(3 * time.Second).Truncate(time.Second)})
	mesh := serveMesh(t, server, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // an endless answer: it has no good end
	})
	out := side{source: ca.Source(t, checkout), to: []string{mesh.addr}, spec: "  drain: {timeout: 100ms}"}.start(t)
	w := dial(t, out.Address(t, "out"))
	w.send("GET /events HTTP/1.1\r\nHost: payments\r\n\r\n")
	res, err := http.ReadResponse(w.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the endless answer ended with %v, want it cut off", err)
	}
	testkit.Eventually(t, "the hop is closed", func() bool { return mesh.open() == 0 })
}

func callerExpires(t *testing.T) {
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
