package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxBrought is how many certificates a brought file may hold: a rotation has
// two roots, and few hierarchies have more levels than fingers.
const maxBrought = 8

// Brought is the CA of the user: an intermediate that they had signed, and roots.
type Brought struct {
	// Issuer signs.
	Issuer Issuer
	// Roots are trusted, the issuer's own among them.
	Roots []*x509.Certificate

	root *x509.Certificate // the issuer's
}

// BroughtPEM is what the user puts there, under the names that kubernetes.io/tls
// and cert-manager give it.
type BroughtPEM struct {
	// Chain (tls.crt) is the intermediate and what is between it and its root.
	Chain []byte
	// Key (tls.key) is its private key in PKCS #8, SEC 1 or PKCS #1.
	Key []byte
	// Roots (ca.crt) are the roots, more than one during a rotation.
	Roots []byte
}

// ParseBrought reads what the user brought and tells whether it can be used at
// the time now.
func ParseBrought(p BroughtPEM, now time.Time) (*Brought, error) {
	chain, err := parseCertificates(p.Chain)
	if err != nil {
		return nil, fmt.Errorf("tls.crt: %w", err)
	}
	roots, err := parseCertificates(p.Roots)
	if err != nil {
		return nil, fmt.Errorf("ca.crt: %w", err)
	}
	key, err := parseKey(p.Key)
	if err != nil {
		return nil, fmt.Errorf("tls.key: %w", err)
	}
	b := &Brought{Issuer: Issuer{Chain: withoutRoots(chain, roots), Key: key}}
	// An expired root vouches for nothing; that it was left in the file is
	// no reason to stop.
	b.Roots = slices.DeleteFunc(roots, func(r *x509.Certificate) bool { return !now.Before(r.NotAfter) })
	if err := b.check(now); err != nil {
		return nil, err
	}
	return b, nil
}

// withoutRoots removes the root that some tools put at the end of a chain.
func withoutRoots(chain, roots []*x509.Certificate) []*x509.Certificate {
	for len(chain) > 1 && slices.ContainsFunc(roots, chain[len(chain)-1].Equal) {
		chain = chain[:len(chain)-1]
	}
	return chain
}

// check finds the root of the issuer.
func (b *Brought) check(now time.Time) error {
	cert := b.Issuer.Cert()
	switch {
	case now.Before(cert.NotBefore) || !now.Before(cert.NotAfter):
		return fmt.Errorf("tls.crt: the intermediate %q is valid from %s to %s only", cert.Subject,
			cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339))
	case slices.ContainsFunc(b.Roots, cert.Equal):
		return errors.New("tls.crt: it is a root; bring an intermediate signed by it, and keep the root's key offline")
	}
	if err := checkKey(b.Issuer.Key.Public()); err != nil {
		return fmt.Errorf("tls.key: %w", err)
	}
	err := errors.New("ca.crt: no root in it is valid")
	for _, root := range b.Roots {
		if !root.IsCA {
			return fmt.Errorf("ca.crt: %q is not a CA", root.Subject)
		}
		if err = b.Issuer.check(root); err == nil {
			b.root = root
			return nil
		}
	}
	return fmt.Errorf("tls.crt does not lead to a root in ca.crt: %w", err)
}

// within tells whether the state has all of b, with its issuer in its place.
func (b *Brought) within(s State) bool {
	for _, cert := range b.Roots {
		if s.find(cert) < 0 {
			return false
		}
	}
	r := s.Roots[s.find(b.root)]
	return r.Phase != Retired && r.Issuer != nil && slices.EqualFunc(r.Issuer.Chain, b.Issuer.Chain, (*x509.Certificate).Equal)
}

// lists tells whether cert is one of the roots; false for nil.
func (b *Brought) lists(cert *x509.Certificate) bool {
	return b != nil && slices.ContainsFunc(b.Roots, cert.Equal)
}

func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	blocks, err := blocksOf(data)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for i, block := range blocks {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM block %d is %q, want CERTIFICATE", i+1, block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", i+1, err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

func parseKey(data []byte) (crypto.Signer, error) {
	blocks, err := blocksOf(data)
	if err != nil {
		return nil, err
	}
	block := blocks[len(blocks)-1] // openssl puts EC PARAMETERS before it
	var key any
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("the PEM block %q is not an unencrypted private key", block.Type)
	}
	if err != nil {
		return nil, err
	}
	return signer(key)
}

// signer accepts the kinds of keys that [checkKey] does.
func signer(key any) (crypto.Signer, error) {
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		return key, nil
	case *rsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	default:
		return nil, fmt.Errorf("a private key of type %T cannot sign", key)
	}
}

// blocksOf returns the PEM blocks, one at least, all of them whole.
func blocksOf(data []byte) ([]*pem.Block, error) {
	var found []*pem.Block
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		found = append(found, block)
	}
	switch begun := bytes.Count(data, []byte("-----BEGIN ")); {
	case begun != len(found):
		return nil, fmt.Errorf("%d PEM blocks begin and %d are whole", begun, len(found))
	case len(found) == 0 || len(found) > maxBrought:
		return nil, fmt.Errorf("%d PEM blocks, want 1 to %d", len(found), maxBrought)
	}
	return found, nil
}
