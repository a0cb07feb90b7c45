// Package distribute serves policy documents and destinations to sidecars, over
// delta xDS on mutual TLS.
//
// It asks a [Mesh] what is so and tells those whom it concerns. A sidecar gets the
// documents of its own workload, which its SVID and the API server decide, and the
// destinations that it asked for; so a change costs what the sidecars cost that it
// affects, however many there are.
//
// What a stream has is a matter of [session], which knows no network: what it
// holds, what is on its way, and what it refused. At most one response of each type
// is on its way to a sidecar. What changes meanwhile goes out together with the
// next, so nothing is queued and a slow reader costs no memory; one that does not
// answer within a time is disconnected.
//
// Versions are hashes of contents. A sidecar that comes back, to whichever replica,
// says what it holds and is sent the difference.
package distribute
