// Package manifests holds what is applied to a cluster. It is data; the tests of
// package injector hold it against the types of Kubernetes, against the constants of
// the control plane and against what that asks of the API server.
package manifests

import "embed"

//go:embed base crds overlays
var files embed.FS

// Files returns base, definitions and overlays, for kustomize.
func Files() embed.FS { return files }
