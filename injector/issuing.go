package injector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/injector/issue"
	"github.com/outrider-mesh/outrider/injector/issue/federate"
	"github.com/outrider-mesh/outrider/injector/issue/keeper"
	"github.com/outrider-mesh/outrider/injector/issue/kube"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/internal/lifecycle"
)

// issuing is the part of a control plane that gives out identities: a CA that all
// replicas share, the port at which sidecars ask, and what they know it by.
type issuing struct {
	keeper     *keeper.Keeper
	store      *kube.Store
	trust      *kube.Trust
	federation *federate.Federation
	server     *issue.Server
	// changed wakes the keeper: the Secret has changed, or who leads has.
	changed chan struct{}
}

// newIssuing assembles the issuer. Nothing is asked of the cluster yet.
func (c *ControlPlane) newIssuing() (*issuing, error) {
	o := c.opts
	own, err := spiffeid.FromString(o.Mesh.ControlPlaneID)
	if err != nil {
		return nil, fmt.Errorf("the control plane's own identity: %w", err)
	}
	i := &issuing{store: kube.NewStore(o.Client, o.Mesh.Namespace), changed: make(chan struct{}, 1)}
	if i.keeper, err = keeper.New(keeper.Options{
		Store: i.store, ID: own, Policy: o.CA, Leader: c.leads.Load, Changed: i.changed, Log: o.Log,
	}); err != nil {
		return nil, err
	}
	// Pods of these namespaces are never injected, so none of them needs an identity.
	excluded := append(mutate.SystemNamespaces(), o.Mesh.Namespace)
	if i.trust, err = kube.NewTrust(kube.TrustOptions{
		Client: o.Client, Signer: i.keeper, Leader: c.leads.Load, Excluded: excluded, Log: o.Log,
	}); err != nil {
		return nil, err
	}
	if i.federation, err = federate.New(federate.Options{
		Domains: o.Federation, Keeper: i.keeper, Leader: c.leads.Load, Log: o.Log,
	}); err != nil {
		return nil, err
	}
	metrics := issue.NewMetrics(o.Registry)
	o.Registry.MustRegister(issue.NewCAMetrics(i.keeper))
	i.server, err = issue.New(issue.Options{
		Signer: i.keeper, Reviewer: kube.NewReviewer(o.Client, wire.Audience), Reserved: []spiffeid.ID{own},
		Excluded: excluded, Metrics: metrics, Log: o.Log,
	})
	return i, err
}

// sources adds what follows the CA and makes it known. It writes only while this
// replica leads.
func (i *issuing) sources(g *lifecycle.Group) {
	g.Add("CA", i.keeper.Run)
	g.Add("CA's Secret", func(ctx context.Context) error { return i.store.Watch(ctx, i.changed) })
	g.Add("trust anchors", i.trust.Run)
	g.Add("federation", i.federation.Run)
}

// wake has the keeper look now, because who leads has changed.
func (i *issuing) wake() {
	select {
	case i.changed <- struct{}{}:
	default: // it is about to look
	}
}

// whole tells whether a source has an identity that is valid now.
func whole(source identity.Source) error {
	snap := source.Current()
	switch {
	case !snap.Ready() && snap.Err != nil:
		return fmt.Errorf("the control plane has no identity: %w", snap.Err)
	case !snap.Ready():
		return errors.New("the control plane has no identity yet")
	case time.Now().After(snap.SVID.Certificates[0].NotAfter):
		return errors.New("the control plane's own identity has expired")
	}
	return nil
}

// canIssue tells whether a sidecar that came now would be given an identity, as far
// as it is ours to say.
func (i *issuing) canIssue() error {
	if err := whole(i.keeper); err != nil {
		return err
	}
	return i.keeper.Fresh()
}
