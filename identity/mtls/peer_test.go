package mtls_test

import (
	"crypto/x509"
	"net/url"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
)

// A peerCase is what a peer presents; each is tried as a client and as a server.
type peerCase struct {
	name    string
	present func(t *testing.T, w *world, id string) *x509svid.SVID
	want    error // nil: accepted
}

// edited presents an SVID that our own CA signed after a change.
func edited(change func(*x509.Certificate)) func(*testing.T, *world, string) *x509svid.SVID {
	return with(devca.IssueOptions{Edit: change})
}

func with(opts devca.IssueOptions) func(*testing.T, *world, string) *x509svid.SVID {
	return func(t *testing.T, w *world, id string) *x509svid.SVID { return issue(t, w.ca, id, opts) }
}

func uri(raw string) []*url.URL {
	u, err := url.Parse(raw)
	if err != nil {
		return nil
	}
	return []*url.URL{u}
}

var (
	hourAgo   = time.Now().Add(-time.Hour)
	dayAgo    = time.Now().Add(-24 * time.Hour)
	inAnHour  = time.Now().Add(time.Hour)
	serverTLS = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	clientTLS = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
)

var peerCases = []peerCase{
	{"a proper SVID is accepted", with(devca.IssueOptions{}), nil},
	{"an SVID below an intermediate is accepted", with(devca.IssueOptions{Intermediate: true}), nil},
	{"an SVID without extended key usages is accepted", edited(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), nil},
	{"a DNS name beside the SPIFFE ID is accepted", edited(func(c *x509.Certificate) { c.DNSNames = []string{"payments"} }), nil},
	{"an SVID of the old root is accepted during a root rotation", func(t *testing.T, w *world, id string) *x509svid.SVID {
		svid := issue(t, w.ca, id, devca.IssueOptions{})
		rotateRoot(t, w)
		return svid
	}, nil},
	{"an SVID of the new root is accepted during a root rotation", func(t *testing.T, w *world, id string) *x509svid.SVID {
		rotateRoot(t, w)
		return issue(t, w.ca, id, devca.IssueOptions{})
	}, nil},

	{"an expired SVID is refused", with(devca.IssueOptions{NotBefore: dayAgo, NotAfter: hourAgo}), mtls.ErrExpired},
	{"an SVID that is not valid yet is refused", with(devca.IssueOptions{NotBefore: inAnHour, NotAfter: inAnHour.Add(time.Hour)}), mtls.ErrExpired},
	{"an unknown trust domain is refused", func(t *testing.T, w *world, _ string) *x509svid.SVID {
		return issue(t, w.other, otherID, devca.IssueOptions{})
	}, mtls.ErrUnknownTrustDomain},
	{"the right domain under a stranger's root is refused", func(t *testing.T, _ *world, id string) *x509svid.SVID {
		return issue(t, identitytest.NewCA(t, "example.org"), id, devca.IssueOptions{})
	}, mtls.ErrUntrusted},
	{"another known domain's root cannot vouch for ours", func(t *testing.T, w *world, id string) *x509svid.SVID {
		w.federate(t)
		return issue(t, w.other, id, devca.IssueOptions{})
	}, mtls.ErrUntrusted},
	{"another known domain's root cannot vouch for ours through an intermediate", func(t *testing.T, w *world, id string) *x509svid.SVID {
		w.federate(t)
		return issue(t, w.other, id, devca.IssueOptions{Intermediate: true})
	}, mtls.ErrUntrusted},
	{"our root cannot vouch for another known domain", func(t *testing.T, w *world, _ string) *x509svid.SVID {
		w.federate(t)
		return issue(t, w.ca, otherID, devca.IssueOptions{})
	}, mtls.ErrUntrusted},
	{"an SVID of a dropped root is refused", func(t *testing.T, w *world, id string) *x509svid.SVID {
		svid := issue(t, w.ca, id, devca.IssueOptions{})
		rotateRoot(t, w)
		w.ca.DropOldRoots()
		w.server.Refresh()
		w.client.Refresh()
		return svid
	}, mtls.ErrUntrusted},
	{"an SVID without its intermediate is refused", func(t *testing.T, w *world, id string) *x509svid.SVID {
		svid := issue(t, w.ca, id, devca.IssueOptions{Intermediate: true})
		svid.Certificates = svid.Certificates[:1]
		return svid
	}, mtls.ErrUntrusted},
	{"two SPIFFE IDs are refused", with(devca.IssueOptions{ExtraURIs: []string{"spiffe://example.org/ns/shop/sa/admin"}}), mtls.ErrNotSVID},
	{"a web address beside the SPIFFE ID is refused", with(devca.IssueOptions{ExtraURIs: []string{"https://example.org/"}}), mtls.ErrNotSVID},
	{"the same SPIFFE ID twice is refused", with(devca.IssueOptions{ExtraURIs: []string{serverID}}), mtls.ErrNotSVID},
	{"no URI is refused", with(devca.IssueOptions{NoURI: true}), mtls.ErrNotSVID},
	{"a DNS name instead of a URI is refused", with(devca.IssueOptions{NoURI: true, Edit: func(c *x509.Certificate) { c.DNSNames = []string{"example.org"} }}), mtls.ErrNotSVID},
	{"a web address instead of a SPIFFE ID is refused", with(devca.IssueOptions{NoURI: true, ExtraURIs: []string{"https://example.org/ns/shop"}}), mtls.ErrNotSVID},
	{"a SPIFFE ID with a query is refused", edited(func(c *x509.Certificate) { c.URIs = uri("spiffe://example.org/ns/shop?x=y") }), mtls.ErrNotSVID},
	{"a SPIFFE ID with a port is refused", edited(func(c *x509.Certificate) { c.URIs = uri("spiffe://example.org:443/ns/shop") }), mtls.ErrNotSVID},
	{"a SPIFFE ID with dot segments is refused", edited(func(c *x509.Certificate) { c.URIs = uri("spiffe://example.org/ns/../sa") }), mtls.ErrNotSVID},
	{"a SPIFFE ID in capitals is refused", edited(func(c *x509.Certificate) { c.URIs = uri("spiffe://EXAMPLE.org/ns/shop") }), mtls.ErrNotSVID},
	{"a SPIFFE ID without a path is refused", edited(func(c *x509.Certificate) { c.URIs = uri("spiffe://example.org") }), mtls.ErrNotSVID},
	{"a CA is refused", edited(func(c *x509.Certificate) { c.IsCA = true }), mtls.ErrNotSVID},
	{"a leaf that may sign certificates is refused", edited(func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }), mtls.ErrNotSVID},
	{"a leaf that may sign revocation lists is refused", edited(func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCRLSign }), mtls.ErrNotSVID},
	{"a leaf that may not sign handshakes is refused", edited(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), mtls.ErrNotSVID},
	{"a leaf for e-mail only is refused", edited(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }), mtls.ErrNotSVID},
	{"a chain of more certificates than we keep is refused", func(t *testing.T, w *world, id string) *x509svid.SVID {
		svid := issue(t, w.ca, id, devca.IssueOptions{})
		for len(svid.Certificates) <= 8 {
			svid.Certificates = append(svid.Certificates, svid.Certificates[0])
		}
		return svid
	}, mtls.ErrNotSVID},
}

func rotateRoot(t *testing.T, w *world) {
	t.Helper()
	if err := w.ca.RotateRoot(); err != nil {
		t.Fatal(err)
	}
	w.server.Refresh()
	w.client.Refresh()
}

func TestWhatAPeerMayPresent(t *testing.T) {
	count := 0
	for _, tc := range peerCases {
		t.Run(tc.name+", as a client", func(t *testing.T) {
			count++
			w := newWorld(t)
			svid := tc.present(t, w, clientID)
			l := connect(t, w.serverConfig(), strangerClient(svid))
			checkOutcome(t, l, l.serverErr, l.clientErr, tc.want)
		})
		t.Run(tc.name+", as a server", func(t *testing.T) {
			count++
			w := newWorld(t)
			svid := tc.present(t, w, serverID)
			l := connect(t, strangerServer(svid), w.clientConfig())
			checkOutcome(t, l, l.clientErr, l.serverErr, tc.want)
		})
	}
	if least := 60; count < least {
		t.Errorf("%d cases ran, want at least %d", count, least)
	}
}

// checkOutcome compares what our end, and the peer's, made of a connection.
func checkOutcome(t *testing.T, l link, ours, theirs, want error) {
	t.Helper()
	if want == nil {
		l.mustWork(t)
		return
	}
	wantError(t, ours, want)
	if theirs == nil {
		t.Error("the refused peer exchanged bytes")
	}
}

// An SVID for one role is refused in the other, and accepted in its own.
func TestExtendedKeyUsageNamesTheRole(t *testing.T) {
	only := func(usages []x509.ExtKeyUsage) devca.IssueOptions {
		return devca.IssueOptions{Edit: func(c *x509.Certificate) { c.ExtKeyUsage = usages }}
	}
	w := newWorld(t)
	connect(t, w.serverConfig(), strangerClient(issue(t, w.ca, clientID, only(clientTLS)))).mustWork(t)
	connect(t, strangerServer(issue(t, w.ca, serverID, only(serverTLS))), w.clientConfig()).mustWork(t)

	l := connect(t, w.serverConfig(), strangerClient(issue(t, w.ca, clientID, only(serverTLS))))
	wantError(t, l.serverErr, mtls.ErrNotSVID)
	l = connect(t, strangerServer(issue(t, w.ca, serverID, only(clientTLS))), w.clientConfig())
	wantError(t, l.clientErr, mtls.ErrNotSVID)
}
