// Package quic carries mesh hops over QUIC. Two sidecars keep one connection to each
// other, or a few where many streams are open, and every hop is a stream of it: what a
// TCP connection with TLS is elsewhere. A packet that is lost delays the hop it belongs
// to and no other.
//
// The identities are the same and so is the verifier: TLS 1.3 with client
// certificates, no session tickets, no 0-RTT. On a connection that is open already,
// every new stream verifies the peer anew, for a bundle may have changed since the
// handshake.
//
// A stream begins with a preface, in which the caller declares what it carries and
// for which TCP port of the other end it is meant, and with one byte of answer: see
// [preface]. Behind them are the bytes of the hop as they would be inside of TLS.
package quic
