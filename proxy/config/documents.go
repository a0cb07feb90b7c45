package config

import (
	"github.com/outrider-mesh/outrider/authz"
)

// The kinds of policy documents.
const (
	KindAccessPolicy     = "AccessPolicy"
	KindInspectionPolicy = "InspectionPolicy"
	KindMeshConfig       = "MeshConfig"
)

// Documents are all policy documents in force together, valid as a whole.
// They are immutable. The zero value denies everything.
type Documents struct {
	// Access holds who may call, ordered by namespace and name.
	Access []authz.Policy
	// Inspection holds what is inspected, ordered by namespace and name. Its
	// defaults are not yet filled in; see [InspectionSpec.WithDefaults].
	Inspection []InspectionPolicy
	// Mesh is nil when no document says anything.
	Mesh *MeshConfig
	// Warnings are problems that do not keep the documents from being used.
	Warnings []Problem
	// Generation names this content: 16 hexadecimal digits of a hash that
	// depends on what the documents say, not on files, comments or order.
	Generation string
}

// A File is text to parse and the name under which its problems are reported.
type File struct {
	Name string
	Data []byte
}

// MeshConfig is what holds for every workload. There is at most one.
type MeshConfig struct {
	Metadata Metadata `yaml:"metadata,omitempty"`
	Spec     MeshSpec `yaml:"spec"`
}

// MeshSpec is what a MeshConfig says.
type MeshSpec struct {
	// MTLS is Strict when empty. A listener's own mode comes first.
	MTLS MTLSMode `yaml:"mtls,omitempty"`
	// DefaultAccess holds where no Allow policy selects the workload; Deny
	// when empty.
	DefaultAccess DefaultAccess `yaml:"defaultAccess,omitempty"`
	// TrustDomain is the mesh's own; empty means that of the sidecar's SVID.
	TrustDomain string `yaml:"trustDomain,omitempty"`
}

// WithDefaults returns what applies. The receiver may be nil.
func (m *MeshConfig) WithDefaults() MeshSpec {
	var s MeshSpec
	if m != nil {
		s = m.Spec
	}
	s.MTLS = or(s.MTLS, Strict)
	s.DefaultAccess = or(s.DefaultAccess, DefaultDeny)
	return s
}

// or returns v, or fallback when v is the zero value.
func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
