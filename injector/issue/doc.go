// Package issue gives workloads their identities. It answers two questions over
// HTTPS (package identity/meshca/wire has the messages):
//
//   - POST /v1/svid: a pod presents its Kubernetes service account token and a
//     key, and is given a certificate for
//     spiffe://<trust domain>/ns/<namespace>/sa/<service account>. Kubernetes
//     itself says whose the token is (TokenReview). The token must be made for
//     the audience "outrider" and be bound to a pod that exists.
//   - GET /v1/bundles?since=<version>: whoever has an SVID of the mesh waits for
//     other roots than those it has.
//
// Whatever cannot be decided is refused. The asker learns what it can do about a
// refusal; why it was refused is in the log, where each issue has its line too.
//
// Nothing here knows of Kubernetes but for the words: who reviews tokens and who
// signs are given to it. Package ca is what signs, package keeper looks after it,
// package kube talks to the cluster.
package issue
