package mtls_test

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
)

// A handshakeCase bends a world and tells how a handshake between its two ends
// goes. A nil error for both: it works. Where one is nil and the other not, the
// nil end fails with whatever the other's refusal looks like from outside.
type handshakeCase struct {
	name                   string
	bend                   func(t *testing.T, w *world)
	wantServer, wantClient error
}

var handshakeCases = []handshakeCase{
	{"two workloads of one domain meet", func(*testing.T, *world) {}, nil, nil},
	{"two workloads of federated domains meet", func(t *testing.T, w *world) {
		w.federate(t)
		w.client = w.other.Source(t, otherID)
	}, nil, nil},
	{"a server of a federated domain is reached", func(t *testing.T, w *world) {
		w.federate(t)
		w.server = w.other.Source(t, otherID)
		w.clientOpts.Expected = expect(t, otherID)
	}, nil, nil},
	{"one of several expected servers is reached", func(t *testing.T, w *world) {
		w.clientOpts.Expected = expect(t, otherID, serverID, clientID)
	}, nil, nil},
	{"an end whose source reports a failure goes on with what it has", func(_ *testing.T, w *world) {
		w.server.Fail(errors.New("agent gone"))
		w.client.Fail(errors.New("agent gone"))
	}, nil, nil},

	{"a server that is somebody else is refused", func(t *testing.T, w *world) {
		w.clientOpts.Expected = expect(t, "spiffe://example.org/ns/shop/sa/orders")
	}, nil, mtls.ErrUnexpectedID},
	{"a longer path than the expected one is refused", func(t *testing.T, w *world) {
		w.clientOpts.Expected = expect(t, "spiffe://example.org/ns/shop/sa/pay")
	}, nil, mtls.ErrUnexpectedID},
	{"the same path in another domain is refused", func(t *testing.T, w *world) {
		w.federate(t)
		w.server = w.other.Source(t, otherID)
		w.clientOpts.Expected = expect(t, clientID) // the same ns and sa
	}, nil, mtls.ErrUnexpectedID},
	{"a client that expects nobody refuses everybody", func(_ *testing.T, w *world) {
		w.clientOpts.Expected = mtls.Expected{}
	}, nil, mtls.ErrUnexpectedID},
	{"federation that only the client knows of does not help it", func(t *testing.T, w *world) {
		federateWith(t, w.other, w.ca)
		w.client = w.other.Source(t, otherID)
	}, mtls.ErrUnknownTrustDomain, nil},
	{"federation that only the server knows of does not help it", func(t *testing.T, w *world) {
		federateWith(t, w.ca, w.other)
		w.server.Refresh()
		w.client = w.other.Source(t, otherID)
	}, nil, mtls.ErrUnknownTrustDomain},
	{"a server without an identity does not answer", func(_ *testing.T, w *world) {
		w.server = &identitytest.StaticSource{}
	}, mtls.ErrNoSVID, nil},
	{"a client without an identity does not present itself", func(_ *testing.T, w *world) {
		w.client = &identitytest.StaticSource{}
		w.client.Publish(nil, w.ca.Bundles())
	}, nil, mtls.ErrNoSVID},
	{"a client without bundles trusts nobody", func(_ *testing.T, w *world) {
		w.client.Publish(w.client.Current().SVID, nil)
	}, nil, mtls.ErrUnknownTrustDomain},
	{"a client with an empty bundle trusts nobody", func(_ *testing.T, w *world) {
		w.client.Publish(w.client.Current().SVID, x509bundle.NewSet(x509bundle.New(w.ca.TrustDomain())))
	}, nil, mtls.ErrUntrusted},
	{"a server whose SVID has expired does not answer", func(t *testing.T, w *world) {
		w.server.Rotate(t, devca.IssueOptions{NotBefore: dayAgo, NotAfter: hourAgo})
	}, mtls.ErrSVIDExpired, nil},
	{"a client whose SVID has expired does not present itself", func(t *testing.T, w *world) {
		w.client.Rotate(t, devca.IssueOptions{NotBefore: dayAgo, NotAfter: hourAgo})
	}, nil, mtls.ErrSVIDExpired},
	{"a root that has lapsed is no root", func(t *testing.T, w *world) {
		century := devca.IssueOptions{NotAfter: time.Now().AddDate(100, 0, 0)}
		w.server.Rotate(t, century)
		w.client.Rotate(t, century)
		w.serverOpts.Now = func() time.Time { return time.Now().AddDate(1, 0, 0) }
	}, mtls.ErrUntrusted, nil},

	{"ends with a protocol in common agree on it", func(_ *testing.T, w *world) {
		w.serverOpts.NextProtos = []string{"outrider/1+h1", "http/1.1"}
		w.clientOpts.NextProtos = []string{"outrider/1+h1"}
	}, nil, nil},
	{"a client that offers no protocol is accepted", func(_ *testing.T, w *world) {
		w.serverOpts.NextProtos = []string{"outrider/1+h1"}
	}, nil, nil},
}

// federateWith tells one CA of another, and not the other way round.
func federateWith(t *testing.T, ca, other *identitytest.CA) {
	t.Helper()
	if err := ca.CA.Federate(other.Bundle()); err != nil {
		t.Fatal(err)
	}
}

func TestHandshakesOfTwoSidecars(t *testing.T) {
	count := 0
	for _, tc := range handshakeCases {
		t.Run(tc.name, func(t *testing.T) {
			count++
			w := newWorld(t)
			tc.bend(t, w)
			l := connect(t, w.serverConfig(), w.clientConfig())
			if tc.wantServer == nil && tc.wantClient == nil {
				l.mustWork(t)
				return
			}
			if l.serverErr == nil || l.clientErr == nil {
				t.Fatalf("server %v, client %v, want both to fail", l.serverErr, l.clientErr)
			}
			if tc.wantServer != nil {
				wantError(t, l.serverErr, tc.wantServer)
			}
			if tc.wantClient != nil {
				wantError(t, l.clientErr, tc.wantClient)
			}
		})
	}
	if least := 20; count < least {
		t.Errorf("%d cases ran, want at least %d", count, least)
	}
}

// What is no SPIFFE peer at all; the errors are those of crypto/tls.
func TestTheServerRefusesLessThanMutualTLS(t *testing.T) {
	w := newWorld(t)
	good := strangerClient(w.client.Current().SVID)
	bent := func(bend func(*tls.Config)) *tls.Config {
		c := good.Clone()
		bend(c)
		return c
	}
	w.serverOpts.NextProtos = []string{"outrider/1+h1"}
	connect(t, w.serverConfig(), good).mustWork(t)
	for _, tc := range []struct {
		name   string
		client *tls.Config
	}{
		{"no client certificate", bent(func(c *tls.Config) { c.Certificates = nil })},
		{"TLS 1.2", bent(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })},
		{"no protocol in common", bent(func(c *tls.Config) { c.NextProtos = []string{"imap"} })},
		{"no curve in common", bent(func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP521} })},
		{"another's key", bent(func(c *tls.Config) {
			c.Certificates = []tls.Certificate{{Certificate: c.Certificates[0].Certificate, PrivateKey: w.server.Current().SVID.PrivateKey}}
		})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := connect(t, w.serverConfig(), tc.client)
			if l.serverErr == nil || l.clientErr == nil {
				t.Errorf("server %v, client %v, want both to fail", l.serverErr, l.clientErr)
			}
		})
	}
	t.Run("plaintext", func(t *testing.T) {
		near, far := tcpPair(t)
		if _, err := near.Write([]byte("GET / HTTP/1.1\r\nHost: payments\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		err := tls.Server(far, w.serverConfig()).Handshake()
		if header, ok := errors.AsType[tls.RecordHeaderError](err); !ok {
			t.Errorf("the handshake ends with %v, want %T", err, header)
		}
	})
}

func TestTheClientRefusesTLS12(t *testing.T) {
	w := newWorld(t)
	old := strangerServer(w.server.Current().SVID)
	old.MaxVersion = tls.VersionTLS12
	if l := connect(t, old, w.clientConfig()); l.clientErr == nil {
		t.Error("the client spoke TLS 1.2")
	}
}

func TestWhatTheEndsLearnOfEachOther(t *testing.T) {
	w := newWorld(t)
	w.serverOpts.NextProtos = []string{"outrider/1+tcp", "outrider/1+h1"}
	w.clientOpts.NextProtos = []string{"outrider/1+h1"}
	server := w.serverConfig()
	sent := "not called"
	server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		sent = hello.ServerName
		return nil, nil
	}
	l := connect(t, server, w.clientConfig()).mustWork(t)
	if sent != "" {
		t.Errorf("the client sends the server name %q, want none", sent)
	}
	atServer, atClient := l.peers(t)
	if atServer.ID.String() != clientID || atClient.ID.String() != serverID {
		t.Errorf("the server sees %q, the client %q", atServer.ID, atClient.ID)
	}
	for end, cs := range map[string]tls.ConnectionState{"server": l.server.ConnectionState(), "client": l.client.ConnectionState()} {
		if cs.CurveID != tls.X25519MLKEM768 || cs.Version != tls.VersionTLS13 || cs.NegotiatedProtocol != "outrider/1+h1" {
			t.Errorf("the %s agreed on %v, %s, %q", end, cs.CurveID, tls.VersionName(cs.Version), cs.NegotiatedProtocol)
		}
	}
}

func TestPeersWithoutMLKEMAreReached(t *testing.T) {
	for _, curve := range []tls.CurveID{tls.X25519, tls.CurveP256} {
		w := newWorld(t)
		client := w.clientConfig()
		client.CurvePreferences = []tls.CurveID{curve}
		l := connect(t, w.serverConfig(), client).mustWork(t)
		if got := l.server.ConnectionState().CurveID; got != curve {
			t.Errorf("the ends agreed on %v, want %v", got, curve)
		}
	}
}

// The library most SPIFFE workloads use is a peer in both roles.
func TestGoSPIFFEIsAPeer(t *testing.T) {
	w := newWorld(t)
	snap := w.server.Current()
	theirServer := tlsconfig.MTLSServerConfig(snap.SVID, snap.Bundles, tlsconfig.AuthorizeAny())
	connect(t, theirServer, w.clientConfig()).mustWork(t)
	snap = w.client.Current()
	theirClient := tlsconfig.MTLSClientConfig(snap.SVID, snap.Bundles, tlsconfig.AuthorizeID(identitytest.ID(t, serverID)))
	connect(t, w.serverConfig(), theirClient).mustWork(t)
}

func TestPeerOfWantsACompleteHandshake(t *testing.T) {
	w := newWorld(t)
	_, err := mtls.PeerOf(tls.ConnectionState{PeerCertificates: w.client.Current().SVID.Certificates})
	wantError(t, err, mtls.ErrNotSVID)
	_, err = mtls.PeerOf(tls.ConnectionState{HandshakeComplete: true})
	wantError(t, err, mtls.ErrNotSVID)
}

// The error of a handshake without an identity says why there is none.
func TestNoSVIDSaysWhy(t *testing.T) {
	var src identitytest.StaticSource
	why := errors.New("no registration entry")
	src.Fail(why)
	near, _ := net.Pipe()
	defer near.Close()
	_, err := mtls.ServerConfig(&src, mtls.ServerOptions{}).GetCertificate(&tls.ClientHelloInfo{Conn: near})
	wantError(t, err, mtls.ErrNoSVID)
	if !errors.Is(err, why) {
		t.Errorf("%v does not say %v", err, why)
	}
}
