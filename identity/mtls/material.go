package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/identity"
)

// An endpoint is one end of handshakes: where its identity comes from, its
// clock, and what was last made of that identity.
type endpoint struct {
	src  identity.Source
	now  func() time.Time
	last atomic.Pointer[material]
}

func newEndpoint(src identity.Source, now func() time.Time) *endpoint {
	if now == nil {
		now = time.Now
	}
	return &endpoint{src: src, now: now}
}

// A material is what handshakes need of a snapshot, made once per rotation and
// not once per handshake. It is immutable.
type material struct {
	svid    *x509svid.SVID  // what cert was made of
	bundles *x509bundle.Set // what roots was made of

	cert  *tls.Certificate // nil without an SVID
	roots map[spiffeid.TrustDomain]*x509.CertPool
}

// current returns the newest snapshot and what was made of it. When two
// handshakes meet a new snapshot at once both make the same of it, and a late
// store of an older one is noticed by the next handshake.
func (e *endpoint) current() (*identity.Snapshot, *material) {
	snap := e.src.Current()
	if m := e.last.Load(); m != nil && m.svid == snap.SVID && m.bundles == snap.Bundles {
		return snap, m
	}
	m := materialOf(snap)
	e.last.Store(m)
	return snap, m
}

func materialOf(snap *identity.Snapshot) *material {
	m := &material{svid: snap.SVID, bundles: snap.Bundles}
	if snap.SVID != nil {
		m.cert = certificateOf(snap.SVID)
	}
	if snap.Bundles != nil {
		bundles := snap.Bundles.Bundles()
		m.roots = make(map[spiffeid.TrustDomain]*x509.CertPool, len(bundles))
		for _, b := range bundles {
			m.roots[b.TrustDomain()] = poolOf(b)
		}
	}
	return m
}

func certificateOf(svid *x509svid.SVID) *tls.Certificate {
	cert := &tls.Certificate{PrivateKey: svid.PrivateKey, Leaf: svid.Certificates[0]}
	for _, c := range svid.Certificates {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert
}

// certificate returns what this end presents. Without a valid SVID there is no
// handshake: an endpoint never falls back to something less.
func (e *endpoint) certificate() (*tls.Certificate, error) {
	snap, m := e.current()
	if m.cert == nil {
		return nil, withCause(ErrNoSVID, snap.Err)
	}
	if notAfter := m.cert.Leaf.NotAfter; e.now().After(notAfter) {
		err := fmt.Errorf("%w: %q at %s", ErrSVIDExpired, snap.SVID.ID, notAfter.UTC().Format(time.RFC3339))
		return nil, withCause(err, snap.Err)
	}
	return m.cert, nil
}

// CheckOwn says why this end has nothing at the time now that a peer would accept:
// [ErrNoSVID] or [ErrSVIDExpired]. For whoever would rather know before it tries.
func CheckOwn(snap *identity.Snapshot, now time.Time) error {
	switch {
	case !snap.Ready():
		return ErrNoSVID
	case now.After(snap.SVID.Certificates[0].NotAfter):
		return ErrSVIDExpired
	}
	return nil
}

// withCause adds why the source has nothing newer, if it knows.
func withCause(err, cause error) error {
	if cause == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// verify checks the peer of a handshake in the given role.
func (e *endpoint) verify(cs tls.ConnectionState, role x509.ExtKeyUsage) (identity.Peer, error) {
	peer, err := peerOf(cs.PeerCertificates)
	if err != nil {
		return identity.Peer{}, err
	}
	_, m := e.current()
	if err := check(peer, m.roots[peer.ID.TrustDomain()], role, e.now()); err != nil {
		return identity.Peer{}, err
	}
	return peer, nil
}
