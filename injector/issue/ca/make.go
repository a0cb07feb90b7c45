package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// newRoot makes a root with an intermediate below it, announced.
func newRoot(td spiffeid.TrustDomain, p Policy, now time.Time) (Root, error) {
	cert, key, err := authority("root", td, 1, window{now, p.Root}, nil, nil)
	if err != nil {
		return Root{}, err
	}
	root := Root{Cert: cert, Key: key, Phase: Announced, Since: now}
	root.Issuer, err = newIssuer(td, root, p, now)
	return root, err
}

// newIssuer makes an intermediate below a root, which it does not outlive.
func newIssuer(td spiffeid.TrustDomain, root Root, p Policy, now time.Time) (*Issuer, error) {
	life := min(p.Intermediate, root.Cert.NotAfter.Sub(now))
	cert, key, err := authority("intermediate", td, 0, window{now, life}, root.Cert, root.Key)
	if err != nil {
		return nil, err
	}
	return &Issuer{Chain: []*x509.Certificate{cert}, Key: key}, nil
}

// A window is when a certificate is valid.
type window struct {
	from time.Time
	life time.Duration
}

// authority makes a CA certificate with below levels of CAs under it at most;
// without a parent it signs itself.
//
// X.509-SVID §4.1 to 4.3: basicConstraints with cA, keyCertSign and no
// digitalSignature, and the trust domain for a SPIFFE ID. There are no name
// constraints: the ones for URIs are refused by libraries which don't implement
// them, and no verifier needs them, since a chain is checked against the roots
// of the trust domain that its leaf names.
func authority(role string, td spiffeid.TrustDomain, below int, w window, parent *x509.Certificate, parentKey crypto.Signer) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate a key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		// Names tell CAs apart when a verifier looks for an issuer by name: the
		// same name for all would have it try each.
		Subject: pkix.Name{
			Organization: []string{"Outrider"},
			CommonName:   td.Name() + " " + role + " " + hex.EncodeToString(serial.Bytes()[:4]),
		},
		URIs:                  []*url.URL{td.ID().URL()},
		NotBefore:             w.from.Add(-backdate),
		NotAfter:              w.from.Add(w.life),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            below,
		MaxPathLenZero:        below == 0,
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	cert, err := sign(template, parent, key.Public(), parentKey)
	return cert, key, err
}

// newSerial draws 127 random bits: positive and below 20 octets, as RFC 5280
// §4.1.2.2 demands, with no counter for replicas to agree about.
func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40 // positive, and always of 16 octets
	return new(big.Int).SetBytes(b), nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back a certificate: %w", err)
	}
	return cert, nil
}
