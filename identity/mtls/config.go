package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/outrider-mesh/outrider/identity"
)

// ServerOptions says how a server speaks TLS. The zero value is usable.
type ServerOptions struct {
	// NextProtos are the ALPN protocols offered to clients, most wanted
	// first; empty: ALPN is not used. A client that offers protocols of which
	// none is listed is refused (RFC 7301, section 3.2); one that offers none
	// is accepted.
	NextProtos []string
	// Anonymous also accepts clients that present no certificate: an issuer
	// has to answer those that come for their first. A certificate that is
	// presented is verified all the same. [PeerOf] fails for the others.
	Anonymous bool
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// ClientOptions says how a client speaks TLS.
type ClientOptions struct {
	// Expected are the identities accepted from the server. The zero value
	// refuses every server.
	Expected Expected
	// NextProtos are the ALPN protocols offered, most wanted first; empty:
	// ALPN is not used.
	NextProtos []string
	// Anonymous presents no certificate, whatever the source holds and the
	// server asks for.
	Anonymous bool
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// ServerConfig returns the configuration of a server with the identity of src.
// It accepts every peer that a bundle of src vouches for; whether that peer may
// do anything is decided later, per connection and per request. A handshake
// fails with one of this package's errors. The configuration may be used for
// any number of connections and must not be changed.
func ServerConfig(src identity.Source, opts ServerOptions) *tls.Config {
	e := newEndpoint(src, opts.Now)
	c := base(e, opts.NextProtos)
	c.ClientAuth = tls.RequireAnyClientCert // verified below
	if opts.Anonymous {
		c.ClientAuth = tls.RequestClientCert
	}
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return e.certificate() }
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if opts.Anonymous && len(cs.PeerCertificates) == 0 {
			return nil
		}
		_, err := e.verify(cs, x509.ExtKeyUsageClientAuth)
		return err
	}
	return c
}

// ClientConfig returns the configuration of a client with the identity of src.
// A server is known by its SPIFFE ID: no name is sent to it (SNI) and none is
// compared. Use it with tls.Client; tls.Dial would send the host name. A
// handshake fails with one of this package's errors. The configuration may be
// used for any number of connections and must not be changed.
func ClientConfig(src identity.Source, opts ClientOptions) *tls.Config {
	e := newEndpoint(src, opts.Now)
	c := base(e, opts.NextProtos)
	// crypto/tls can only verify against one set of roots and a host name. An
	// SVID has no host name, and its roots are those of the trust domain in
	// its ID, so VerifyConnection does all of the verification.
	c.InsecureSkipVerify = true //nolint:forbidigo // VerifyConnection verifies chain and identity of every connection.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if opts.Anonymous {
			return new(tls.Certificate), nil // empty: crypto/tls sends none
		}
		return e.certificate()
	}
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		peer, err := e.verify(cs, x509.ExtKeyUsageServerAuth)
		if err != nil {
			return err
		}
		if !opts.Expected.Contains(peer.ID) {
			return fmt.Errorf("%w: %q is not in %s", ErrUnexpectedID, peer.ID, opts.Expected)
		}
		return nil
	}
	return c
}

// base is what both ends have in common.
func base(e *endpoint, nextProtos []string) *tls.Config {
	return &tls.Config{
		Time:       e.now,
		NextProtos: slices.Clone(nextProtos),
		MinVersion: tls.VersionTLS13,
		// A set, of which crypto/tls prefers the hybrid; the other two are for
		// peers without ML-KEM.
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256},
		// A resumed session keeps the identity of the certificate that opened
		// it, so it could outlive both that certificate and its root.
		SessionTicketsDisabled: true,
		Renegotiation:          tls.RenegotiateNever,
		// Full records from the first byte: on the hop the cost of many small
		// records exceeds what they save in latency to a first rendered byte.
		DynamicRecordSizingDisabled: true,
	}
}
