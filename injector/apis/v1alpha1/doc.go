// Package v1alpha1 holds the custom resources of outrider.dev/v1alpha1. What
// each says is the type that sidecars read from files too, in package authz or
// proxy/config, so that there is one definition and one meaning; this package adds
// what only a cluster has: object metadata and a status.
//
// Their schemas are generated from these types by package injector/apis/crd.
package v1alpha1
