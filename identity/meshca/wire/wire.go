// Package wire is what a workload and the mesh's issuer say to each other: the
// messages, their bounds and their reading.
//
// The workload POSTs an [SVIDRequest] to [PathSVID] with a Kubernetes service
// account token and is answered with an [SVIDAnswer]. It GETs [PathBundles] with
// the version of the bundles it has, and is answered with [Bundles] when there
// are others, or with 204 (No Content) when there were none for a while. A
// refusal is a [Refusal].
//
// Certificates travel as DER in base64, not as PEM: there is one way to write
// them, and nothing between them to overlook. Unknown keys are passed over, so
// that a workload and an issuer of neighbouring versions understand each other;
// everything that is known is checked. Nothing here decides whether anybody is
// to be trusted.
package wire

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Where the issuer is asked.
const (
	// PathSVID issues.
	PathSVID = "/v1/svid"
	// PathBundles waits for other bundles than those of the version in the
	// query parameter [QuerySince].
	PathBundles = "/v1/bundles"
	// QuerySince is the version that the asker has.
	QuerySince = "since"
	// Audience is that of the service account tokens, so that a token stolen
	// from another use buys no identity, and the other way round.
	Audience = "outrider"
)

// Bounds of messages.
const (
	// MaxRequest is in bytes. A request for an RSA key of 4096 bits has 2 KiB
	// in base64; clients that add names need some more.
	MaxRequest = 16 << 10
	// MaxAnswer is in bytes: some hundred trust domains of a few roots each.
	MaxAnswer = 1 << 20
	// MaxRefusal is in bytes of the body of an answer that is no success.
	MaxRefusal = 4 << 10
	// MaxChain is how many certificates a chain has, as identity/mtls accepts
	// from a peer.
	MaxChain = 8
	// MaxDomains is how many trust domains bundles may name.
	MaxDomains = 256
	// MaxRoots is how many roots a trust domain may have. During a rotation
	// there are two, or four for who rotates two CAs at once.
	MaxRoots = 32
	// MaxVersion is in bytes of a version of bundles.
	MaxVersion = 128
)

// An SVIDRequest asks for an SVID. Which identity it will be is not asked: it
// is what the token says.
type SVIDRequest struct {
	// CSR is a PKCS #10 certification request in DER. Its key is certified and
	// its signature proves that the asker has it; nothing else in it counts.
	CSR []byte `json:"csr"`
}

// An SVIDAnswer is an SVID and what is needed with it.
type SVIDAnswer struct {
	// Chain is the SVID and its intermediates in DER, leaf first, without the
	// root.
	Chain [][]byte `json:"chain"`
	// RenewAfter is in how many seconds to come back. It is no moment, so that
	// clocks need not agree about it.
	RenewAfter int64 `json:"renewAfterSeconds"`
	// Bundles are the roots to verify others with.
	Bundles Bundles `json:"bundles"`
}

// A Refusal is the body of an answer that is no success. It says what the asker
// can do about it and nothing about why: that is in the issuer's log.
type Refusal struct {
	Error string `json:"error"`
}

// DecodeRequest reads an SVIDRequest.
func DecodeRequest(r io.Reader) (SVIDRequest, error) {
	var req SVIDRequest
	if err := decode(r, MaxRequest, &req); err != nil {
		return SVIDRequest{}, fmt.Errorf("read the request for an SVID: %w", err)
	}
	if len(req.CSR) == 0 {
		return SVIDRequest{}, errors.New("read the request for an SVID: it has no csr")
	}
	return req, nil
}

// DecodeAnswer reads an SVIDAnswer and returns its chain parsed.
func DecodeAnswer(r io.Reader) (SVIDAnswer, []*x509.Certificate, error) {
	var a SVIDAnswer
	if err := decode(r, MaxAnswer, &a); err != nil {
		return SVIDAnswer{}, nil, fmt.Errorf("read the answer of the issuer: %w", err)
	}
	chain, err := parse(a.Chain, MaxChain)
	if err != nil {
		return SVIDAnswer{}, nil, fmt.Errorf("read the answer of the issuer: chain: %w", err)
	}
	return a, chain, nil
}

// DecodeBundles reads Bundles.
func DecodeBundles(r io.Reader) (Bundles, error) {
	var b Bundles
	if err := decode(r, MaxAnswer, &b); err != nil {
		return Bundles{}, fmt.Errorf("read the bundles of the issuer: %w", err)
	}
	return b, nil
}

// DecodeRefusal reads what a refusal says; "" if it says nothing in our words.
func DecodeRefusal(r io.Reader) string {
	var refusal Refusal
	if decode(r, MaxRefusal, &refusal) != nil {
		return ""
	}
	return refusal.Error
}

// decode reads exactly one JSON value of a bounded length.
func decode(r io.Reader, most int64, v any) error {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	switch {
	case err != nil:
		return err
	case int64(len(data)) > most:
		return fmt.Errorf("it has more than %d bytes", most)
	}
	return json.Unmarshal(data, v)
}

// parse reads certificates, of which there is one at least.
func parse(ders [][]byte, most int) ([]*x509.Certificate, error) {
	if len(ders) == 0 || len(ders) > most {
		return nil, fmt.Errorf("%d certificates, want 1 to %d", len(ders), most)
	}
	certs := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i+1, err)
		}
		certs[i] = cert
	}
	return certs, nil
}
