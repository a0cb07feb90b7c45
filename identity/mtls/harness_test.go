package mtls_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	serverID = "spiffe://example.org/ns/shop/sa/payments"
	clientID = "spiffe://example.org/ns/shop/sa/checkout"
	otherID  = "spiffe://example.net/ns/shop/sa/checkout"
)

// patience bounds every step of a test that waits for the other end. It is
// never what a test measures.
const patience = 20 * time.Second

// A world is a server and a client of one trust domain, and what a case bends.
type world struct {
	ca, other      *identitytest.CA // example.org, example.net; federated when a case says so
	server, client *identitytest.StaticSource
	serverOpts     mtls.ServerOptions
	clientOpts     mtls.ClientOptions
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{ca: identitytest.NewCA(t, "example.org"), other: identitytest.NewCA(t, "example.net")}
	w.server, w.client = w.ca.Source(t, serverID), w.ca.Source(t, clientID)
	w.clientOpts.Expected = expect(t, serverID)
	return w
}

func (w *world) serverConfig() *tls.Config { return mtls.ServerConfig(w.server, w.serverOpts) }
func (w *world) clientConfig() *tls.Config { return mtls.ClientConfig(w.client, w.clientOpts) }

// federate makes both domains known to both ends.
func (w *world) federate(t testing.TB) {
	t.Helper()
	identitytest.Federate(t, w.ca, w.other)
	w.server.Refresh()
	w.client.Refresh()
}

func expect(t testing.TB, ids ...string) mtls.Expected {
	t.Helper()
	var parsed []spiffeid.ID
	for _, id := range ids {
		parsed = append(parsed, identitytest.ID(t, id))
	}
	e, err := mtls.NewExpected(parsed...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func issue(t testing.TB, ca *identitytest.CA, id string, opts devca.IssueOptions) *x509svid.SVID {
	t.Helper()
	svid, err := ca.Issue(identitytest.ID(t, id), opts)
	if err != nil {
		t.Fatal(err)
	}
	return svid
}

func tlsCertificate(svid *x509svid.SVID) tls.Certificate {
	cert := tls.Certificate{PrivateKey: svid.PrivateKey}
	for _, c := range svid.Certificates {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert
}

// strangerClient and strangerServer present svid whatever it is and accept
// everybody: what an attacker, or a broken peer, would run.
func strangerClient(svid *x509svid.SVID) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{tlsCertificate(svid)}}
}

func strangerServer(svid *x509svid.SVID) *tls.Config {
	return &tls.Config{ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{tlsCertificate(svid)}}
}

// A link is what became of one connection: the two ends, and what ended them.
type link struct {
	server, client       *tls.Conn
	serverErr, clientErr error
}

// connect runs a handshake over loopback, then one byte each way: in TLS 1.3 a
// client learns only from its first read that its certificate was refused.
func connect(t testing.TB, server, client *tls.Config) link {
	t.Helper()
	near, far := tcpPair(t)
	l := link{server: tls.Server(far, server), client: tls.Client(near, client)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if l.serverErr = echo(l.server); l.serverErr != nil {
			far.Close()
		}
	}()
	if l.clientErr = ping(l.client); l.clientErr != nil {
		near.Close()
	}
	<-done
	return l
}

// tcpPair returns the two ends of a loopback connection, closed with the test.
func tcpPair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan error, 1)
	go func() {
		var err error
		far, err = ln.Accept()
		accepted <- err
	}()
	near, err = net.Dial("tcp", ln.Addr().String())
	if err := errors.Join(err, <-accepted); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{near, far} {
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	return near, far
}

// ping sends a byte and expects it back; echo is the other end.
func ping(c net.Conn) error {
	b := []byte{'!'}
	if _, err := c.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(c, b)
	return err
}

func echo(c net.Conn) error {
	b := make([]byte, 1)
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	_, err := c.Write(b)
	return err
}

// alive tells whether an open link still carries bytes both ways.
func (l link) alive() error {
	done := make(chan error, 1)
	go func() { done <- echo(l.server) }()
	return errors.Join(ping(l.client), <-done)
}

func (l link) mustWork(t testing.TB) link {
	t.Helper()
	if l.serverErr != nil || l.clientErr != nil {
		t.Fatalf("the connection fails: server %v, client %v", l.serverErr, l.clientErr)
	}
	return l
}

// peers returns whom each end sees.
func (l link) peers(t testing.TB) (atServer, atClient identity.Peer) {
	t.Helper()
	atServer, err1 := mtls.PeerOf(l.server.ConnectionState())
	atClient, err2 := mtls.PeerOf(l.client.ConnectionState())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return atServer, atClient
}

var sentinels = []error{
	mtls.ErrNoSVID, mtls.ErrSVIDExpired, mtls.ErrNotSVID, mtls.ErrUnknownTrustDomain,
	mtls.ErrUntrusted, mtls.ErrExpired, mtls.ErrUnexpectedID,
}

// wantError checks that err is want, and none of the other typed errors.
func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("the handshake ends with %v, want %v", err, want)
	}
	for _, s := range sentinels {
		if s != want && errors.Is(err, s) { //nolint:errorlint // which sentinel it is, not what it wraps
			t.Errorf("%v is also %v", err, s)
		}
	}
}
