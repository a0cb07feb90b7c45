// Package kube tests the control plane against a real API server: the definitions of
// our resources, what is injected into pods, whose tokens are taken, what each right
// is needed for, and who leads. `make test-kube` runs it; without that its tests are
// skipped, since it has Kubernetes built first.
package kube
