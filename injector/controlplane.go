package injector

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/injector/certs"
	"github.com/outrider-mesh/outrider/injector/leader"
	"github.com/outrider-mesh/outrider/injector/meshconfig"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/injector/webhook"
	"github.com/outrider-mesh/outrider/internal/lifecycle"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// A ControlPlane is one replica of it.
type ControlPlane struct {
	opts    Options
	certs   *certs.Keeper
	events  *webhook.Events
	texts   *mutate.Texts // of sidecars, from pod to pod
	config  *meshconfig.Follower
	serving webhook.Serving
	// own is the control plane's identity and the bundles that it verifies
	// sidecars with.
	own identity.Source
	// issuer is nil when somebody else issues identities.
	issuer *issuing
	push   *pushing
	// leads tells whether this replica writes.
	leads atomic.Bool
	// ending tells that it is to end, and no more calls should be sent here.
	ending atomic.Bool
	// leading is what only the replica that leads does.
	leading []func(context.Context) error
}

// New assembles a control plane. It owns the listeners from here on if there is no
// error.
func New(opts Options) (*ControlPlane, error) {
	if err := opts.setDefaults(); err != nil {
		return nil, err
	}
	c := &ControlPlane{opts: opts, own: opts.Identity, texts: mutate.NewTexts()}
	for _, part := range []func() error{c.newWebhook, c.newConfig, c.newIdentity, c.newPushing} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	c.register()
	return c, nil
}

func (c *ControlPlane) newWebhook() error {
	o := c.opts
	var err error
	c.certs, err = certs.New(certs.Options{
		Client: o.Client, Namespace: o.Mesh.Namespace, Secret: CertificateSecret, Webhook: Name,
		Names: webhookNames(o.Mesh.Namespace), Log: o.Log,
	})
	if err != nil {
		return err
	}
	c.leading = append(c.leading, c.certs.Lead)
	metrics := webhook.NewMetrics(o.Registry)
	c.events = webhook.NewEvents(o.Client, metrics, o.Log)
	handler, err := webhook.NewHandler(webhook.Options{
		Mesh: c.mesh, Namespaces: webhook.Lookup{Client: o.Client}, Notify: c.events.Notify, Metrics: metrics, Log: o.Log,
	})
	c.serving = webhook.Serving{Handler: handler, GetCertificate: c.certs.GetCertificate, Log: o.Log}
	return err
}

func (c *ControlPlane) newConfig() error {
	var err error
	c.config, err = meshconfig.New(meshconfig.Options{
		Client: c.opts.Resources, Leader: c.leads.Load, Log: c.opts.Log,
		Fixed: meshconfig.Fixed{TrustDomain: c.opts.TrustDomain, Provider: c.provider()},
	})
	return err
}

// newIdentity makes the issuer, unless the control plane has its identity from
// somebody else.
func (c *ControlPlane) newIdentity() error {
	if c.own != nil {
		return nil
	}
	var err error
	if c.issuer, err = c.newIssuing(); err == nil {
		c.own = c.issuer.keeper
	}
	return err
}

// provider is where identities come from in this mesh.
func (c *ControlPlane) provider() config.IdentityProvider {
	return cmp.Or(c.opts.Mesh.Identity.Provider, config.ProviderMeshCA)
}

// mesh is what a sidecar gets that is injected now: what was said at the start, and
// over it what the MeshConfig says.
func (c *ControlPlane) mesh() mutate.Mesh {
	m, said := c.opts.Mesh, c.config.Spec().Identity
	m.Identity.Driver = cmp.Or(said.Driver, m.Identity.Driver)
	m.Texts = c.texts
	m.Identity.Socket = cmp.Or(said.Socket, m.Identity.Socket)
	return m
}

// register adds what is measured beside the webhook.
func (c *ControlPlane) register() {
	c.opts.Registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "outrider_injector_webhook_certificate_expiry_timestamp_seconds",
			Help: "When the webhook's certificate expires, in Unix time; 0 while there is none.",
		}, func() float64 {
			if at := c.certs.Expiry(); !at.IsZero() {
				return float64(at.Unix())
			}
			return 0
		}))
}

// Run works until ctx ends. Parts stop in the reverse order of their start, so that
// the webhook answers to the last.
func (c *ControlPlane) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { c.ending.Store(true) })()
	ctx, cancel := linger(ctx, c.opts.Linger)
	defer cancel()
	var g lifecycle.Group
	g.Add("health", serving("health", c.opts.Listeners.Health, c.health(), c.opts.Log))
	g.Add("metrics", serving("metrics", c.opts.Listeners.Metrics, exposition(c.opts.Registry), c.opts.Log))
	g.Add("events", c.events.Run)
	g.Add("certificate", c.certs.Follow)
	g.Add("MeshConfig", c.config.Run)
	if c.issuer != nil {
		c.issuer.sources(&g)
	}
	g.Add("cluster", c.push.follower.Run)
	g.Add("election", c.elect)
	if c.issuer != nil {
		g.Add("issuer", func(ctx context.Context) error { return c.issuer.server.Serve(ctx, c.opts.Listeners.Issuer) })
	}
	g.Add("push", func(ctx context.Context) error { return c.push.serve(ctx, c.opts.Listeners) })
	g.Add("webhook", c.answer)
	return g.Run(ctx)
}

// answer serves the webhook once it has a certificate and knows how the mesh is
// configured. Until then its socket takes connections and they wait, which is sooner
// over than a failed call.
func (c *ControlPlane) answer(ctx context.Context) error {
	for _, ready := range []<-chan struct{}{c.certs.Ready(), c.config.Synced()} {
		select {
		case <-ready:
		case <-ctx.Done():
			return c.opts.Listeners.Webhook.Close()
		}
	}
	return c.serving.Serve(ctx, c.opts.Listeners.Webhook)
}

// missing is what this replica lacks to do its work; nil: nothing.
func (c *ControlPlane) missing() error {
	var errs []error
	if c.ending.Load() {
		errs = append(errs, errors.New("it is about to end"))
	}
	if !closed(c.certs.Ready()) {
		errs = append(errs, errors.New("the webhook has no certificate yet"))
	}
	if !closed(c.config.Synced()) {
		errs = append(errs, errors.New("the MeshConfig has not been read yet"))
	}
	if !closed(c.push.follower.Synced()) {
		errs = append(errs, errors.New("the cluster has not been read yet"))
	}
	if c.issuer != nil {
		errs = append(errs, c.issuer.canIssue())
	} else {
		errs = append(errs, whole(c.own))
	}
	return errors.Join(errs...)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (c *ControlPlane) elect(ctx context.Context) error {
	return leader.Run(ctx, leader.Options{
		Client: c.opts.Client, Namespace: c.opts.Mesh.Namespace, Lease: Name, Identity: c.opts.Replica, Log: c.opts.Log,
	}, c.lead)
}

// lead does what only one replica does. What returns early ends the others, and the
// term with them, and is logged.
func (c *ControlPlane) lead(ctx context.Context) {
	c.leads.Store(true)
	defer c.leads.Store(false)
	if c.issuer != nil {
		c.issuer.wake()
	}
	var g lifecycle.Group
	for _, work := range c.leading {
		g.Add("leading", work)
	}
	if err := g.Run(ctx); err != nil {
		c.opts.Log.Error("what the leader does has ended", "err", err)
	}
}
