package mtls

import "errors"

// Why a handshake or a verification ended. The errors returned wrap exactly one
// of these and add who and why; use errors.Is.
var (
	// ErrNoSVID means that this end has no identity yet.
	ErrNoSVID = errors.New("no SVID of our own yet")
	// ErrSVIDExpired means that this end's own identity has expired and its
	// source has no newer one.
	ErrSVIDExpired = errors.New("our own SVID has expired")

	// ErrNotSVID means that the peer presented no certificate, or one that is
	// not an X.509-SVID: no or several URI SANs, no valid SPIFFE ID, a CA, or
	// key usages that do not fit its role.
	ErrNotSVID = errors.New("the certificate is not an X.509-SVID")
	// ErrUnknownTrustDomain means that there is no bundle for the trust domain
	// of the peer's ID.
	ErrUnknownTrustDomain = errors.New("the trust domain is unknown")
	// ErrUntrusted means that the peer's chain does not lead to a root of its
	// own trust domain.
	ErrUntrusted = errors.New("the chain is not trusted by its trust domain's bundle")
	// ErrExpired means that the peer's certificate is not valid at this time:
	// expired, or not valid yet.
	ErrExpired = errors.New("the certificate is not valid at this time")
	// ErrUnexpectedID means that the peer is who it says, but not one of those
	// the client meant to reach.
	ErrUnexpectedID = errors.New("the peer is not one of the expected identities")
)
