package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/outrider-mesh/outrider/injector"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/internal/buildinfo"
	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/internal/lifecycle"
	"github.com/outrider-mesh/outrider/internal/logging"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// The client asks for a namespace with every pod, and a rollout of thousands should
// not wait for our own modesty: the API server has priorities of its own. In requests
// a second.
const (
	clientRate    = 400
	clientBurst   = 800
	clientTimeout = 10 * time.Second
)

// flags are the command line of "outrider-injector serve".
type flags struct {
	set                      *flag.FlagSet
	kubeconfig               string
	image, pullPolicy        string
	namespace, trustDomain   string
	provider, driver, socket string
	webhook, metrics, health string
	issuing                  issuerFlags
	linger                   time.Duration
	issuer, push, capture    string
	level, format            string
}

func newFlags(env cli.Environment) *flags {
	f := &flags{set: program().Flags("serve")}
	fs := f.set
	namespace := env.Getenv("POD_NAMESPACE")
	if namespace == "" {
		namespace = mutate.ControlPlaneNamespace
	}
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "`file` that says how to reach the API server; empty: as in a pod")
	fs.StringVar(&f.image, "image", "", "the sidecar's `image`; required")
	fs.StringVar(&f.pullPolicy, "image-pull-policy", string(corev1.PullIfNotPresent), "when it is pulled: Always, IfNotPresent or Never")
	fs.StringVar(&f.namespace, "namespace", namespace, "where the control plane runs; $POD_NAMESPACE if that is set")
	fs.StringVar(&f.trustDomain, "trust-domain", mutate.DefaultTrustDomain, "trust domain of the mesh")
	fs.StringVar(&f.provider, "identity-provider", string(config.ProviderMeshCA), "where sidecars get identities: MeshCA, the control plane, or WorkloadAPI, such as SPIRE")
	fs.StringVar(&f.driver, "identity-driver", "", "CSI `driver` that brings the Workload API into pods; empty: csi.spiffe.io")
	fs.StringVar(&f.socket, "identity-socket", "", "`name` of the Workload API's socket there; empty: spire-agent.sock")
	f.issuing.add(fs)
	fs.DurationVar(&f.linger, "linger", 5*time.Second, "how long it goes on answering when it is to end, until nobody is sent here any more")
	fs.StringVar(&f.issuer, "issuer-listen", fmt.Sprintf(":%d", injector.IssuerPort), "`address` where sidecars ask for identities; with --identity-provider=MeshCA only")
	fs.StringVar(&f.push, "push-listen", fmt.Sprintf(":%d", injector.PushPort), "`address` where sidecars get policies and destinations")
	fs.StringVar(&f.capture, "capture", "", "who redirects traffic where no annotation says it: init, cni or none; empty: init")
	fs.StringVar(&f.webhook, "webhook-listen", fmt.Sprintf(":%d", injector.WebhookPort), "`address` that the API server calls")
	fs.StringVar(&f.metrics, "metrics-listen", fmt.Sprintf(":%d", injector.MetricsPort), "`address` of the metrics")
	fs.StringVar(&f.health, "health-listen", fmt.Sprintf(":%d", injector.HealthPort), "`address` of liveness and readiness")
	fs.StringVar(&f.level, "log-level", "info", "least severe event of the log: debug, info, warn or error")
	fs.StringVar(&f.format, "log-format", "text", "form of the log: text or json")
	return f
}

// mesh is what every sidecar gets, checked as far as it can be.
func (f *flags) mesh() (mutate.Mesh, error) {
	if f.image == "" {
		return mutate.Mesh{}, fmt.Errorf("name the sidecar's image with --image")
	}
	switch corev1.PullPolicy(f.pullPolicy) {
	case corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		return mutate.Mesh{}, fmt.Errorf("--image-pull-policy: %q is none of Always, IfNotPresent and Never", f.pullPolicy)
	}
	if _, err := spiffeid.TrustDomainFromString(f.trustDomain); err != nil {
		return mutate.Mesh{}, fmt.Errorf("--trust-domain: %w", err)
	}
	if f.capture != "" && !slices.Contains(mutate.CaptureModes(), f.capture) {
		return mutate.Mesh{}, fmt.Errorf("--capture: %q is none of %q", f.capture, mutate.CaptureModes())
	}
	provider := config.IdentityProvider(f.provider)
	if provider != config.ProviderMeshCA && provider != config.ProviderWorkloadAPI {
		return mutate.Mesh{}, fmt.Errorf("--identity-provider: %q is neither %s nor %s", f.provider, config.ProviderMeshCA, config.ProviderWorkloadAPI)
	}
	if err := f.issuing.check(provider); err != nil {
		return mutate.Mesh{}, err
	}
	return mutate.Mesh{
		Image: f.image, PullPolicy: f.pullPolicy, Capture: f.capture, Version: buildinfo.Version().Version, Namespace: f.namespace,
		Identity: config.MeshIdentity{Provider: provider, Driver: f.driver, Socket: f.socket},
	}, nil
}

// clients ask the API server: the first about what Kubernetes itself has, the second
// about our resources.
func (f *flags) clients() (kubernetes.Interface, dynamic.Interface, error) {
	c, err := rest.InClusterConfig()
	if f.kubeconfig != "" {
		c, err = clientcmd.BuildConfigFromFlags("", f.kubeconfig)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("find the API server: %w", err)
	}
	c.QPS, c.Burst, c.Timeout = clientRate, clientBurst, clientTimeout
	c.UserAgent = "outrider-injector/" + buildinfo.Version().Version
	client, err := kubernetes.NewForConfig(c)
	if err != nil {
		return nil, nil, err
	}
	resources, err := dynamic.NewForConfig(c)
	return client, resources, err
}

// listen opens all sockets, or none.
func (f *flags) listen(ctx context.Context) (injector.Listeners, error) {
	var ls injector.Listeners
	sockets := []struct {
		at string
		l  *net.Listener
	}{{f.webhook, &ls.Webhook}, {f.metrics, &ls.Metrics}, {f.health, &ls.Health}, {f.push, &ls.Push}}
	if f.issues() {
		sockets = append(sockets, struct {
			at string
			l  *net.Listener
		}{f.issuer, &ls.Issuer})
	}
	for i, s := range sockets {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.at)
		if err != nil {
			for _, open := range sockets[:i] {
				(*open.l).Close()
			}
			return injector.Listeners{}, err
		}
		*s.l = l
	}
	return ls, nil
}

// issues tells whether identities come from the control plane.
func (f *flags) issues() bool { return config.IdentityProvider(f.provider) == config.ProviderMeshCA }

// serve is "outrider-injector serve".
func serve(ctx context.Context, args []string, env cli.Environment) error {
	f := newFlags(env)
	if _, err := program().Parse(f.set, args, 0, env); err != nil {
		return err
	}
	log, err := logging.New(env.Stderr, f.level, f.format)
	if err != nil {
		return err
	}
	klog.SetSlogLogger(log)
	mesh, err := f.mesh()
	if err != nil {
		fmt.Fprintln(env.Stderr, "outrider-injector serve:", err)
		return program().Usage
	}
	opts := injector.Options{
		Mesh: mesh, TrustDomain: f.trustDomain, CA: f.issuing.policy, Federation: f.issuing.federation, Replica: replica(env), Linger: f.linger, Log: log,
	}
	if opts.Client, opts.Resources, err = f.clients(); err != nil {
		return err
	}
	stop := lifecycle.Signals(ctx)
	defer stop.Release()
	if !f.issues() {
		own, err := f.issuing.source(ctx, log)
		if err != nil {
			return err
		}
		defer func() { _ = own.Close() }() // its stream ends with the process
		opts.Identity = own
	}
	if opts.Listeners, err = f.listen(ctx); err != nil {
		return err
	}
	c, err := injector.New(opts)
	if err != nil {
		return err
	}
	log.Info("starting", "version", buildinfo.Version(), "image", f.image)
	if err := c.Run(stop.Graceful); err != nil { //nolint:contextcheck // it descends from ctx, see lifecycle.Signals
		return fmt.Errorf("control plane: %w", err)
	}
	log.Info("stopped")
	return nil
}

// replica is a name that no other replica has.
func replica(env cli.Environment) string {
	if name := env.Getenv("POD_NAME"); name != "" {
		return name
	}
	return fmt.Sprintf("process-%d", time.Now().UnixNano())
}
