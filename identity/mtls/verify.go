package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/identity"
)

// maxChain bounds the certificates a peer may present. They stay in memory for
// as long as the connection is open, and crypto/tls alone would take 256 KiB of
// them; a leaf with a few levels of intermediates is all that SPIFFE CAs issue.
const maxChain = 8

// PeerOf returns the peer of a connection whose handshake was completed under a
// configuration of this package. It reads the identity and verifies nothing:
// the handshake did.
func PeerOf(cs tls.ConnectionState) (identity.Peer, error) {
	if !cs.HandshakeComplete {
		return identity.Peer{}, fmt.Errorf("%w: the handshake is not complete", ErrNotSVID)
	}
	return peerOf(cs.PeerCertificates)
}

// Verify tells whether peer would be accepted with the bundles of snap at the
// time now. It is for connections that are open while the bundles change; the
// errors are those of a handshake.
func Verify(peer identity.Peer, snap *identity.Snapshot, now time.Time) error {
	presented, err := peerOf(peer.Chain)
	if err != nil {
		return err
	}
	if presented.ID != peer.ID {
		return fmt.Errorf("%w: the leaf names %q, not %q", ErrNotSVID, presented.ID, peer.ID)
	}
	// The role was checked in the handshake, and the leaf is the same.
	return check(presented, rootsOf(snap.Bundles, peer.ID.TrustDomain()), x509.ExtKeyUsageAny, now)
}

// peerOf reads the identity out of a presented chain, leaf first.
func peerOf(chain []*x509.Certificate) (identity.Peer, error) {
	switch {
	case len(chain) == 0:
		return identity.Peer{}, fmt.Errorf("%w: no certificate was presented", ErrNotSVID)
	case len(chain) > maxChain:
		return identity.Peer{}, fmt.Errorf("%w: %d certificates presented, at most %d are read", ErrNotSVID, len(chain), maxChain)
	}
	id, err := x509svid.IDFromCert(chain[0])
	if err != nil {
		return identity.Peer{}, fmt.Errorf("%w: %w", ErrNotSVID, err)
	}
	if err := checkLeaf(id, chain[0]); err != nil {
		return identity.Peer{}, err
	}
	return identity.Peer{ID: id, Chain: chain}, nil
}

// checkLeaf holds the leaf to the X.509-SVID standard, sections 2, 3.1, 4.1,
// 4.3 and 5.2.
func checkLeaf(id spiffeid.ID, leaf *x509.Certificate) error {
	switch {
	case id.Path() == "":
		return fmt.Errorf("%w: %q names a trust domain and no workload", ErrNotSVID, id)
	case leaf.IsCA:
		return fmt.Errorf("%w: %q is a CA", ErrNotSVID, id)
	case leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return fmt.Errorf("%w: %q may sign certificates or revocation lists", ErrNotSVID, id)
	case leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return fmt.Errorf("%w: %q lacks the key usage digitalSignature", ErrNotSVID, id)
	}
	return nil
}

// check verifies the chain of a peer in the given role. A nil roots means that
// the peer's trust domain is unknown; it must never reach x509, where it would
// mean the roots of the operating system.
func check(peer identity.Peer, roots *x509.CertPool, role x509.ExtKeyUsage, now time.Time) error {
	if roots == nil {
		return fmt.Errorf("%w: no bundle for %q of %q", ErrUnknownTrustDomain, peer.ID.TrustDomain(), peer.ID)
	}
	_, err := peer.Chain[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates(peer.Chain),
		// A leaf without extended key usages fits every role; one that has
		// them must list its role (X.509-SVID, section 4.4).
		KeyUsages:   []x509.ExtKeyUsage{role},
		CurrentTime: now,
	})
	if err != nil {
		return fmt.Errorf("%w: %q: %w", classify(err, peer.Chain[0]), peer.ID, err)
	}
	return nil
}

// classify names what x509 found wrong. Only the leaf's own validity counts as
// expiry; a lapsed intermediate or root is a chain nobody should trust.
func classify(err error, leaf *x509.Certificate) error {
	var invalid x509.CertificateInvalidError
	switch {
	case !errors.As(err, &invalid):
		return ErrUntrusted
	case invalid.Reason == x509.Expired && invalid.Cert == leaf:
		return ErrExpired
	case invalid.Reason == x509.IncompatibleUsage:
		return ErrNotSVID
	default:
		return ErrUntrusted
	}
}

func intermediates(chain []*x509.Certificate) *x509.CertPool {
	if len(chain) == 1 {
		return nil // the common case: signed by a root of the bundle
	}
	pool := x509.NewCertPool()
	for _, c := range chain[1:] {
		pool.AddCert(c)
	}
	return pool
}

// rootsOf returns the roots of one trust domain, or nil if it is unknown.
func rootsOf(bundles *x509bundle.Set, td spiffeid.TrustDomain) *x509.CertPool {
	if bundles == nil {
		return nil
	}
	bundle, ok := bundles.Get(td)
	if !ok {
		return nil
	}
	return poolOf(bundle)
}

func poolOf(bundle *x509bundle.Bundle) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range bundle.X509Authorities() {
		pool.AddCert(c)
	}
	return pool
}
