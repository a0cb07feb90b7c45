// Package identity is the vocabulary of who is who: this workload's SVID, the
// trust bundles it verifies others with, and the verified peer of a connection.
//
// The leaf packages below it obtain identities (workload, files, devca) and
// turn them into TLS configuration (mtls). They all meet in two types declared
// here: a [Source] hands out one consistent [Snapshot] at a time, and a [Peer]
// is what is left of a TLS handshake once it has been verified.
//
// Nothing here touches the network, the clock or the file system.
package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// A Source hands out the newest identity material. It is implemented by
// identity/workload, identity/meshca, identity/files and, for tests,
// identity/identitytest.
type Source interface {
	// Current returns the newest snapshot, never nil. It is one atomic load
	// and may be called for every handshake.
	Current() *Snapshot
}

// A Snapshot is an SVID together with the bundles that were valid with it. It
// is immutable; a change of either makes a new one.
type Snapshot struct {
	// SVID is this workload's certificate and key; nil until the first arrived.
	SVID *x509svid.SVID
	// Bundles holds the roots of every trust domain we verify, our own
	// included; nil until the first arrived.
	Bundles *x509bundle.Set
	// Generation counts the snapshots of one source from 1; 0 means that
	// nothing has arrived yet.
	Generation uint64
	// Err says why the source has nothing newer: the last failure, or nil.
	// A snapshot with an SVID and an Err is usable until the SVID expires.
	Err error

	superseded chan struct{}
}

// Superseded returns a channel that is closed as soon as the source has a newer
// snapshot. Any number of goroutines may wait on it.
func (s *Snapshot) Superseded() <-chan struct{} { return s.superseded }

// Ready tells whether the snapshot holds what a handshake needs.
func (s *Snapshot) Ready() bool { return s.SVID != nil && s.Bundles != nil }

// A Publisher is the sending half of a Source: it keeps the newest snapshot and
// wakes those who wait for the next. Its zero value is ready for use and holds
// an empty snapshot.
type Publisher struct {
	mu      sync.Mutex // serialises writers; readers take one atomic load
	current atomic.Pointer[Snapshot]
}

// Current implements [Source].
func (p *Publisher) Current() *Snapshot {
	if s := p.current.Load(); s != nil {
		return s
	}
	p.current.CompareAndSwap(nil, &Snapshot{superseded: make(chan struct{})})
	return p.current.Load()
}

// Publish makes a new snapshot of svid and bundles the current one.
func (p *Publisher) Publish(svid *x509svid.SVID, bundles *x509bundle.Set) {
	p.replace(func(old *Snapshot) *Snapshot {
		return &Snapshot{SVID: svid, Bundles: bundles, Generation: old.Generation + 1}
	})
}

// Fail records why nothing newer can be had. The SVID and the bundles stay what
// they were: an identity is used until it expires, not until its issuer hiccups.
func (p *Publisher) Fail(err error) {
	p.replace(func(old *Snapshot) *Snapshot {
		return &Snapshot{SVID: old.SVID, Bundles: old.Bundles, Generation: old.Generation, Err: err}
	})
}

func (p *Publisher) replace(next func(old *Snapshot) *Snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.Current()
	s := next(old)
	s.superseded = make(chan struct{})
	p.current.Store(s)
	close(old.superseded)
}

// A Peer is the other end of a connection after its certificate was verified.
// The zero Peer is an unauthenticated one.
type Peer struct {
	// ID is the peer's SPIFFE ID; zero when the connection is plaintext.
	ID spiffeid.ID
	// Chain is what the peer presented, leaf first; kept so that the chain
	// can be verified again when the bundles change.
	Chain []*x509.Certificate
}

// Authenticated tells whether the peer proved an identity.
func (p Peer) Authenticated() bool { return !p.ID.IsZero() }

// NotAfter is when the peer's leaf expires; the zero time when unauthenticated.
func (p Peer) NotAfter() time.Time {
	if len(p.Chain) == 0 {
		return time.Time{}
	}
	return p.Chain[0].NotAfter
}

// LeafHash is the lower-case hexadecimal SHA-256 of the peer's leaf, as
// x-forwarded-client-cert carries it; empty when unauthenticated.
func (p Peer) LeafHash() string {
	if len(p.Chain) == 0 {
		return ""
	}
	sum := sha256.Sum256(p.Chain[0].Raw)
	return hex.EncodeToString(sum[:])
}
