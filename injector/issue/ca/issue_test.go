package ca_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/injector/issue/ca"
)

func TestAnSVIDIsWhatTheStandardSays(t *testing.T) {
	w := newWorld(t)
	w.settle()
	chain := w.issue()
	leaf, issuer, root := chain[0], chain[1], w.state.Signing().Cert
	parsed, err := x509svid.ParseRaw(bytes.Join([][]byte{leaf.Raw, issuer.Raw}, nil), mustPKCS8(t))
	if err == nil {
		t.Errorf("a key that is not the SVID's is taken for it: %v", parsed.ID)
	}
	for _, c := range []struct {
		what string
		is   bool
	}{
		{"one URI SAN, the SPIFFE ID", len(leaf.URIs) == 1 && leaf.URIs[0].String() == checkout.String()},
		{"no other SAN", len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.EmailAddresses) == 0},
		{"an empty subject", len(leaf.Subject.Names) == 0},
		{"a critical SAN, as the subject is empty", critical(leaf, asn1.ObjectIdentifier{2, 5, 29, 17})},
		{"no CA", leaf.BasicConstraintsValid && !leaf.IsCA},
		{"only digitalSignature", leaf.KeyUsage == x509.KeyUsageDigitalSignature},
		{"a critical key usage", critical(leaf, asn1.ObjectIdentifier{2, 5, 29, 15})},
		{"both roles", len(leaf.ExtKeyUsage) == 2 && leaf.ExtKeyUsage[0] == x509.ExtKeyUsageServerAuth && leaf.ExtKeyUsage[1] == x509.ExtKeyUsageClientAuth},
		{"an hour from now", leaf.NotAfter.Equal(w.now.Add(time.Hour))},
		{"backdated for slow clocks", leaf.NotBefore.Equal(w.now.Add(-2 * time.Minute))},
		{"a serial of 16 octets", leaf.SerialNumber.Sign() > 0 && len(leaf.SerialNumber.Bytes()) == 16},
		{"an authority key id", len(leaf.AuthorityKeyId) > 0 && bytes.Equal(leaf.AuthorityKeyId, issuer.SubjectKeyId)},
		{"an intermediate that signs leaves only", issuer.IsCA && issuer.MaxPathLen == 0 && issuer.MaxPathLenZero},
		{"a root with one level below", root.IsCA && root.MaxPathLen == 1},
		{"CAs that sign no handshake", (issuer.KeyUsage|root.KeyUsage)&x509.KeyUsageDigitalSignature == 0},
		{"CAs named by their trust domain", issuer.URIs[0].String() == "spiffe://example.org" && root.URIs[0].String() == "spiffe://example.org"},
		{"a chain without the root", len(chain) == 2 && !issuer.Equal(root)},
	} {
		if !c.is {
			t.Errorf("not so: %s", c.what)
		}
	}
	verify(t, chain, w.state.Bundles(), w.now)
	if again := w.issue(); again[0].SerialNumber.Cmp(leaf.SerialNumber) == 0 {
		t.Error("two SVIDs have one serial number")
	}
}

func mustPKCS8(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func critical(c *x509.Certificate, id asn1.ObjectIdentifier) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(id) {
			return e.Critical
		}
	}
	return false
}

func TestOnlyWorkloadsOfTheDomainGetAnSVID(t *testing.T) {
	w := newWorld(t)
	key := newKey(t).Public()
	if _, err := ca.IssueSVID(w.state, w.in.Policy, checkout, key, w.now); !errors.Is(err, ca.ErrCannotSign) {
		t.Errorf("a CA without a root: %v", err)
	}
	w.settle()
	for _, id := range []spiffeid.ID{{}, domain.ID(), spiffeid.RequireFromString("spiffe://example.net/ns/shop/sa/checkout")} {
		if _, err := ca.IssueSVID(w.state, w.in.Policy, id, key, w.now); err == nil {
			t.Errorf("%q is certified", id)
		}
	}
}

func TestAnSVIDDoesNotOutliveItsIssuer(t *testing.T) {
	w := newWorld(t)
	w.settle()
	w.now = w.now.Add(week - 10*time.Minute) // nobody renewed the intermediate
	chain := w.issue()
	if !chain[0].NotAfter.Equal(chain[1].NotAfter) {
		t.Errorf("it ends at %v, its issuer at %v", chain[0].NotAfter, chain[1].NotAfter)
	}
	verify(t, chain, w.state.Bundles(), w.now)
	w.now = w.now.Add(10 * time.Minute)
	if _, err := ca.IssueSVID(w.state, w.in.Policy, checkout, newKey(t).Public(), w.now); !errors.Is(err, ca.ErrCannotSign) {
		t.Errorf("an expired issuer: %v", err)
	}
}

// request makes a certification request.
func request(t testing.TB, key crypto.Signer, bend func(*x509.CertificateRequest)) []byte {
	t.Helper()
	template := new(x509.CertificateRequest)
	if bend != nil {
		bend(template)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	if bits < 1024 {
		t.Fatal("crypto/rsa makes none")
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestRequestsAreCheckedStrictly(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := request(t, newKey(t), nil)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	// The key of one and the signature of another.
	other := request(t, newKey(t), nil)
	spliced := splice(t, good, other)
	cases := []struct {
		name, says string
		der        []byte
	}{
		{"P-256", "", good},
		{"P-384", "", request(t, ecKey(t, elliptic.P384()), nil)},
		{"Ed25519", "", request(t, ed, nil)},
		{"RSA of 2048 bits", "", request(t, rsaKey(t, 2048), nil)},
		{"names and extensions, which are not looked at", "", request(t, newKey(t), func(r *x509.CertificateRequest) {
			r.Subject = pkix.Name{CommonName: "root"}
			r.DNSNames = []string{"payments"}
			r.URIs = []*url.URL{checkout.URL()}
		})},
		{"P-224", "P-224", request(t, ecKey(t, elliptic.P224()), nil)},
		{"P-521", "P-521", request(t, ecKey(t, elliptic.P521()), nil)},
		{"RSA of 1024 bits", "1024 bits", request(t, rsaKey(t, 1024), nil)},
		{"signed with SHA-1", "signed with", request(t, rsaKey(t, 2048), func(r *x509.CertificateRequest) { r.SignatureAlgorithm = x509.SHA1WithRSA })},
		{"a signature that is broken", "verif", flipped},
		{"a signature of another key", "verif", spliced},
		{"something behind it", "trailing", append(bytes.Clone(good), 0)},
		{"half of it", "", good[:len(good)/2]},
		{"a certificate", "", newUserCA(t, begin, begin.Add(time.Hour)).cert.Raw},
		{"nothing", "", nil},
	}
	if len(cases) < 15 {
		t.Errorf("%d cases are too few", len(cases))
	}
	accepted := 0
	for i, c := range cases {
		key, err := ca.ParseRequest(c.der)
		switch {
		case i < 5 && err == nil && key != nil:
			accepted++
		case i < 5 || err == nil || !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
	if accepted != 5 {
		t.Errorf("%d requests were accepted", accepted)
	}
}

// splice returns a with the signature of b.
func splice(t *testing.T, a, b []byte) []byte {
	t.Helper()
	type form struct {
		Info      asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	var x, y form
	_, err1 := asn1.Unmarshal(a, &x)
	_, err2 := asn1.Unmarshal(b, &y)
	x.Signature = y.Signature
	der, err3 := asn1.Marshal(x)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return der
}

// Whatever request is accepted, its key is one that is certified, and the
// request proves that somebody has it.
func FuzzParseRequest(f *testing.F) {
	f.Add(request(f, newKey(f), nil))
	f.Add(request(f, rsaKey(f, 2048), func(r *x509.CertificateRequest) { r.DNSNames = []string{"x"} }))
	f.Add(newUserCA(f, begin, begin.Add(time.Hour)).cert.Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		key, err := ca.ParseRequest(der)
		if err != nil {
			return
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil || csr.CheckSignature() != nil {
			t.Errorf("accepted a request without proof: %v", err)
		}
		if equal, ok := key.(interface{ Equal(crypto.PublicKey) bool }); !ok || !equal.Equal(csr.PublicKey) {
			t.Errorf("another key than that of the request: %T", key)
		}
	})
}
