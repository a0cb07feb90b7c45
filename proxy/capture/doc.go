// Package capture brings an application's TCP traffic to its sidecar without the
// application's knowledge: the kernel redirects it to two ports of ours.
//
// What is redirected is a [Plan], a pure function of [Options]: three chains of
// rules that can be printed, compared, and put into the kernel in one
// transaction. [Plan.Apply] and [Remove] touch one table, ours, and never
// another's. [Plan.Verify] proves that traffic passes, before an application
// relies on it.
//
// On the other side of the redirect, [Original] asks a socket where its peer
// wanted to go, and refuses a connection that nobody redirected: it would lead
// back to the listener that accepted it.
//
// Only Linux can do any of this; elsewhere a plan can be printed, and everything
// else is [ErrUnsupported].
package capture
