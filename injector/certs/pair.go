package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	// lifetime is how long a certificate is valid; it is replaced after half
	// of that, so a control plane may rest for 45 days.
	lifetime = 90 * 24 * time.Hour
	// backdate allows for clocks that are behind ours.
	backdate = time.Hour
	// ripening is how long a certificate's authority has been in the webhook's
	// configuration before the certificate is used. API servers watch their
	// configurations, which takes a second.
	ripening = 5 * time.Minute
)

// A pair is a certificate with its key.
type pair struct {
	leaf             *x509.Certificate
	certPEM, keyPEM  []byte
	authority        *x509.Certificate // only of one that was just made
	serverCredential tls.Certificate
}

// parsePair reads what encode wrote.
func parsePair(certPEM, keyPEM []byte) (*pair, error) {
	c, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("read the webhook's certificate: %w", err)
	}
	return &pair{leaf: c.Leaf, certPEM: certPEM, keyPEM: keyPEM, serverCredential: c}, nil
}

// makePair makes a certificate for the names, and an authority that signs nothing
// else.
func makePair(names []string, now time.Time) (*pair, error) {
	if len(names) == 0 {
		return nil, errors.New("make the webhook's certificate: it has no names")
	}
	authority, authorityKey, err := makeAuthority(names, now)
	if err != nil {
		return nil, fmt.Errorf("make the webhook's authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the webhook's key: %w", err)
	}
	template, err := certificate(names[0], now)
	if err != nil {
		return nil, err
	}
	template.DNSNames = names
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), authorityKey)
	if err != nil {
		return nil, fmt.Errorf("sign the webhook's certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write the webhook's key: %w", err)
	}
	p, err := parsePair(block("CERTIFICATE", der), block("PRIVATE KEY", keyDER))
	if err == nil {
		p.authority = authority
	}
	return p, err
}

// makeAuthority makes one that can vouch for these names only.
func makeAuthority(names []string, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template, err := certificate("outrider webhook authority", now)
	if err != nil {
		return nil, nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	template.PermittedDNSDomainsCritical, template.PermittedDNSDomains = true, names
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	authority, err := x509.ParseCertificate(der)
	return authority, key, err
}

func certificate(name string, now time.Time) (*x509.Certificate, error) {
	// 128 bits, of which RFC 5280 §4.1.2.2 wants no more than 160.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, fmt.Errorf("choose a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name[:min(len(name), 64)]}, // RFC 5280 A.1, ub-common-name
		NotBefore: now.Add(-backdate), NotAfter: now.Add(lifetime),
	}, nil
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// made is when it was, to the second.
func (p *pair) made() time.Time { return p.leaf.NotBefore.Add(backdate) }

// serves tells whether it can be presented for all of the names.
func (p *pair) serves(names []string, now time.Time) bool {
	if p == nil || now.After(p.leaf.NotAfter) || now.Before(p.leaf.NotBefore) {
		return false
	}
	for _, name := range names {
		if p.leaf.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}
