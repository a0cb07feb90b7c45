package mtls_test

import (
	"crypto/tls"
	"sync"
	"testing"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"

	"github.com/outrider-mesh/outrider/identity/mtls"
)

// A ticketBox is a client's session cache that counts.
type ticketBox struct {
	cache tls.ClientSessionCache

	mu   sync.Mutex
	kept int
}

func newTicketBox() *ticketBox { return &ticketBox{cache: tls.NewLRUClientSessionCache(4)} }

func (b *ticketBox) Get(string) (*tls.ClientSessionState, bool) { return b.cache.Get("the server") }

func (b *ticketBox) Put(_ string, cs *tls.ClientSessionState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if cs != nil {
		b.kept++
	}
	b.cache.Put("the server", cs)
}

func (b *ticketBox) tickets() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept
}

// resuming is a client configuration that would resume if it could.
func resuming(c *tls.Config, box *ticketBox) *tls.Config {
	c.SessionTicketsDisabled = false
	c.ClientSessionCache = box
	return c
}

// counting counts how often a configuration verifies.
func counting(c *tls.Config, n *int) *tls.Config {
	verify := c.VerifyConnection
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		*n++
		return verify(cs)
	}
	return c
}

func TestNoTicketIsGivenAndEveryConnectionIsVerified(t *testing.T) {
	w := newWorld(t)
	var verified int
	server := counting(w.serverConfig(), &verified)
	box := newTicketBox()
	client := resuming(w.clientConfig(), box)
	const connections = 3
	for range connections {
		l := connect(t, server, client).mustWork(t)
		if l.client.ConnectionState().DidResume {
			t.Error("a session was resumed")
		}
	}
	if verified != connections || box.tickets() != 0 {
		t.Errorf("%d of %d connections verified, %d tickets given", verified, connections, box.tickets())
	}
}

// Even if a server gave tickets, and a client used them, both would verify the
// resumed connection against the bundles of the moment.
func TestAResumedConnectionIsVerifiedToo(t *testing.T) {
	setup := func(t *testing.T) (w *world, again func() link) {
		w = newWorld(t)
		server := w.serverConfig()
		server.SessionTicketsDisabled = false
		client := resuming(w.clientConfig(), newTicketBox())
		connect(t, server, client).mustWork(t)
		l := connect(t, server, client).mustWork(t)
		if !l.client.ConnectionState().DidResume {
			t.Fatal("the second connection is not resumed, so this test shows nothing")
		}
		return w, func() link { return connect(t, server, client) }
	}
	t.Run("by the server", func(t *testing.T) {
		w, again := setup(t)
		w.server.Publish(w.server.Current().SVID, x509bundle.NewSet())
		wantError(t, again().serverErr, mtls.ErrUnknownTrustDomain)
	})
	t.Run("by the client", func(t *testing.T) {
		w, again := setup(t)
		w.client.Publish(w.client.Current().SVID, x509bundle.NewSet())
		wantError(t, again().clientErr, mtls.ErrUnknownTrustDomain)
	})
}

func TestVerificationIsNowhereThatResumptionSkips(t *testing.T) {
	w := newWorld(t)
	for end, c := range map[string]*tls.Config{"server": w.serverConfig(), "client": w.clientConfig()} {
		if c.VerifyConnection == nil || c.VerifyPeerCertificate != nil || !c.SessionTicketsDisabled || c.ClientSessionCache != nil {
			t.Errorf("the %s's configuration could skip verification", end)
		}
		if c.MinVersion != tls.VersionTLS13 || c.Renegotiation != tls.RenegotiateNever {
			t.Errorf("the %s's configuration allows less than TLS 1.3", end)
		}
	}
	if auth := w.serverConfig().ClientAuth; auth != tls.RequireAnyClientCert {
		t.Errorf("the server's demand for a certificate is %v", auth)
	}
}
