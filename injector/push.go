package injector

import (
	"context"
	"fmt"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/injector/reconcile"
	"github.com/outrider-mesh/outrider/injector/reconcile/model"
)

// pushing is the part of a control plane that hands out documents and destinations.
type pushing struct {
	model    *model.Model
	follower *reconcile.Follower
	server   *distribute.Server
}

// newPushing assembles it. Nothing is asked of the cluster yet.
func (c *ControlPlane) newPushing() error {
	o := c.opts
	domain, err := spiffeid.TrustDomainFromString(o.TrustDomain)
	if err != nil {
		return fmt.Errorf("the mesh's trust domain: %w", err)
	}
	metrics, err := distribute.NewMetrics(o.Registry)
	if err != nil {
		return err
	}
	p := &pushing{model: model.New(domain)}
	p.server = distribute.New(distribute.Options{Mesh: p.model, Source: c.own, Metrics: metrics, Log: o.Log})
	p.follower, err = reconcile.New(reconcile.Options{
		Client: o.Client, Resources: o.Resources, Model: p.model, Sink: p.server, Root: o.Mesh.Namespace, Log: o.Log,
		Changed: func(map[model.ID]struct{}) {},
	})
	c.push = p
	return err
}

// serve serves sidecars once the cluster has been read. Until then their connections
// wait: documents in part would be another policy.
func (p *pushing) serve(ctx context.Context, l Listeners) error {
	select {
	case <-p.follower.Synced():
		return p.server.Run(ctx, l.Push)
	case <-ctx.Done():
		return l.Push.Close()
	}
}
