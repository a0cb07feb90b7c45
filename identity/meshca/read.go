package meshca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/outrider-mesh/outrider/identity/meshca/wire"
)

const (
	// maxToken is in bytes; tokens have one or two KiB.
	maxToken = 8 << 10
	// maxAnchors is in bytes: 32 roots of 4096-bit RSA keys have 80 KiB.
	maxAnchors = 256 << 10
)

// readToken returns the service account token. No error has it in its text.
func readToken(path string) (string, error) {
	data, err := readBounded(path, maxToken)
	if err != nil {
		return "", fmt.Errorf("service account token: %w; it is a projected volume of the pod with the audience %q", err, wire.Audience)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", fmt.Errorf("service account token: %q holds no token", path)
	}
	return token, nil
}

// readAnchors returns the roots that vouch for the issuer.
func readAnchors(path string) ([]*x509.Certificate, error) {
	data, err := readBounded(path, maxAnchors)
	if err != nil {
		return nil, fmt.Errorf("trust anchors: %w; without roots no issuer can be believed", err)
	}
	roots, err := parseAnchors(data)
	if err != nil {
		return nil, fmt.Errorf("trust anchors: %q: %w", path, err)
	}
	return roots, nil
}

// parseAnchors reads PEM of CA certificates, all of them whole.
func parseAnchors(data []byte) ([]*x509.Certificate, error) {
	var roots []*x509.Certificate
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a PEM block %q, want CERTIFICATE only", block.Type)
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(roots)+1, err)
		}
		if !root.IsCA {
			return nil, fmt.Errorf("certificate %d (%q) is not a CA", len(roots)+1, root.Subject)
		}
		roots = append(roots, root)
	}
	switch begun := bytes.Count(data, []byte("-----BEGIN ")); {
	case begun != len(roots):
		return nil, fmt.Errorf("%d PEM blocks begin and %d are whole", begun, len(roots))
	case len(roots) == 0 || len(roots) > wire.MaxRoots:
		return nil, fmt.Errorf("%d certificates, want 1 to %d", len(roots), wire.MaxRoots)
	}
	return roots, nil
}

// readBounded reads a file that is not longer than most bytes. Links are followed:
// that is how Kubernetes replaces files.
func readBounded(path string, most int64) ([]byte, error) {
	// A pipe would hold up the reader for as long as nobody writes.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > most:
		return nil, fmt.Errorf("%q has more bytes than any such file", path)
	}
	return data, nil
}
