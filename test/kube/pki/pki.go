// Package pki makes the certificates and keys of a test cluster, and the files by
// which its programs find and know each other.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"
)

// lifetime is longer than any test runs.
const lifetime = 24 * time.Hour

// An Authority signs for one cluster, and keeps what it makes in a directory.
type Authority struct {
	// Dir is where the files are.
	Dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// New makes an authority: ca.crt in dir, and beside it sa.key and sa.pub, with which
// the API server signs tokens.
func New(dir string) (*Authority, error) {
	a := &Authority{Dir: dir}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "test cluster"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	a.cert, a.key = template, key
	if a.cert, err = a.sign(template, key.Public()); err != nil {
		return nil, err
	}
	if err := a.write("ca.crt", "CERTIFICATE", a.cert.Raw); err != nil {
		return nil, err
	}
	return a, a.tokenKey()
}

// Path is that of a file of the authority.
func (a *Authority) Path(name string) string { return filepath.Join(a.Dir, name) }

// tokenKey makes the key of service account tokens.
func (a *Authority) tokenKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := a.write("sa.pub", "PUBLIC KEY", public); err != nil {
		return err
	}
	return a.writeKey("sa.key", key)
}

// Issue makes name.crt and name.key for a user of groups, who may also serve under the
// names and addresses.
func (a *Authority) Issue(name string, subject pkix.Name, hosts ...string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject: subject, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	cert, err := a.sign(template, key.Public())
	if err != nil {
		return fmt.Errorf("certificate of %s: %w", name, err)
	}
	if err := a.write(name+".crt", "CERTIFICATE", cert.Raw); err != nil {
		return err
	}
	return a.writeKey(name+".key", key)
}

func (a *Authority) sign(template *x509.Certificate, key crypto.PublicKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(lifetime)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (a *Authority) writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return a.write(name, "EC PRIVATE KEY", der)
}

func (a *Authority) write(name, kind string, der []byte) error {
	return os.WriteFile(a.Path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// A User is who a kubeconfig is for: the one of a certificate, or of a token.
type User struct {
	// Certificate is the name that Issue was told.
	Certificate string
	// Token stands instead of a certificate.
	Token string
}

// Kubeconfig writes name.kubeconfig, with which a program reaches the server at the
// URL, and returns its path.
func (a *Authority) Kubeconfig(name, server string, user User) (string, error) {
	who := map[string]any{"token": user.Token}
	if user.Token == "" {
		who = map[string]any{"client-certificate": a.Path(user.Certificate + ".crt"), "client-key": a.Path(user.Certificate + ".key")}
	}
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "only",
		"clusters": []any{map[string]any{"name": "only", "cluster": map[string]any{"server": server, "certificate-authority": a.Path("ca.crt")}}},
		"users":    []any{map[string]any{"name": "only", "user": who}},
		"contexts": []any{map[string]any{"name": "only", "context": map[string]any{"cluster": "only", "user": "only"}}},
	})
	if err != nil {
		return "", err
	}
	path := a.Path(name + ".kubeconfig")
	return path, os.WriteFile(path, text, 0o600)
}
