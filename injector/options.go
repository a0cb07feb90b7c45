package injector

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/injector/issue/ca"
	"github.com/outrider-mesh/outrider/injector/issue/federate"
	"github.com/outrider-mesh/outrider/injector/mutate"
)

// Names of what the manifests bring with them. A test compares them.
const (
	// Name is that of the Deployment, the Service, the service account, the
	// Lease and the MutatingWebhookConfiguration.
	Name = mutate.ControlPlaneName
	// CertificateSecret holds the webhook's certificate.
	CertificateSecret = "outrider-webhook"
)

// Ports that the control plane listens on, all of which can be set.
const (
	WebhookPort = 8443
	IssuerPort  = mutate.ControlPort // identities, for sidecars
	PushPort    = mutate.PushPort    // documents and destinations, for sidecars
	MetricsPort = 15020
	HealthPort  = 15021
)

// Options are what a [ControlPlane] is made of.
type Options struct {
	// Client asks the API server; required.
	Client kubernetes.Interface
	// Resources asks it about our custom resources; required.
	Resources dynamic.Interface
	// Mesh is what every sidecar gets. Image is required; what is empty of the
	// others is made of Namespace and TrustDomain.
	Mesh mutate.Mesh
	// TrustDomain is that of the mesh; empty: [mutate.DefaultTrustDomain].
	TrustDomain string
	// Identity is where the control plane itself gets its identity when somebody
	// else issues them, such as SPIRE; nil: it issues identities, its own
	// included.
	Identity identity.Source
	// CA says how long what it issues is valid, and how long a change of roots
	// takes. Not with Identity.
	CA ca.Policy
	// Federation are other trust domains whose roots are handed out. Not with
	// Identity.
	Federation []federate.Domain
	// Replica is the name of this one, which no other has; required.
	Replica string
	// Listeners are where it serves; required.
	Listeners Listeners
	// Linger is how long it goes on answering when it is to end, not ready any more,
	// until nobody is sent here; 0: not at all.
	Linger time.Duration
	// Registry takes the metrics; nil: one of its own.
	Registry *prometheus.Registry
	// Log is where events go; nil: nowhere.
	Log *slog.Logger
}

// Listeners are open sockets, which Run closes.
type Listeners struct {
	Webhook, Metrics, Health net.Listener
	// Push is where sidecars get documents and destinations.
	Push net.Listener
	// Issuer is where sidecars ask for identities; nil with Options.Identity.
	Issuer net.Listener
}

func (o *Options) setDefaults() error {
	if o.Client == nil || o.Resources == nil || o.Mesh.Image == "" || o.Replica == "" {
		return errors.New("control plane: it needs clients, the sidecar's image and a name of its own")
	}
	if l := o.Listeners; l.Webhook == nil || l.Metrics == nil || l.Health == nil || l.Push == nil {
		return errors.New("control plane: it needs its listeners")
	}
	if (o.Listeners.Issuer == nil) != (o.Identity != nil) {
		return errors.New("control plane: it listens for those who want identities if it issues them, and otherwise gets its own from somebody else")
	}
	o.TrustDomain = cmp.Or(o.TrustDomain, mutate.DefaultTrustDomain)
	o.Mesh.Namespace = cmp.Or(o.Mesh.Namespace, mutate.ControlPlaneNamespace)
	o.Mesh.ControlPlane = cmp.Or(o.Mesh.ControlPlane, mutate.ControlPlaneAddress(o.Mesh.Namespace))
	o.Mesh.Push = cmp.Or(o.Mesh.Push, mutate.PushAddress(o.Mesh.Namespace))
	o.Mesh.ControlPlaneID = cmp.Or(o.Mesh.ControlPlaneID, mutate.ControlPlaneID(o.TrustDomain, o.Mesh.Namespace))
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// webhookNames are those by which an API server calls the webhook's Service.
func webhookNames(namespace string) []string {
	return []string{Name + "." + namespace + ".svc", Name + "." + namespace + ".svc.cluster.local"}
}
