// Package identitytest gives identities to the tests of other packages: a CA
// for a trust domain and sources whose snapshots change when the test says so.
// It opens no sockets and starts no goroutines. The CA is that of
// identity/devca, so all that is said there about production holds here.
package identitytest

import (
	"io"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/devca"
)

// A CA issues identities of one trust domain to a test.
type CA struct {
	*devca.CA
}

// NewCA makes a CA for a trust domain such as "example.org".
func NewCA(t testing.TB, trustDomain string) *CA {
	t.Helper()
	td, err := spiffeid.TrustDomainFromString(trustDomain)
	if err != nil {
		t.Fatalf("trust domain of a test CA: %v", err)
	}
	ca, err := devca.New(devca.Options{TrustDomain: td, Warn: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	return &CA{CA: ca}
}

// Federate makes two CAs hand out each other's bundles.
func Federate(t testing.TB, a, b *CA) {
	t.Helper()
	if err := a.CA.Federate(b.Bundle()); err != nil {
		t.Fatal(err)
	}
	if err := b.CA.Federate(a.Bundle()); err != nil {
		t.Fatal(err)
	}
}

// Source returns a ready source for the workload id, for example
// "spiffe://example.org/ns/shop/sa/checkout", with the CA's present bundles.
func (ca *CA) Source(t testing.TB, id string) *StaticSource {
	t.Helper()
	s := &StaticSource{ca: ca, id: ID(t, id)}
	s.Rotate(t, devca.IssueOptions{})
	return s
}

// A StaticSource is a source that changes when the test says so: by Rotate and
// Refresh, or by the embedded Publish and Fail.
type StaticSource struct {
	identity.Publisher

	ca *CA
	id spiffeid.ID
}

// ID returns the identity the source was made for.
func (s *StaticSource) ID() spiffeid.ID { return s.id }

// Rotate publishes a new SVID, made as opts say, and the CA's present bundles.
func (s *StaticSource) Rotate(t testing.TB, opts devca.IssueOptions) {
	t.Helper()
	svid, err := s.ca.Issue(s.id, opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Publish(svid, s.ca.Bundles())
}

// Refresh publishes the CA's present bundles and keeps the SVID.
func (s *StaticSource) Refresh() { s.Publish(s.Current().SVID, s.ca.Bundles()) }

// ID parses a SPIFFE ID that the test knows to be valid.
func ID(t testing.TB, id string) spiffeid.ID {
	t.Helper()
	parsed, err := spiffeid.FromString(id)
	if err != nil {
		t.Fatalf("SPIFFE ID of a test: %q: %v", id, err)
	}
	return parsed
}
