package config

import (
	"time"

	"github.com/outrider-mesh/outrider/authz"
)

// APIVersion is the group and version of every document.
const APIVersion = "outrider.dev/v1alpha1"

// KindSidecar is the kind of the sidecar's own file.
const KindSidecar = "Sidecar"

// A Sidecar is the sidecar's own file.
type Sidecar struct {
	// APIVersion is [APIVersion].
	APIVersion string `yaml:"apiVersion"`
	// Kind is [KindSidecar].
	Kind string `yaml:"kind"`
	// Metadata names the workload. Policies select it by namespace and labels.
	Metadata Metadata `yaml:"metadata"`
	Spec     Spec     `yaml:"spec"`
}

// Metadata names an object as Kubernetes does. A sidecar's name, namespace and
// labels are those of its workload.
type Metadata = authz.Metadata

// Spec is what the sidecar does.
type Spec struct {
	Identity Identity `yaml:"identity"`
	// Policies says where documents come from; nil denies everything.
	Policies     *Policies     `yaml:"policies,omitempty"`
	Inbound      []Inbound     `yaml:"inbound,omitempty"`
	Outbound     []Outbound    `yaml:"outbound,omitempty"`
	Destinations []Destination `yaml:"destinations,omitempty"`
	// Capture says what is redirected to the listeners that capture; nil means
	// the defaults if there is one.
	Capture *Capture `yaml:"capture,omitempty"`
	// QUIC takes the mesh over UDP besides; nil: it doesn't.
	QUIC *QUIC `yaml:"quic,omitempty"`
	// Admin is served on loopback only.
	Admin   Endpoint `yaml:"admin,omitempty"`
	Metrics Endpoint `yaml:"metrics,omitempty"`
	Health  Endpoint `yaml:"health,omitempty"`
	// Probes are served on the health port.
	Probes    []Probe   `yaml:"probes,omitempty"`
	AccessLog AccessLog `yaml:"accessLog,omitempty"`
	Drain     Drain     `yaml:"drain,omitempty"`
	// Processors is how many processors the sidecar uses at the same time; 0
	// means one. The environment variable GOMAXPROCS comes first.
	Processors int    `yaml:"processors,omitempty"`
	Limits     Limits `yaml:"limits,omitempty"`
}

// Identity says where the SVID comes from. Exactly one field is set.
type Identity struct {
	WorkloadAPI *WorkloadAPI `yaml:"workloadAPI,omitempty"`
	MeshCA      *MeshCA      `yaml:"meshCA,omitempty"`
	Files       *Files       `yaml:"files,omitempty"`
}

// WorkloadAPI is a SPIFFE Workload API, such as SPIRE's agent.
type WorkloadAPI struct {
	// Socket is its address, such as "unix:///run/spire/agent.sock". Empty
	// means the environment variable SPIFFE_ENDPOINT_SOCKET.
	Socket string `yaml:"socket,omitempty"`
}

// MeshCA is the mesh's own issuer, part of the control plane in Kubernetes.
// Relative paths are relative to the sidecar's file.
type MeshCA struct {
	// Address is its "host:port". A name may be resolved to whatever it is: who
	// answers must have the identity Server.
	Address string `yaml:"address"`
	// Server is its SPIFFE ID, whose trust domain is the workload's own.
	Server string `yaml:"server"`
	// Token is the file of the service account token; empty means
	// [DefaultToken].
	Token string `yaml:"token,omitempty"`
	// TrustAnchors is the PEM file of the roots that vouch for it; empty means
	// [DefaultTrustAnchors].
	TrustAnchors string `yaml:"trustAnchors,omitempty"`
}

// Files are PEM files. Relative paths are relative to the sidecar's file.
type Files struct {
	// SVID holds the certificate chain, leaf first.
	SVID string `yaml:"svid"`
	// Key holds the private key in PKCS #8.
	Key string `yaml:"key"`
	// Bundles holds the file of roots of every trusted trust domain.
	Bundles map[string]string `yaml:"bundles"`
	// Interval is how often the files are looked at; 0 means 10 s.
	Interval time.Duration `yaml:"interval,omitempty"`
}

// Policies says where documents come from: a directory, the control plane, or nowhere.
type Policies struct {
	// Directory holds *.yaml, *.yml and *.json files; relative to the
	// sidecar's file.
	Directory string `yaml:"directory,omitempty"`
	// ControlPlane pushes them, and what is known of the addresses that captured
	// calls go to; nil: nobody does.
	ControlPlane *ControlPlane `yaml:"controlPlane,omitempty"`
	// DenyAll refuses everything, on purpose.
	DenyAll bool `yaml:"denyAll,omitempty"`
	// Shadow is another directory, whose access policies are tried beside those
	// in force and decide nothing; empty for none.
	Shadow string `yaml:"shadow,omitempty"`
}

// ControlPlane is who pushes documents and destinations to this sidecar.
type ControlPlane struct {
	// Address is its "host:port". A name may be resolved to whatever it is: who
	// answers must have the identity SPIFFEID.
	Address string `yaml:"address"`
	// SPIFFEID is its identity.
	SPIFFEID string `yaml:"spiffeID"`
	// Cache is a directory for what it said last, with which the sidecar starts
	// while it is away; relative to the sidecar's file. Empty: nothing is kept.
	Cache string `yaml:"cache,omitempty"`
}

// An Inbound listener takes calls from the mesh to the application.
type Inbound struct {
	// Name is unique among all listeners; it labels logs and metrics.
	Name string `yaml:"name"`
	// Listen is "ip:port"; an empty ip means all addresses, port 0 any free
	// one. With Capture it is the port of Spec.Capture.
	Listen string `yaml:"listen,omitempty"`
	// Forward is the "ip:port" of the application; empty with Capture.
	Forward string `yaml:"forward,omitempty"`
	// Capture takes the calls that the kernel redirects, to every port of the
	// application, and forwards each to where it was going.
	Capture bool `yaml:"capture,omitempty"`
	// Ports are what is known of single ports, with Capture only.
	Ports []CapturedPort `yaml:"ports,omitempty"`
	// UnsafeForward allows a Forward that is not loopback, where the last
	// step is plaintext on a network.
	UnsafeForward bool `yaml:"unsafeForward,omitempty"`
	// Protocol is Detect when empty.
	Protocol Protocol `yaml:"protocol,omitempty"`
	// MTLS is empty for what MeshConfig says, or Strict when that is silent.
	MTLS MTLSMode `yaml:"mtls,omitempty"`
	// Connect is Refuse when empty.
	Connect ConnectMode `yaml:"connect,omitempty"`
}

// An Outbound listener takes calls of the application to one destination.
type Outbound struct {
	// Name is unique among all listeners; it labels logs and metrics.
	Name string `yaml:"name"`
	// Listen is "ip:port" on loopback, port 0 meaning any free one. With
	// Capture it is the port of Spec.Capture.
	Listen string `yaml:"listen,omitempty"`
	// UnsafeListen allows a Listen that is not loopback, where whoever
	// reaches it calls with this workload's identity.
	UnsafeListen bool `yaml:"unsafeListen,omitempty"`
	// Destination is the name of one of Spec.Destinations; empty with Capture.
	Destination string `yaml:"destination,omitempty"`
	// Capture takes the calls of the application that the kernel redirects,
	// and finds the destination of each by where it was going.
	Capture bool `yaml:"capture,omitempty"`
	// Protocol is Detect when empty.
	Protocol Protocol `yaml:"protocol,omitempty"`
	// Connect is Refuse when empty.
	Connect ConnectMode `yaml:"connect,omitempty"`
}

// A Destination is a service: where it is and who it must prove to be.
type Destination struct {
	Name string `yaml:"name"`
	// Addresses are "ip:port"; at least one, or one of Endpoints.
	Addresses []string `yaml:"addresses,omitempty"`
	// Endpoints are addresses of which more is known.
	Endpoints []DestinationEndpoint `yaml:"endpoints,omitempty"`
	// SPIFFEIDs are the identities the server may have; at least one, unless
	// every endpoint has its own.
	SPIFFEIDs []string `yaml:"spiffeIDs,omitempty"`
	// Match are virtual addresses, "ip:port" or networks: a captured call to
	// one of them goes to one of Addresses. A call to one of Addresses goes to
	// that one.
	Match []string `yaml:"match,omitempty"`
	// Protocol is what captured calls carry; Detect when empty.
	Protocol Protocol `yaml:"protocol,omitempty"`
	// QUIC is Off when empty.
	QUIC QUICMode `yaml:"quic,omitempty"`
	// QUICPort is the UDP port of its sidecars; 0 means 15008.
	QUICPort uint16 `yaml:"quicPort,omitempty"`
	// ConnectTimeout and ResponseTimeout take the place of
	// Limits.UpstreamConnectTimeout and Limits.UpstreamResponseTimeout; 0 leaves
	// them.
	ConnectTimeout  time.Duration `yaml:"connectTimeout,omitempty"`
	ResponseTimeout time.Duration `yaml:"responseTimeout,omitempty"`
	// MaxPending bounds the requests and opaque connections under way; what is
	// beyond is refused at once. 0: no bound of its own.
	MaxPending int `yaml:"maxPending,omitempty"`
	// Retry sends requests again that failed; nil: only those that met a stale
	// connection.
	Retry *Retry `yaml:"retry,omitempty"`
}

// A DestinationEndpoint is one address of a destination.
type DestinationEndpoint struct {
	// Address is "ip:port".
	Address string `yaml:"address"`
	// Zone is where it is. Endpoints in the zone of this sidecar, which is its
	// label topology.kubernetes.io/zone, are preferred.
	Zone string `yaml:"zone,omitempty"`
	// SPIFFEIDs take the place of the destination's.
	SPIFFEIDs []string `yaml:"spiffeIDs,omitempty"`
}

// A Retry says which requests are sent again, to another endpoint if there is one,
// although the first may have acted upon them.
type Retry struct {
	// Attempts is how often a request is sent again at most; 0 means once.
	Attempts int `yaml:"attempts,omitempty"`
	// Statuses are those of answers that are tried again; empty means 502, 503
	// and 504. What ends or times out before an answer is tried again anyway.
	Statuses []int `yaml:"statuses,omitempty"`
	// Methods are tried again though they are not idempotent.
	Methods []string `yaml:"methods,omitempty"`
	// BudgetPercent bounds retries to a share of all requests; 0 means 20.
	BudgetPercent int `yaml:"budgetPercent,omitempty"`
}

// QUIC says where hops of the mesh are taken over UDP. They name the port of an
// inbound listener, and are treated as connections to it.
type QUIC struct {
	// Listen is "ip:port" of UDP; empty means port 15008 of all addresses.
	Listen string `yaml:"listen,omitempty"`
}

// An Endpoint is an address the sidecar serves itself.
type Endpoint struct {
	// Listen is "ip:port" as in [Inbound], "off", or empty for the default.
	Listen string `yaml:"listen,omitempty"`
}

// An AccessLog says where the records go and which are written.
type AccessLog struct {
	// Output is "stdout" (also when empty), "stderr", "off" or a file path.
	Output string `yaml:"output,omitempty"`
	// Allowed says which calls that were allowed are logged; All when empty.
	// What was refused is always logged.
	Allowed AllowedMode `yaml:"allowed,omitempty"`
}

// Drain says how the sidecar stops.
type Drain struct {
	// Timeout is how long open connections may end; 0 means 30 s.
	Timeout time.Duration `yaml:"timeout,omitempty"`
}
