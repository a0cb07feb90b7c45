package mtls_test

import (
	"testing"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
)

func TestAnAnonymousClientIsServedOnlyWhereThatIsMeant(t *testing.T) {
	cases := []struct {
		name           string
		server, client bool // Anonymous
		bend           func(t *testing.T, w *world)
		want           error // of the server
		known          bool  // the server knows the client
	}{
		{name: "a client without an identity reaches an issuer", server: true, client: true, bend: withoutIdentity},
		{name: "an issuer still knows who shows a certificate", server: true, known: true},
		{name: "a client that has an identity keeps it to itself", server: true, client: true},
		{name: "an issuer refuses a certificate of somebody else's root", server: true, bend: func(t *testing.T, w *world) {
			w.client = identitytest.NewCA(t, "example.org").Source(t, clientID)
			w.client.Publish(w.client.Current().SVID, w.ca.Bundles())
		}, want: mtls.ErrUntrusted},
		{name: "an issuer refuses a certificate that is no SVID", server: true, bend: func(t *testing.T, w *world) {
			w.client.Rotate(t, devca.IssueOptions{NoURI: true})
		}, want: mtls.ErrNotSVID},
	}
	const least = 5
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.serverOpts.Anonymous, w.clientOpts.Anonymous = c.server, c.client
			if c.bend != nil {
				c.bend(t, w)
			}
			l := connect(t, w.serverConfig(), w.clientConfig())
			if c.want != nil {
				wantError(t, l.serverErr, c.want)
				return
			}
			l.mustWork(t)
			peer, err := mtls.PeerOf(l.server.ConnectionState())
			if known := err == nil && peer.ID.String() == clientID; known != c.known {
				t.Errorf("the server knows the client: %v (%v), want %v", known, err, c.known)
			}
		})
	}
}

func withoutIdentity(_ *testing.T, w *world) { w.client.Publish(nil, w.ca.Bundles()) }

// Being anonymous is the client's own choice; whom it talks to is not.
func TestAnAnonymousClientVerifiesTheServer(t *testing.T) {
	w := newWorld(t)
	w.serverOpts.Anonymous, w.clientOpts.Anonymous = true, true
	w.clientOpts.Expected = expect(t, otherID)
	wantError(t, connect(t, w.serverConfig(), w.clientConfig()).clientErr, mtls.ErrUnexpectedID)
}

// crypto/tls itself refuses them there, before anything is verified.
func TestAnyOtherServerRefusesAnonymousClients(t *testing.T) {
	w := newWorld(t)
	w.clientOpts.Anonymous = true
	if l := connect(t, w.serverConfig(), w.clientConfig()); l.serverErr == nil || l.clientErr == nil {
		t.Errorf("the server says %v, the client %v", l.serverErr, l.clientErr)
	}
}
