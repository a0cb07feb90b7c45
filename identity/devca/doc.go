// Package devca is a certificate authority for demonstrations and tests. It is
// NOT FOR PRODUCTION and says so loudly when it is made.
//
// It serves the real SPIFFE Workload API on Unix sockets, so that a sidecar
// under demonstration obtains its identity by the path it uses in production.
// What makes it unfit for anything else is what it leaves out: whoever can open
// a socket is given the identity that the socket stands for, without any
// attestation.
//
// Its keys live and die with the process; none is ever written anywhere. It
// rotates SVIDs at half their life, rotates its root with an overlap, and
// federates with other trust domains.
package devca
