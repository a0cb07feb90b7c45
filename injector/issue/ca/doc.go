// Package ca is the mesh's certificate authority without its surroundings: what
// it is made of, what it does next, and what it signs. It does no I/O, starts
// nothing and reads no clock; its time is an argument.
//
// A [State] is a value: roots, each in one [Phase], with an intermediate below
// each that may sign. Only intermediates sign SVIDs. They are presented with the
// SVID, so replacing one is nobody's business but ours. Roots are what others
// verify with, so a change of root takes its time:
//
//	Announced ──Announce──▶ Signing ──next root is promoted──▶ Retired ──Retire──▶ gone
//
// A root is in the bundles from the first phase to the last. Both pauses are
// longer than an SVID lives. That is enough, and no acknowledgement is needed: a
// workload is given the bundles with every SVID, so one whose SVID is still valid
// has bundles younger than an SVID's lifetime, and one whose SVID is not can't
// talk to anybody before it has new ones.
//
// [Plan] says what is to be done and when, [Apply] does it. Who calls them owns
// the state; see package keeper.
//
// The user may bring a CA ([Brought]): an intermediate signed by a root of their
// own, as cert-manager or a corporate CA makes it. Its roots go through the same
// phases, whenever they change. The CA's own roots are used where none is brought.
package ca
