package wire

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// Bundles are the roots of every trust domain that a workload is to know.
type Bundles struct {
	// Version tells these bundles from others. Replicas of an issuer that have
	// the same bundles call them by the same version.
	Version string `json:"version"`
	// Domains holds the roots by name of the trust domain, in DER.
	Domains map[string][][]byte `json:"domains"`
}

// BundlesOf writes set down. The version is a digest of what is in it, in
// whatever order it was put there.
func BundlesOf(set *x509bundle.Set) Bundles {
	b := Bundles{Domains: map[string][][]byte{}}
	for _, bundle := range set.Bundles() {
		var roots [][]byte
		for _, root := range bundle.X509Authorities() {
			roots = append(roots, root.Raw)
		}
		slices.SortFunc(roots, bytes.Compare)
		b.Domains[bundle.TrustDomain().Name()] = roots
	}
	b.Version = b.digest()
	return b
}

func (b Bundles) digest() string {
	h := sha256.New()
	add := func(data []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(data))))
		h.Write(data)
	}
	for _, domain := range slices.Sorted(maps.Keys(b.Domains)) {
		add([]byte(domain))
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b.Domains[domain]))))
		for _, root := range b.Domains[domain] {
			add(root)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Set returns the bundles, if every one of them can be one.
func (b Bundles) Set() (*x509bundle.Set, error) {
	switch {
	case b.Version == "" || len(b.Version) > MaxVersion:
		return nil, fmt.Errorf("bundles: a version of %d bytes, want 1 to %d", len(b.Version), MaxVersion)
	case len(b.Domains) > MaxDomains:
		return nil, fmt.Errorf("bundles: %d trust domains, at most %d are read", len(b.Domains), MaxDomains)
	}
	set := x509bundle.NewSet()
	for _, name := range slices.Sorted(maps.Keys(b.Domains)) {
		bundle, err := parseBundle(name, b.Domains[name])
		if err != nil {
			return nil, fmt.Errorf("bundles: trust domain %q: %w", name, err)
		}
		set.Add(bundle)
	}
	return set, nil
}

func parseBundle(name string, ders [][]byte) (*x509bundle.Bundle, error) {
	td, err := spiffeid.TrustDomainFromString(name)
	if err != nil {
		return nil, err
	}
	if td.Name() != name {
		// A whole SPIFFE ID is accepted by the parser; as a key it would let
		// one trust domain stand there twice.
		return nil, errors.New("it is written in another way than its name")
	}
	roots, err := parse(ders, MaxRoots)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(roots, func(r *x509.Certificate) bool { return !r.IsCA }); i >= 0 {
		return nil, fmt.Errorf("certificate %d (%q) is not a CA", i+1, roots[i].Subject)
	}
	return x509bundle.FromX509Authorities(td, roots), nil
}
