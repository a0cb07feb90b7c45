package pki

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
)

func TestIssuedIdentitiesVerifyInBothRoles(t *testing.T) {
	a, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"client", "server"} {
		files, err := a.Issue(name)
		if err != nil {
			t.Fatal(err)
		}
		if want := "spiffe://bench.test/ns/bench/sa/" + name; files.ID != want {
			t.Errorf("ID is %q, want %q", files.ID, want)
		}
		for _, pair := range [][2]string{{files.Cert, files.Key}, {files.Both, files.Both}} {
			cert, err := tls.LoadX509KeyPair(pair[0], pair[1])
			if err != nil {
				t.Fatal(err)
			}
			verify(t, files, cert.Leaf)
		}
	}
}

func verify(t *testing.T, files Files, leaf *x509.Certificate) {
	t.Helper()
	text, err := os.ReadFile(files.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatal("the CA file holds no certificate")
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		options := x509.VerifyOptions{Roots: roots, DNSName: files.DNSName, KeyUsages: []x509.ExtKeyUsage{usage}}
		if _, err := leaf.Verify(options); err != nil {
			t.Errorf("usage %d: %v", usage, err)
		}
	}
	// A SPIFFE verifier insists on exactly one URI.
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != files.ID {
		t.Errorf("URI SANs are %v, want only %s", leaf.URIs, files.ID)
	}
}
