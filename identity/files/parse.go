package files

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
)

// A file is what one file held, and what it was read for.
type file struct {
	role, path string
	data       []byte
}

// wrong says which file is wrong, and how.
func (f file) wrong(err error) error {
	return fmt.Errorf("identity files: %s: file %q: %w", f.role, f.path, err)
}

type bundleFile struct {
	file

	domain spiffeid.TrustDomain
}

// contents is what all files held at about one moment.
type contents struct {
	svid, key file
	bundles   []bundleFile // by trust domain
}

// identity reads the identity that c holds, if it is whole and valid at now.
func (c contents) identity(now time.Time) (*x509svid.SVID, *x509bundle.Set, error) {
	bundles := x509bundle.NewSet()
	for _, b := range c.bundles {
		bundle, err := parseBundle(b.domain, b.data)
		if err != nil {
			return nil, nil, b.wrong(err)
		}
		bundles.Add(bundle)
	}
	svid, err := parseSVID(c.svid.data)
	if err != nil {
		return nil, nil, c.svid.wrong(err)
	}
	if svid.PrivateKey, err = parseKey(c.key.data); err != nil {
		return nil, nil, c.key.wrong(err)
	}
	if !sameKey(svid.Certificates[0].PublicKey, svid.PrivateKey.Public()) {
		return nil, nil, c.key.wrong(fmt.Errorf("the key is not that of the certificate in %q", c.svid.path))
	}
	// Our own SVID must pass what we demand of a peer's.
	self := identity.Peer{ID: svid.ID, Chain: svid.Certificates}
	if err := mtls.Verify(self, &identity.Snapshot{Bundles: bundles}, now); err != nil {
		return nil, nil, c.svid.wrong(err)
	}
	return svid, bundles, nil
}

// parseSVID reads a chain, leaf first; the private key may be in the same file.
func parseSVID(data []byte) (*x509svid.SVID, error) {
	chain, err := parseCertificates(data, true)
	if err != nil {
		return nil, err
	}
	id, err := x509svid.IDFromCert(chain[0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", mtls.ErrNotSVID, err)
	}
	return &x509svid.SVID{ID: id, Certificates: chain}, nil
}

// parseBundle reads the roots of a trust domain, of which there is at least one.
func parseBundle(td spiffeid.TrustDomain, data []byte) (*x509bundle.Bundle, error) {
	roots, err := parseCertificates(data, false)
	if err != nil {
		return nil, err
	}
	for i, root := range roots {
		if !root.IsCA {
			return nil, fmt.Errorf("certificate %d (%q) is not a CA", i+1, root.Subject)
		}
	}
	return x509bundle.FromX509Authorities(td, roots), nil
}

// parseCertificates returns one certificate or more.
func parseCertificates(data []byte, withKey bool) ([]*x509.Certificate, error) {
	found, err := blocks(data)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for i, block := range found {
		switch {
		case block.Type == "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("PEM block %d: %w", i+1, err)
			}
			certs = append(certs, cert)
		case !withKey || !ofKey(block):
			return nil, fmt.Errorf("PEM block %d is %q, want CERTIFICATE", i+1, block.Type)
		}
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in it")
	}
	return certs, nil
}

// parseKey returns the one private key of a file, which may hold the
// certificates too.
func parseKey(data []byte) (crypto.Signer, error) {
	found, err := blocks(data)
	if err != nil {
		return nil, err
	}
	var key crypto.Signer
	for i, block := range found {
		switch {
		case block.Type == "CERTIFICATE" || block.Type == "EC PARAMETERS":
			continue
		case !ofKey(block):
			return nil, fmt.Errorf("PEM block %d is %q, want a private key", i+1, block.Type)
		case key != nil:
			return nil, errors.New("more than one private key in it")
		}
		if key, err = parseKeyBlock(block); err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", i+1, err)
		}
	}
	if key == nil {
		return nil, errors.New("no private key in it")
	}
	return key, nil
}

func ofKey(block *pem.Block) bool {
	return block.Type == "EC PARAMETERS" || strings.HasSuffix(block.Type, "PRIVATE KEY")
}

func parseKeyBlock(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["Proc-Type"] != "":
		return nil, errors.New("the private key is encrypted")
	case block.Type == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case block.Type == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, err
	}
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		return key, nil
	case *rsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	default:
		return nil, fmt.Errorf("a private key of type %T cannot sign handshakes", key)
	}
}

func sameKey(a, b crypto.PublicKey) bool {
	own, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(b)
}

// blocks returns the PEM blocks of a file. Text between them is a comment, as
// everywhere; but a block that begins and cannot be decoded, which pem.Decode
// passes over, is a file being written or one that was damaged.
func blocks(data []byte) ([]*pem.Block, error) {
	var found []*pem.Block
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		found = append(found, block)
	}
	if begun := bytes.Count(data, []byte("-----BEGIN ")); begun != len(found) {
		return nil, fmt.Errorf("%d PEM blocks begin and %d are whole", begun, len(found))
	}
	return found, nil
}
