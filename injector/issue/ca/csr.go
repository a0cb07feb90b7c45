package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
)

// The sizes of RSA keys that are certified, in bits. Below, they are too weak
// for SP 800-57; above, every handshake with the key costs milliseconds.
const (
	minRSA = 2048
	maxRSA = 4096
)

// ParseRequest reads a PKCS #10 certification request in DER and returns the key
// that is to be certified. The request's signature proves that whoever made it
// has the private key. Names and extensions in it are not looked at: what an
// SVID says is for the issuer to say.
func ParseRequest(der []byte) (crypto.PublicKey, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("certification request: %w", err)
	}
	if err := checkKey(csr.PublicKey); err != nil {
		return nil, fmt.Errorf("certification request: %w", err)
	}
	// CheckSignature would still take SHA-1 in requests.
	if !signedWell(csr.SignatureAlgorithm) {
		return nil, fmt.Errorf("certification request: signed with %v", csr.SignatureAlgorithm)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certification request: %w", err)
	}
	return csr.PublicKey, nil
}

// checkKey accepts the keys that TLS 1.3 peers can be expected to verify with.
func checkKey(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return fmt.Errorf("an ECDSA key on %s: want P-256 or P-384", key.Curve.Params().Name)
		}
		return nil
	case *rsa.PublicKey:
		return checkRSA(key)
	case ed25519.PublicKey:
		return nil
	default:
		return errors.New("a key of unknown type: want ECDSA, Ed25519 or RSA")
	}
}

func checkRSA(key *rsa.PublicKey) error {
	switch bits := key.N.BitLen(); {
	case bits < minRSA || bits > maxRSA:
		return fmt.Errorf("an RSA key of %d bits: want %d to %d", bits, minRSA, maxRSA)
	case key.N.Bit(0) == 0:
		return errors.New("an RSA key with an even modulus")
	case key.E < 65537 || key.E%2 == 0:
		// FIPS 186-5 §A.1.1: odd and above 2^16.
		return fmt.Errorf("an RSA key with the exponent %d: want 65537", key.E)
	}
	return nil
}

func signedWell(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519,
		x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
		return true
	default:
		return false
	}
}
