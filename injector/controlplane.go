package injector

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/outrider-mesh/outrider/injector/certs"
	"github.com/outrider-mesh/outrider/injector/leader"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/injector/webhook"
	"github.com/outrider-mesh/outrider/internal/lifecycle"
)

// A ControlPlane is one replica of it.
type ControlPlane struct {
	opts    Options
	certs   *certs.Keeper
	events  *webhook.Events
	serving webhook.Serving
	// leading is what only the replica that leads does.
	leading []func(context.Context) error
}

// New assembles a control plane. It owns the listeners from here on if there is no
// error.
func New(opts Options) (*ControlPlane, error) {
	if err := opts.setDefaults(); err != nil {
		return nil, err
	}
	c := &ControlPlane{opts: opts}
	var err error
	c.certs, err = certs.New(certs.Options{
		Client: opts.Client, Namespace: opts.Mesh.Namespace, Secret: CertificateSecret, Webhook: Name,
		Names: webhookNames(opts.Mesh.Namespace), Log: opts.Log,
	})
	if err != nil {
		return nil, err
	}
	c.leading = append(c.leading, c.certs.Lead)
	metrics := webhook.NewMetrics(opts.Registry)
	c.events = webhook.NewEvents(opts.Client, metrics, opts.Log)
	handler, err := webhook.NewHandler(webhook.Options{
		Mesh: func() mutate.Mesh { return opts.Mesh }, Namespaces: webhook.Lookup{Client: opts.Client},
		Notify: c.events.Notify, Metrics: metrics, Log: opts.Log,
	})
	if err != nil {
		return nil, err
	}
	c.serving = webhook.Serving{Handler: handler, GetCertificate: c.certs.GetCertificate, Log: opts.Log}
	c.register()
	return c, nil
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
	var g lifecycle.Group
	g.Add("health", serving("health", c.opts.Listeners.Health, c.health(), c.opts.Log))
	g.Add("metrics", serving("metrics", c.opts.Listeners.Metrics, exposition(c.opts.Registry), c.opts.Log))
	g.Add("events", c.events.Run)
	g.Add("certificate", c.certs.Follow)
	g.Add("election", c.elect)
	g.Add("webhook", c.answer)
	return g.Run(ctx)
}

// answer serves the webhook once it has a certificate. Until then its socket takes
// connections and they wait, which is sooner over than a failed call.
func (c *ControlPlane) answer(ctx context.Context) error {
	select {
	case <-c.certs.Ready():
		return c.serving.Serve(ctx, c.opts.Listeners.Webhook)
	case <-ctx.Done():
		return c.opts.Listeners.Webhook.Close()
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
	var g lifecycle.Group
	for _, work := range c.leading {
		g.Add("leading", work)
	}
	if err := g.Run(ctx); err != nil {
		c.opts.Log.Error("what the leader does has ended", "err", err)
	}
}
