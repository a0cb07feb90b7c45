// Package mtls turns an identity source into TLS configuration for the mesh
// hop, and decides whom a TLS peer is.
//
// It promises, for both ends alike:
//
//   - TLS 1.3 only, with a post-quantum hybrid key exchange where both ends
//     have it, and a certificate from both ends.
//   - A peer is an X.509-SVID: exactly one URI SAN, which is a SPIFFE ID with a
//     path; not a CA; allowed to sign handshakes. Its chain is checked against
//     the bundle of the trust domain that its ID names, and no other, so that
//     one domain's root can never vouch for another domain's workload.
//   - All of it happens in VerifyConnection, which crypto/tls calls for resumed
//     sessions too (VerifyPeerCertificate is skipped for those), and sessions
//     are not resumed anyway: a ticket would outlive the certificate that
//     opened it.
//   - Every handshake uses the newest SVID and bundles. Connections that are
//     open keep running through a rotation; [Verify] tells which of them the
//     new bundles no longer support.
//
// It leaves out what comes after: authorization of a server's callers, and
// closing connections at [identity.Peer.NotAfter], belong to the proxy.
package mtls
