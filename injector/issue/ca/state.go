package ca

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// A Phase is how far a root has come.
type Phase string

// The phases, in the order in which a root goes through them.
const (
	// Announced roots are distributed and sign nothing yet.
	Announced Phase = "Announced"
	// Signing is the one root below which SVIDs are signed.
	Signing Phase = "Signing"
	// Retired roots sign no more; SVIDs signed below them are still around.
	Retired Phase = "Retired"
)

// A State is all that a CA knows. It is a value: [Apply] returns another one and
// shares what did not change.
type State struct {
	// TrustDomain is whom the CA issues for.
	TrustDomain spiffeid.TrustDomain
	// Roots are those that are distributed; one of them at most is Signing.
	Roots []Root
	// Federated are the roots of other trust domains, as last heard of.
	Federated map[spiffeid.TrustDomain][]*x509.Certificate
	// Handled is the last request for a rotation that was followed.
	Handled string
}

// A Root is one root certificate.
type Root struct {
	Cert *x509.Certificate
	// Key is nil for a root that was brought: its owner has it.
	Key   crypto.Signer
	Phase Phase
	// Since is when the phase began.
	Since time.Time
	// Issuer signs below this root; nil where nobody can.
	Issuer *Issuer
}

// An Issuer is an intermediate CA.
type Issuer struct {
	// Chain is the intermediate and what stands between it and its root.
	Chain []*x509.Certificate
	Key   crypto.Signer
}

// Cert is the intermediate itself.
func (i *Issuer) Cert() *x509.Certificate { return i.Chain[0] }

// signing returns the index of the root that signs; -1 if none does.
func (s State) signing() int {
	return slices.IndexFunc(s.Roots, func(r Root) bool { return r.Phase == Signing })
}

// Signing returns the root that signs; nil if there is none.
func (s State) Signing() *Root {
	if i := s.signing(); i >= 0 {
		return &s.Roots[i]
	}
	return nil
}

// Bundles returns what workloads verify each other with: the CA's own roots and
// those of the trust domains it federates with.
func (s State) Bundles() *x509bundle.Set {
	own := x509bundle.New(s.TrustDomain)
	for _, r := range s.Roots {
		own.AddX509Authority(r.Cert)
	}
	set := x509bundle.NewSet(own)
	for td, roots := range s.Federated {
		set.Add(x509bundle.FromX509Authorities(td, roots))
	}
	return set
}

// Check tells whether the state can be one that [Apply] has made. What comes out
// of a store was written by whoever may write there.
func (s State) Check() error {
	if s.TrustDomain.IsZero() {
		return errors.New("CA state: no trust domain")
	}
	if _, own := s.Federated[s.TrustDomain]; own {
		return fmt.Errorf("CA state: federated with its own trust domain %q", s.TrustDomain)
	}
	signers := 0
	for i, r := range s.Roots {
		if err := r.check(); err != nil {
			return fmt.Errorf("CA state: root %d (%q): %w", i+1, r.Cert.Subject, err)
		}
		if s.find(r.Cert) != i {
			return fmt.Errorf("CA state: root %d (%q) is there twice", i+1, r.Cert.Subject)
		}
		if r.Phase == Signing {
			signers++
		}
	}
	if signers > 1 {
		return fmt.Errorf("CA state: %d roots sign at once", signers)
	}
	return nil
}

// find returns the index of the root with this certificate; -1 if it is unknown.
func (s State) find(cert *x509.Certificate) int {
	return slices.IndexFunc(s.Roots, func(r Root) bool { return r.Cert.Equal(cert) })
}

func (r Root) check() error {
	switch r.Phase {
	case Announced, Signing, Retired:
	default:
		return fmt.Errorf("the phase %q is unknown", r.Phase)
	}
	switch {
	case !r.Cert.IsCA:
		return errors.New("it is not a CA")
	case r.Key != nil && !samePublic(r.Cert.PublicKey, r.Key.Public()):
		return errors.New("its key is another one's")
	case r.Phase == Signing && r.Issuer == nil:
		return errors.New("it signs and has no issuer")
	case r.Issuer != nil:
		return r.Issuer.check(r.Cert)
	}
	return nil
}

// check holds an issuer to what it must be below root, whenever that was: expiry
// is a matter of the plan.
func (i *Issuer) check(root *x509.Certificate) error {
	if len(i.Chain) == 0 || i.Key == nil {
		return errors.New("issuer: no certificate or no key")
	}
	cert := i.Cert()
	switch {
	case !cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("issuer %q: it may not sign certificates", cert.Subject)
	case !samePublic(cert.PublicKey, i.Key.Public()):
		return fmt.Errorf("issuer %q: the key is another one's", cert.Subject)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	for _, c := range i.Chain[1:] {
		between.AddCert(c)
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: cert.NotAfter,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("issuer %q: %w", cert.Subject, err)
	}
	return nil
}

func samePublic(a, b crypto.PublicKey) bool {
	own, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(b)
}
