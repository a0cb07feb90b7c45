// Package outbound carries the calls of our own application to peers.
//
// The application is trusted as far as it can reach the listener; the peer is
// trusted only if it proves one of the destination's SPIFFE IDs. The order of the
// stages is written in [Listener].serve and conn.request.
package outbound
