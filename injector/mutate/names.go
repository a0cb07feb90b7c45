package mutate

import "fmt"

// Label on a namespace or a pod asks for a sidecar; that of the pod counts first.
// Prefix is that of our labels and annotations.
const (
	Prefix = "outrider.dev/"
	Label  = Prefix + "inject"
)

// The values of [Label].
const (
	Enabled  = "enabled"
	Disabled = "disabled"
)

// StatusAnnotation is where an injected pod says what was done to it.
const StatusAnnotation = Prefix + "status"

// The containers that are added to a pod.
const (
	Container     = "outrider"
	InitContainer = "outrider-init"
)

// Where the control plane lives and what it is called there, and the trust domain of
// the mesh unless something else is said.
const (
	ControlPlaneNamespace = "outrider-system"
	ControlPlaneName      = "outrider-injector"
	DefaultTrustDomain    = "cluster.local"
)

// ControlPort is where the control plane serves identities, PushPort where it serves
// documents and destinations to those who have one.
const (
	ControlPort = 15012
	PushPort    = 15011
)

// ControlPlaneAddress is where sidecars get identities from a control plane in a
// namespace.
func ControlPlaneAddress(namespace string) string { return address(namespace, ControlPort) }

// PushAddress is where sidecars get documents from a control plane in a namespace.
func PushAddress(namespace string) string { return address(namespace, PushPort) }

func address(namespace string, port int) string {
	return fmt.Sprintf("%s.%s.svc:%d", ControlPlaneName, namespace, port)
}

// ControlPlaneID is the SPIFFE ID that it proves to them.
func ControlPlaneID(trustDomain, namespace string) string {
	return fmt.Sprintf("spiffe://%s/ns/%s/sa/%s", trustDomain, namespace, ControlPlaneName)
}

// UID is the user that the sidecar runs as, where the namespace prescribes no range.
const UID = 21337

// The sidecar's ports that are called from outside of the pod.
const (
	MetricsPort = 15020
	HealthPort  = 15021
)

// ownPorts are the ports that the sidecar listens on in a pod.
var ownPorts = [...]int32{15000, 15001, 15006, MetricsPort, HealthPort}

// The volumes that are added to a pod.
const (
	tokenVolume    = "outrider-token"
	trustVolume    = "outrider-trust"
	cacheVolume    = "outrider-cache"
	noAPIVolume    = "outrider-no-api"
	workloadVolume = "outrider-workload-api"
)

// Where the sidecar finds and keeps files.
const (
	tokenDir    = "/var/run/secrets/outrider" //nolint:gosec // a directory
	tokenFile   = "token"
	trustDir    = "/var/run/outrider/trust"
	trustFile   = "ca.pem"
	cacheDir    = "/var/cache/outrider"
	workloadDir = "/spiffe-workload-api"
	// apiTokenDir is where the API server mounts a token for itself into every
	// container that mounts nothing there. Ours mount an empty volume.
	apiTokenDir = "/var/run/secrets/kubernetes.io/serviceaccount" //nolint:gosec // a directory
)

// TrustConfigMap holds the mesh's trust anchors in every namespace with sidecars.
const TrustConfigMap = "outrider-trust"

// TokenAudience is whom the sidecar's service-account token is for.
const TokenAudience = "outrider"

// configVariable is the environment variable that holds the sidecar's
// configuration. The environment of a container can't be changed once it exists,
// unlike annotations.
const configVariable = "OUTRIDER_CONFIG"

// podVariable is the one that holds the name of the pod.
const podVariable = "POD_NAME"
