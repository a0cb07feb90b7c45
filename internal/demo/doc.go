// Package demo shows Outrider to somebody who has never seen it: a shop of three
// services and an intruder, all in one process and on loopback, without root.
//
// Nothing in it is staged. The sidecars are the product, started from real
// files; their identities come over the real SPIFFE Workload API; and every step
// judges what came back: the answers, what the applications were told, and the
// sidecars' access logs and config dumps. Run returns an error unless every step
// held, which makes the demo an end-to-end test as well.
//
// The one thing that is not for production is the certificate authority, and it
// says so.
package demo
