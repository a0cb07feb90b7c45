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

// What a Workload API is called in a pod: these are the names of the SPIFFE CSI
// driver and of SPIRE's agent.
const (
	DefaultCSIDriver = "csi.spiffe.io"
	DefaultCSISocket = "spire-agent.sock"
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
	Metadata Metadata `json:"metadata,omitzero" yaml:"metadata,omitempty"`
	Spec     MeshSpec `json:"spec" yaml:"spec"`
}

// MeshSpec is what a MeshConfig says.
type MeshSpec struct {
	// MTLS is Strict when empty. A listener's own mode comes first.
	MTLS MTLSMode `json:"mtls,omitempty" yaml:"mtls,omitempty"`
	// DefaultAccess holds where no Allow policy selects the workload; Deny
	// when empty.
	DefaultAccess DefaultAccess `json:"defaultAccess,omitempty" yaml:"defaultAccess,omitempty"`
	// TrustDomain is the mesh's own; empty means that of the sidecar's SVID.
	TrustDomain string `json:"trustDomain,omitempty" yaml:"trustDomain,omitempty"`
	// Identity says where the sidecars that the injector adds get their SVIDs.
	// A sidecar itself goes by its own file.
	Identity MeshIdentity `json:"identity,omitzero" yaml:"identity,omitempty"`
}

// MeshIdentity is what the injector tells sidecars about their identity.
type MeshIdentity struct {
	// Provider is MeshCA when empty.
	Provider IdentityProvider `json:"provider,omitempty" yaml:"provider,omitempty"`
	// Driver is the CSI driver that brings the Workload API into a pod; empty
	// means csi.spiffe.io. With WorkloadAPI only.
	Driver string `json:"driver,omitempty" yaml:"driver,omitempty"`
	// Socket is the file name that the driver gives it; empty means
	// spire-agent.sock. With WorkloadAPI only.
	Socket string `json:"socket,omitempty" yaml:"socket,omitempty"`
}

// WithDefaults returns what applies. The receiver may be nil.
func (m *MeshConfig) WithDefaults() MeshSpec {
	var s MeshSpec
	if m != nil {
		s = m.Spec
	}
	s.MTLS = or(s.MTLS, Strict)
	s.DefaultAccess = or(s.DefaultAccess, DefaultDeny)
	s.Identity.Provider = or(s.Identity.Provider, ProviderMeshCA)
	if s.Identity.Provider == ProviderWorkloadAPI {
		s.Identity.Driver = or(s.Identity.Driver, DefaultCSIDriver)
		s.Identity.Socket = or(s.Identity.Socket, DefaultCSISocket)
	}
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
