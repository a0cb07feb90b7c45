package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

func TestPeersThatCannotProveAnIdentityAreRefused(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	other := identitytest.NewCA(t, "other.org")
	impostor := identitytest.NewCA(t, "example.org") // the same domain, another root
	s := side{source: ca.Source(t, payments), forward: serveApp(t, hello), policies: allowAll}.start(t)
	trusting := func(src *identitytest.StaticSource, o devca.IssueOptions) *tls.Config {
		src.Rotate(t, o)
		cfg := mtls.ClientConfig(src, mtls.ClientOptions{NextProtos: []string{h1}})
		cfg.VerifyConnection = nil // the client is not the one who is tested
		return cfg
	}
	usage := func(k x509.KeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.KeyUsage = k }
	}
	cases := []struct {
		name string
		cfg  *tls.Config
	}{
		{"an expired SVID", expired(t, ca)},
		{"an unknown trust domain", trusting(other.Source(t, "spiffe://other.org/ns/shop/sa/checkout"), devca.IssueOptions{})},
		{"another root of the same name", trusting(impostor.Source(t, checkout), devca.IssueOptions{})},
		{"two URI SANs", trusting(ca.Source(t, checkout), devca.IssueOptions{ExtraURIs: []string{payments}})},
		{"no URI SAN", trusting(ca.Source(t, checkout), devca.IssueOptions{NoURI: true})},
		{"not valid yet", trusting(ca.Source(t, checkout), devca.IssueOptions{NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(2 * time.Hour)})},
		{"a CA for a leaf", trusting(ca.Source(t, checkout), devca.IssueOptions{Edit: func(c *x509.Certificate) { c.IsCA = true }})},
		{"no digital signature", trusting(ca.Source(t, checkout), devca.IssueOptions{Edit: usage(x509.KeyUsageKeyEncipherment)})},
		{"for servers only", trusting(ca.Source(t, checkout), devca.IssueOptions{Edit: func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}})},
		{"no certificate at all", &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{h1}}},
		{"TLS 1.2", func() *tls.Config {
			cfg := trusting(ca.Source(t, checkout), devca.IssueOptions{})
			cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
			return cfg
		}()},
	}
	const least = 11
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for i, c := range cases {
		if w, err := tryTLS(t, s.Address(t, "in"), c.cfg); err == nil {
			io.WriteString(w, "GET / HTTP/1.1\r\nHost: payments\r\n\r\n")
			if a, err := w.tryAnswer(); err == nil {
				t.Errorf("%s: was answered %d", c.name, a.StatusCode)
			}
		}
		counted(t, s, float64(i+1), "outrider_connections_closed_total", `reason="tls_failed"`)
	}
	if n := metric(t, s, "outrider_requests_total"); n != 0 {
		t.Errorf("%v requests were served", n)
	}
	dialMesh(t, s.Address(t, "in"), ca.Source(t, checkout), h1).get("/").wants(t, 200)
}

// expired shows an SVID that has expired, which our own configuration would not.
func expired(t *testing.T, ca *identitytest.CA) *tls.Config {
	t.Helper()
	svid, err := ca.Issue(identitytest.ID(t, checkout), devca.IssueOptions{
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	cert := tls.Certificate{Certificate: [][]byte{svid.Certificates[0].Raw}, PrivateKey: svid.PrivateKey}
	return &tls.Config{
		Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true,
		MinVersion: tls.VersionTLS13, NextProtos: []string{h1},
	}
}

func TestServersThatAreNotWhoWasMeantGetNoRequest(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	other := identitytest.NewCA(t, "other.org")
	caller := ca.Source(t, checkout)
	untrusted := other.Source(t, "spiffe://other.org/ns/shop/sa/payments")
	twice := ca.Source(t, payments)
	twice.Rotate(t, devca.IssueOptions{ExtraURIs: []string{intruder}})
	var asked atomic.Int64
	h := func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		hello(w, r)
	}
	plain := serveApp(t, h)
	cases := []struct{ name, addr string }{
		{"another identity of the mesh", serveMesh(t, ca.Source(t, intruder), h).addr},
		{"an unknown trust domain", serveMesh(t, untrusted, h).addr},
		{"two URI SANs", serveMesh(t, twice, h).addr},
		{"no TLS at all", plain},
	}
	const least = 4
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		s := side{source: caller, to: []string{c.addr}}.start(t)
		dial(t, s.Address(t, "out")).get("/").refused(t, 502, "upstream_tls_failed")
		s.Log.AwaitReason(t, "upstream_tls_failed")
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests reached a server that was not meant", n)
	}
}

func TestAnOutboundSidecarWhoseSVIDExpiredSendsNothing(t *testing.T) {
	t.Parallel()
	p := newPair(t, side{forward: serveApp(t, hello)}, side{})
	app := dial(t, p.out.Address(t, "out"))
	app.get("/").wants(t, 200)
	p.outID.Rotate(t, devca.IssueOptions{NotAfter: time.Now().Add(2 * time.Second).Truncate(time.Second)})
	testkit.Eventually(t, "not ready", func() bool { ok, _ := ready(t, p.out); return !ok })
	app.get("/").refused(t, 503, "no_identity")
	p.outID.Rotate(t, devca.IssueOptions{})
	app.get("/").wants(t, 200)
}

func TestNoSessionIsResumed(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "example.org")
	s := side{source: ca.Source(t, payments), forward: serveApp(t, hello), policies: allowMesh}.start(t)
	cfg := mtls.ClientConfig(ca.Source(t, checkout), mtls.ClientOptions{Expected: expect(t, payments), NextProtos: []string{h1}})
	cfg.SessionTicketsDisabled = false
	cache := &countingCache{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	cfg.ClientSessionCache, cfg.ServerName = cache, "payments"
	for i := range 2 {
		w, err := tryTLS(t, s.Address(t, "in"), cfg)
		if err != nil {
			t.Fatal(err)
		}
		w.get("/").wants(t, 200) // a ticket would come before the answer
		if w.Conn.(*tls.Conn).ConnectionState().DidResume {
			t.Errorf("connection %d was resumed", i)
		}
	}
	if n := cache.stored.Load(); n != 0 {
		t.Errorf("the server gave out %d session tickets", n)
	}
}

type countingCache struct {
	tls.ClientSessionCache

	stored atomic.Int64
}

// Put implements tls.ClientSessionCache.
func (c *countingCache) Put(key string, s *tls.ClientSessionState) {
	if s != nil {
		c.stored.Add(1)
	}
	c.ClientSessionCache.Put(key, s)
}

func TestTrustDomainsFederate(t *testing.T) {
	t.Parallel()
	ours, theirs := identitytest.NewCA(t, "example.org"), identitytest.NewCA(t, "partner.example")
	const partner = "spiffe://partner.example/ns/shop/sa/checkout"
	seen := make(chan string, 8)
	app := serveApp(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("X-Outrider-Peer")
		hello(w, r)
	})
	inID, outID := ours.Source(t, payments), theirs.Source(t, partner)
	in := side{source: inID, forward: app, policies: access("Allow", `{from: [{principals: ["`+partner+`"]}]}`)}.start(t)
	out := side{source: outID, to: []string{in.Address(t, "in")}}.start(t)
	w := dial(t, out.Address(t, "out"))
	w.get("/").refused(t, 502, "upstream_tls_failed")

	identitytest.Federate(t, ours, theirs)
	inID.Refresh()
	outID.Refresh()
	w.get("/").wants(t, 200)
	if got := <-seen; got != partner {
		t.Errorf("the application was told %q", got)
	}
	// The partner's root must not vouch for a name of ours.
	forged, err := theirs.Issue(identitytest.ID(t, checkout), devca.IssueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	forger := ours.Source(t, checkout)
	forger.Publish(forged, forger.Current().Bundles)
	if c, err := tryMesh(t, in.Address(t, "in"), forger, h1); err == nil {
		if a, err := func() (answer, error) {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: payments\r\n\r\n")
			return c.tryAnswer()
		}(); err == nil {
			t.Errorf("an identity of ours, issued by a partner, was answered %d", a.StatusCode)
		}
	}
	in.Log.Await(t, "the forger", func(r map[string]any) bool {
		detail, _ := r["detail"].(string)
		return r["reason"] == "tls_failed" && strings.Contains(detail, "not trusted")
	})
}
