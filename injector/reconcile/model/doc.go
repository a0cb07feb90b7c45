// Package model is what the control plane knows of a cluster: which workloads there
// are, which documents concern each, and what answers at an address.
//
// It is fed with [Change]s, each an object as it is now, and says what they may have
// changed for whom ([Affected]): of a policy, the workloads that it selects or did; of
// a pod or an endpoint, the addresses that lead to it. Nothing is computed before
// somebody asks, and nobody asks but for those sidecars that are concerned, so a change
// costs what it affects.
//
// It does no I/O and knows no Kubernetes client. A property test compares it, after
// random changes, with one that is made anew.
package model
