package injector

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/injector/reconcile"
	"github.com/outrider-mesh/outrider/injector/reconcile/model"
	"github.com/outrider-mesh/outrider/injector/reconcile/report"
)

// pushing is the part of a control plane that hands out documents and destinations.
type pushing struct {
	model    *model.Model
	follower *reconcile.Follower
	server   *distribute.Server
	writer   *report.Writer
	// self is this replica's pod, source its identity.
	self   distribute.Key
	source identity.Source
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
	p := &pushing{model: model.New(domain), source: c.own, self: distribute.Key{Namespace: o.Mesh.Namespace, Name: o.Replica}}
	p.server = distribute.New(distribute.Options{Mesh: p.model, Source: c.own, Metrics: metrics, Log: o.Log})
	p.writer = report.New(report.Options{
		Client: o.Resources, Model: p.model, Counts: p.counts, Log: o.Log,
		Status: func(id model.ID) (v1alpha1.PolicyStatus, bool) { return p.follower.Status(id) },
	})
	p.follower, err = reconcile.New(reconcile.Options{
		Client: o.Client, Resources: o.Resources, Model: p.model, Sink: p.server, Root: o.Mesh.Namespace, Log: o.Log,
		Changed: p.writer.Changed,
	})
	c.push = p
	c.leading = append(c.leading, p.write)
	return err
}

// write writes what becomes of policies, once it is known which there are.
func (p *pushing) write(ctx context.Context) error {
	select {
	case <-p.follower.Synced():
		return p.writer.Run(ctx)
	case <-ctx.Done():
		return nil
	}
}

// askTimeout is how long another replica may take to say what its sidecars have.
const askTimeout = 3 * time.Second

// counts counts over all replicas: the endpoints of the control plane's own Service.
func (p *pushing) counts(ctx context.Context, asked []distribute.Revision) (counts []distribute.Count, silent []string) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	counts = p.server.Counts(asked)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, at := range p.model.Replicas(distribute.Key{Namespace: p.self.Namespace, Name: Name}, pushPortName, p.self) {
		wg.Go(func() {
			more, err := distribute.Ask(ctx, p.source, at.String(), asked)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				silent = append(silent, at.String())
				return
			}
			for i := range more {
				counts[i].Add(more[i])
			}
		})
	}
	wg.Wait()
	slices.Sort(silent)
	return counts, silent
}

// pushPortName is what the Service calls the port.
const pushPortName = "push"

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
