package ca

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// ErrCannotSign means that no root or intermediate is valid with which to sign.
var ErrCannotSign = errors.New("the CA cannot sign")

// IssueSVID certifies that key is that of the workload id. The SVID is valid for
// as long as the policy says, and no longer than who signs it. It comes with the
// intermediates that lead to the root, without the root.
func IssueSVID(s State, p Policy, id spiffeid.ID, key crypto.PublicKey, now time.Time) ([]*x509.Certificate, error) {
	if !id.MemberOf(s.TrustDomain) || id.Path() == "" {
		return nil, fmt.Errorf("issue an SVID: %q is no workload of %q", id, s.TrustDomain)
	}
	root := s.Signing()
	if root == nil {
		return nil, fmt.Errorf("issue an SVID to %q: %w: it has no root yet", id, ErrCannotSign)
	}
	issuer := root.Issuer.Cert()
	last := issuer.NotAfter
	if root.Cert.NotAfter.Before(last) {
		last = root.Cert.NotAfter
	}
	if !now.Add(shortest).Before(last) {
		return nil, fmt.Errorf("issue an SVID to %q: %w: %q expired at %s", id, ErrCannotSign, issuer.Subject, last.UTC().Format(time.RFC3339))
	}
	template, err := leaf(id, now, p.SVID, last)
	if err != nil {
		return nil, err
	}
	cert, err := sign(template, issuer, key, root.Issuer.Key)
	if err != nil {
		return nil, fmt.Errorf("issue an SVID to %q: %w", id, err)
	}
	return append([]*x509.Certificate{cert}, root.Issuer.Chain...), nil
}

// leaf follows X.509-SVID §2 (one URI SAN, the SPIFFE ID), §4.1 (no CA), §4.3
// (digitalSignature, neither keyCertSign nor cRLSign) and §4.4 (both roles). The
// subject is empty, so that nobody can take a common name for an identity; that
// makes the SAN critical (RFC 5280 §4.2.1.6).
func leaf(id spiffeid.ID, now time.Time, life time.Duration, last time.Time) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	notAfter := now.Add(life)
	if last.Before(notAfter) {
		notAfter = last
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		URIs:                  []*url.URL{id.URL()},
		NotBefore:             now.Add(-backdate),
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}, nil
}
