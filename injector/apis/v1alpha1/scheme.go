package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// Group and Version are those of every document.
const (
	Group   = "outrider.dev"
	Version = "v1alpha1"
)

// GroupVersion names this package's API.
func GroupVersion() schema.GroupVersion { return schema.GroupVersion{Group: Group, Version: Version} }

// A Resource is one kind with its names.
type Resource struct {
	// Kind is as in documents, Plural as in URLs.
	Kind, Plural string
	// Short are names to type, Cluster tells that it has no namespace.
	Short   []string
	Cluster bool
	// Object and List are empty values of its types.
	Object, List runtime.Object
}

// GroupVersionResource is what a client asks for.
func (r Resource) GroupVersionResource() schema.GroupVersionResource {
	return GroupVersion().WithResource(r.Plural)
}

// Resources lists every kind of this package.
func Resources() []Resource {
	return []Resource{
		{Kind: config.KindAccessPolicy, Plural: "accesspolicies", Short: []string{"apol"}, Object: &AccessPolicy{}, List: &AccessPolicyList{}},
		{Kind: config.KindInspectionPolicy, Plural: "inspectionpolicies", Short: []string{"ipol"}, Object: &InspectionPolicy{}, List: &InspectionPolicyList{}},
		{Kind: config.KindMeshConfig, Plural: "meshconfigs", Short: []string{"mesh"}, Cluster: true, Object: &MeshConfig{}, List: &MeshConfigList{}},
	}
}

// AddToScheme registers the types.
func AddToScheme(s *runtime.Scheme) error {
	for _, r := range Resources() {
		s.AddKnownTypes(GroupVersion(), r.Object, r.List)
	}
	metav1.AddToGroupVersion(s, GroupVersion())
	return nil
}
