// Package injector is the control plane, assembled: the webhook that puts sidecars
// into pods, the certificate by which the API server knows it, the issuer of identities,
// what is handed to sidecars, the election of the replica that writes, and what operators
// look at. It keeps nothing: whatever must outlive it is in the Kubernetes API.
package injector
