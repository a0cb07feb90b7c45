package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// AccessPolicy says who may call the workloads that it selects.
type AccessPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec is what sidecars read from a file as well.
	Spec authz.PolicySpec `json:"spec"`
	// Status is what has become of it.
	Status PolicyStatus `json:"status,omitzero"`
}

// AccessPolicyList is a list of them.
type AccessPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []AccessPolicy `json:"items"`
}

// InspectionPolicy says what the WAF does with calls to the workloads that it
// selects.
type InspectionPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec is what sidecars read from a file as well.
	Spec config.InspectionSpec `json:"spec"`
	// Status is what has become of it.
	Status PolicyStatus `json:"status,omitzero"`
}

// InspectionPolicyList is a list of them.
type InspectionPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []InspectionPolicy `json:"items"`
}

// MeshConfig is what holds for every workload. The only one of a cluster is
// called [MeshConfigName].
type MeshConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec is what sidecars read from a file as well.
	Spec config.MeshSpec `json:"spec"`
	// Status is what has become of it.
	Status PolicyStatus `json:"status,omitzero"`
}

// MeshConfigList is a list of them.
type MeshConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []MeshConfig `json:"items"`
}

// MeshConfigName is the name of the one MeshConfig that counts.
const MeshConfigName = "mesh"
