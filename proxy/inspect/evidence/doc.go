// Package evidence is the mesh profile: which parts of a request our own detectors look at,
// and what their evidence and the hits of the Core Rule Set amount to together.
//
// The rule set was written for browsers in front of web pages. Between services most of
// what it finds strange is normal, so here it is a witness, not the judge: some of its
// rules are believed only if something else speaks for an attack as well (trust.go). The
// detectors (package payload) read values as an application would, and stop a request by
// themselves where what they find has no other use.
//
// It does no I/O and reads no clock. docs/adr/0020-mesh-profile.md says why it is so.
package evidence
