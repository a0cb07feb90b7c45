// Package e2e tests the sidecar as its neighbours meet it: whole sidecars in one
// process, assembled as in production, with real sockets on loopback and real
// handshakes between them. Nothing is faked but the application and, where a
// test needs to cheat, the peer.
//
// TestFailureTable holds one test for each row of the failure table of the
// design, under the words of the row. The other files go by what can go wrong:
// identity, faults, limits, headers, inspection, lifecycle, reload, and opaque
// TCP.
//
// No test asserts a duration. What must happen is waited for; how long that may
// take decides only how late a failure is noticed.
package e2e
