// Package pki makes the certificates of one benchmark run: a certificate
// authority that lives as long as the run does and two X.509-SVIDs, one for
// each side of the hop. All keys are ECDSA P-256, as SPIRE issues by default.
package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// TrustDomain is the SPIFFE trust domain of the benchmark.
const TrustDomain = "bench.test"

// lifetime of everything issued: longer than any run, short enough that a
// forgotten key is worthless.
const lifetime = 12 * time.Hour

// Files are the paths of one identity, all PEM.
type Files struct {
	// Cert is the leaf, Key its PKCS#8 key, Both the two in one file (HAProxy
	// reads them so), CA the root to verify the other side with.
	Cert, Key, Both, CA string
	// ID is the URI SAN. DNSName is a second name in the same certificate, for
	// programs that cannot check a server by URI.
	ID, DNSName string
}

// An Authority issues identities for one run.
type Authority struct {
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// New makes an authority that writes below dir. Its own key stays in memory.
func New(dir string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the benchmark's CA key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "benchmark CA"},
		URIs:                  []*url.URL{{Scheme: "spiffe", Host: TrustDomain}},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(lifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the benchmark's CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back the benchmark's CA: %w", err)
	}
	a := &Authority{dir: dir, key: key, cert: cert}
	return a, a.write("ca.pem", encode("CERTIFICATE", der))
}

// Issue writes the identity of the workload called name.
func (a *Authority) Issue(name string) (Files, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Files{}, fmt.Errorf("make the key of %s: %w", name, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return Files{}, fmt.Errorf("make the serial number of %s: %w", name, err)
	}
	id := &url.URL{Scheme: "spiffe", Host: TrustDomain, Path: "/ns/bench/sa/" + name}
	template := &x509.Certificate{
		SerialNumber:          serial,
		URIs:                  []*url.URL{id},
		DNSNames:              []string{name + "." + TrustDomain},
		NotBefore:             a.cert.NotBefore,
		NotAfter:              a.cert.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Files{}, fmt.Errorf("sign the certificate of %s: %w", name, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Files{}, fmt.Errorf("encode the key of %s: %w", name, err)
	}
	files := Files{
		Cert: a.path(name + ".pem"), Key: a.path(name + "-key.pem"), Both: a.path(name + "-both.pem"),
		CA: a.path("ca.pem"), ID: id.String(), DNSName: template.DNSNames[0],
	}
	certPEM, keyPEM := encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8)
	for file, text := range map[string][]byte{
		files.Cert: certPEM, files.Key: keyPEM, files.Both: bytes.Join([][]byte{certPEM, keyPEM}, nil),
	} {
		if err := a.write(filepath.Base(file), text); err != nil {
			return Files{}, err
		}
	}
	return files, nil
}

func (a *Authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *Authority) write(name string, text []byte) error {
	if err := os.WriteFile(a.path(name), text, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
