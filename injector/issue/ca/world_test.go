package ca_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/injector/issue/ca"
)

var (
	domain   = spiffeid.RequireTrustDomainFromString("example.org")
	checkout = spiffeid.RequireFromPath(domain, "/ns/shop/sa/checkout")
	begin    = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
)

// A world is a CA at a moment.
type world struct {
	t     testing.TB
	state ca.State
	in    ca.Input
	now   time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return &world{t: t, state: ca.State{TrustDomain: domain}, in: ca.Input{Policy: ca.Policy{}.WithDefaults()}, now: begin}
}

// next is what is planned now.
func (w *world) next() ca.Step { return ca.Plan(w.state, w.in, w.now) }

// settle does all that is due, and returns the actions.
func (w *world) settle() []ca.Action {
	w.t.Helper()
	var done []ca.Action
	for range 20 {
		step := w.next()
		if step.Action == ca.Wait {
			return done
		}
		state, err := ca.Apply(w.state, step, w.in, w.now)
		if err != nil {
			w.t.Fatal(err)
		}
		w.state = state
		done = append(done, step.Action)
	}
	w.t.Fatalf("the plan goes on for ever: %v", done)
	return nil
}

// after lets time pass and settles.
func (w *world) after(d time.Duration) []ca.Action {
	w.t.Helper()
	w.now = w.now.Add(d)
	return w.settle()
}

// phases are those of the roots, in their order.
func (w *world) phases() []ca.Phase {
	var all []ca.Phase
	for _, r := range w.state.Roots {
		all = append(all, r.Phase)
	}
	return all
}

func (w *world) issue() []*x509.Certificate {
	w.t.Helper()
	chain, err := ca.IssueSVID(w.state, w.in.Policy, checkout, newKey(w.t).Public(), w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return chain
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A userCA is a CA outside of ours, of which the user brings an intermediate.
type userCA struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newUserCA(t testing.TB, from, to time.Time) userCA {
	t.Helper()
	key := newKey(t)
	template := caTemplate("a root of the user", from, to)
	return userCA{sign(t, template, template, key.Public(), key), key}
}

func caTemplate(name string, from, to time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(from.Unix()), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
}

func sign(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// bring makes an intermediate and returns the files, with roots besides.
func (u userCA) bring(t testing.TB, from, to time.Time, more ...userCA) ca.BroughtPEM {
	t.Helper()
	key := newKey(t)
	cert := sign(t, caTemplate("an intermediate of the user", from, to), u.cert, key.Public(), u.key)
	files := ca.BroughtPEM{Chain: certPEM(cert), Key: keyPEM(t, key), Roots: certPEM(u.cert)}
	for _, m := range more {
		files.Roots = append(files.Roots, certPEM(m.cert)...)
	}
	return files
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func keyPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// brings has the user bring files.
func (w *world) brings(files ca.BroughtPEM) {
	w.t.Helper()
	b, err := ca.ParseBrought(files, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	w.in.Brought = b
}
