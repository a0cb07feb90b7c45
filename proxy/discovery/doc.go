// Package discovery knows who answers at the addresses that the application calls: it
// asks when an address is called first, is told when that changes, and forgets what is
// not called any more. So the memory of a sidecar grows with what it calls and not with
// the mesh.
//
// A [Book] never guesses. As long as it has not been told about an address it says so,
// and what then becomes of a call is the business of its user; that nobody knows an
// address is an answer too, and one that is soon asked for again. What was known before
// a restart can be handed over, and counts until something else is said; only that an
// address is outside of the mesh has to be said again while there is somebody to ask,
// because calls go there in plaintext.
package discovery
