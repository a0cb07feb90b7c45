package mutate

import (
	"github.com/outrider-mesh/outrider/proxy/config"
)

// A Mesh is what holds for every pod of an installation. Its zero value is not
// usable: Image and ControlPlane are required.
type Mesh struct {
	// Image is the sidecar's, PullPolicy its imagePullPolicy; empty means
	// IfNotPresent.
	Image, PullPolicy string
	// Version is the injector's, noted in the pod.
	Version string
	// ControlPlane is the "host:port" where sidecars get identities, Push the one
	// where they get policies and destinations; an empty Push is [PushAddress].
	ControlPlane, Push string
	// ControlPlaneID is the SPIFFE ID that it proves.
	ControlPlaneID string
	// Identity says where sidecars get their SVIDs; the zero value is the mesh's
	// own issuer.
	Identity config.MeshIdentity
	// Capture is who redirects traffic to a sidecar where no annotation says it, one of
	// [CaptureModes]; empty means the container outrider-init.
	Capture string
	// Texts keeps configurations from pod to pod; nil: each is made anew.
	Texts *Texts
	// Namespace is that of the control plane; empty means [ControlPlaneNamespace].
	Namespace string
}

// A Namespace is what is known of the pod's.
type Namespace struct {
	Name                string
	Labels, Annotations map[string]string
}

// systemNamespaces are never injected: without them there is no cluster, so
// nothing may stand in their way. The list is also the webhook's
// namespaceSelector.
var systemNamespaces = [...]string{"kube-node-lease", "kube-public", "kube-system", "local-path-storage"}

// SystemNamespaces lists the namespaces that are never injected, that of the
// control plane excepted.
func SystemNamespaces() []string { return append([]string(nil), systemNamespaces[:]...) }

func (m Mesh) namespace() string {
	if m.Namespace == "" {
		return ControlPlaneNamespace
	}
	return m.Namespace
}

// identity is with its defaults.
func (m Mesh) identity() config.MeshIdentity {
	return (&config.MeshConfig{Spec: config.MeshSpec{Identity: m.Identity}}).WithDefaults().Identity
}
