package devca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/url"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

const (
	// rootLifetime outlasts any demonstration and no deployment.
	rootLifetime = 7 * 24 * time.Hour
	minLifetime  = 2 * time.Second
	// maxBackdate is how far validity begins in the past at most: machines
	// that take part in a demonstration disagree about the time by seconds.
	maxBackdate = 30 * time.Second
)

// IssueOptions says how an SVID differs from a proper one; the zero value makes
// a proper one. Most fields exist to make what a verifier must refuse.
type IssueOptions struct {
	// NotBefore and NotAfter bound the validity; zero: from a moment ago for
	// the CA's SVID lifetime.
	NotBefore, NotAfter time.Time
	// NoURI leaves out the SPIFFE ID.
	NoURI bool
	// ExtraURIs are URI SANs that follow the SPIFFE ID, if any.
	ExtraURIs []string
	// Intermediate has the SVID signed by an intermediate CA, made for the
	// occasion, which is in the chain.
	Intermediate bool
	// Edit, if not nil, may change anything else before the SVID is signed.
	Edit func(*x509.Certificate)
}

// Issue makes an SVID with a key of its own, signed by the newest root. It does
// not ask whether id is in the CA's trust domain: tests must be able to forge.
func (ca *CA) Issue(id spiffeid.ID, opts IssueOptions) (*x509svid.SVID, error) {
	ca.mu.Lock()
	signer := ca.roots[len(ca.roots)-1]
	ca.mu.Unlock()
	svid, err := ca.issue(signer, id, opts)
	if err != nil {
		return nil, fmt.Errorf("issue an SVID to %q: %w", id, err)
	}
	return svid, nil
}

func (ca *CA) issue(signer *authority, id spiffeid.ID, opts IssueOptions) (*x509svid.SVID, error) {
	template, err := ca.template(id, opts)
	if err != nil {
		return nil, err
	}
	var above []*x509.Certificate
	if opts.Intermediate {
		if signer, err = newAuthority("intermediate", ca.domain, signer); err != nil {
			return nil, err
		}
		above = append(above, signer.cert)
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	leaf, err := sign(template, key, signer)
	if err != nil {
		return nil, err
	}
	return &x509svid.SVID{ID: id, Certificates: append([]*x509.Certificate{leaf}, above...), PrivateKey: key}, nil
}

// template is the leaf as the X.509-SVID standard wants it, then as opts do.
func (ca *CA) template(id spiffeid.ID, opts IssueOptions) (*x509.Certificate, error) {
	now := time.Now()
	t := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Outrider development"}},
		NotBefore:             now.Add(-min(maxBackdate, ca.lifetime/10)),
		NotAfter:              now.Add(ca.lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if !opts.NotBefore.IsZero() {
		t.NotBefore = opts.NotBefore
	}
	if !opts.NotAfter.IsZero() {
		t.NotAfter = opts.NotAfter
	}
	if !opts.NoURI {
		t.URIs = append(t.URIs, id.URL())
	}
	for _, extra := range opts.ExtraURIs {
		u, err := url.Parse(extra)
		if err != nil {
			return nil, fmt.Errorf("extra URI SAN: %w", err)
		}
		t.URIs = append(t.URIs, u)
	}
	if opts.Edit != nil {
		opts.Edit(t)
	}
	return t, nil
}

// An authority is a certificate that signs others, with its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newRoot(td spiffeid.TrustDomain) (*authority, error) {
	root, err := newAuthority("root", td, nil)
	if err != nil {
		return nil, fmt.Errorf("make a root for %q: %w", td, err)
	}
	return root, nil
}

// newAuthority makes a CA certificate; without a parent it signs itself.
func newAuthority(role string, td spiffeid.TrustDomain, parent *authority) (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Outrider development"}, CommonName: td.Name() + " " + role},
		NotBefore:             now.Add(-rootLifetime), // so that it is older than any SVID a test wants expired
		NotAfter:              now.Add(rootLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		URIs:                  []*url.URL{td.ID().URL()},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	if parent == nil {
		parent = &authority{cert: template, key: key}
	}
	cert, err := sign(template, key, parent)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key}, nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate a key: %w", err)
	}
	return key, nil
}

// sign leaves the serial number to x509, which draws a random one.
func sign(template *x509.Certificate, key *ecdsa.PrivateKey, by *authority) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back a certificate: %w", err)
	}
	return cert, nil
}
