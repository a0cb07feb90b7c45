package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/internal/buildinfo"
	"github.com/outrider-mesh/outrider/proxy/ads"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/push"
	"github.com/outrider-mesh/outrider/proxy/discovery"
	"github.com/outrider-mesh/outrider/proxy/feed"
	"github.com/outrider-mesh/outrider/proxy/feed/cache"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/limits"
)

// controlPlane is what the control plane has to do with this sidecar.
type controlPlane struct {
	s     *Sidecar
	spec  config.ControlPlane
	id    spiffeid.ID // who it must be
	node  push.Node
	cache cache.Dir
	// book has the destinations that it knows.
	book *discovery.Book[*forward.Forwarder]
	// heard tells that the state of the connection is another.
	heard   chan struct{}
	keeping sync.Mutex // held while destinations are written
	// on is what there is once there is an identity; nil before.
	on atomic.Pointer[conversation]
}

// conversation is what needs to know who this workload is.
type conversation struct {
	owner     cache.Owner
	client    *ads.Client
	documents *feed.Pushed
}

// openControlPlane prepares what needs no identity.
func (s *Sidecar) openControlPlane(spec config.ControlPlane) error {
	id, err := spiffeid.FromString(spec.SPIFFEID)
	if err != nil {
		return fmt.Errorf("spec.policies.controlPlane.spiffeID: %w", err)
	}
	c := &controlPlane{s: s, spec: spec, id: id, cache: cache.At(spec.Cache), heard: make(chan struct{}, 1)}
	m := s.opts.Config.Metadata
	c.node = push.Node{Namespace: m.Namespace, Name: m.Name, Version: buildinfo.Version().Version}
	if s.opts.PodName != "" {
		c.node.Name = s.opts.PodName
	}
	l := limits.Default()
	idle := l.DestinationIdle
	override(&idle, s.opts.DestinationIdle)
	c.book = discovery.New(discovery.Options[*forward.Forwarder]{
		Subscribe:   func(at netip.AddrPort, version string) { c.on.Load().client.Subscribe(at, version) },
		Unsubscribe: func(at netip.AddrPort) { c.on.Load().client.Unsubscribe(at) },
		Reachable:   func() bool { return c.on.Load().client.Status().Connected },
		Make:        s.traffic.toTarget, Close: func(f *forward.Forwarder) { f.Destination.Close() },
		Most: l.Destinations, Wait: l.DestinationWait, Retry: l.DestinationRetry, Idle: idle,
	})
	s.control = c
	return nil
}

// followControlPlane waits for the identity, by which the control plane knows us, and
// speaks with it until ctx ends.
func (s *Sidecar) followControlPlane(ctx context.Context) error {
	if !s.awaitIdentity(ctx) {
		return nil
	}
	c := s.control
	on := &conversation{owner: cache.Owner{Workload: s.source.Current().SVID.ID, ControlPlane: c.id}}
	on.documents = feed.NewPushed(feed.PushedOptions{
		Node: c.node, Owner: on.owner, Cache: c.cache, Log: s.opts.Log,
		Apply: s.applyTo, Refused: func(error) { s.metrics.PolicyFailed() },
	})
	kept, saved, missing := on.documents.Kept()
	if missing != nil && !errors.Is(missing, cache.ErrNone) {
		s.opts.Log.Error("the policies of an earlier run are of no use", "err", missing)
	}
	var err error
	if on.client, err = ads.New(ads.Options{
		Address: c.spec.Address, Server: c.id, Source: s.source, Node: c.node, Handler: c, Held: kept,
		Changed: c.changed, Log: s.opts.Log,
	}); err != nil {
		return err
	}
	c.on.Store(on)
	c.restoreDestinations()
	var speaking sync.WaitGroup
	defer speaking.Wait()
	speaking.Go(func() { _ = on.client.Run(ctx) }) // it has no error
	if c.awaitFirst(ctx) {
		if missing == nil {
			missing = c.restore(kept, saved)
		}
		c.explain(missing)
	}
	c.keep(ctx, missing)
	return nil
}

// Documents implements ads.Handler.
func (c *controlPlane) Documents(set ads.Set) error { return c.on.Load().documents.Documents(set) }

// Destination implements ads.Handler.
func (c *controlPlane) Destination(at netip.AddrPort, r ads.Resource, ttl time.Duration) error {
	t, err := push.ParseTarget(r.Body)
	if err != nil {
		return err
	}
	c.book.Learn(at, t, r.Version, ttl)
	if t.Known() && !t.Outside {
		c.endPassed(at)
	}
	return nil
}

// changed notes that the connection is there, or is not any more.
func (c *controlPlane) changed() {
	on := c.on.Load()
	on.documents.Connected(on.client.Status().Connected)
	c.observe(on)
	select {
	case c.heard <- struct{}{}:
	default: // it will be looked at anyway
	}
}

// observe shows in the metrics how things stand.
func (c *controlPlane) observe(on *conversation) {
	c.s.metrics.ControlPlane(on.client.Status().Connected, c.book.Len())
	c.s.metrics.PolicyConfirmed(on.documents.Status().ConfirmedAt, on.documents.Cached())
}

// awaitFirst waits for the first set of the control plane. It is true if that does not
// come: the control plane can't be reached, or has said nothing for too long.
func (c *controlPlane) awaitFirst(ctx context.Context) bool {
	late := time.NewTimer(limits.Default().FirstSetTimeout)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-c.s.policiesLoaded:
			return false
		case <-late.C:
			return true
		case <-c.heard:
			if c.on.Load().client.Status().Err != nil {
				return true
			}
		}
	}
}

// restore puts the set of an earlier run into force, or says why it can't.
func (c *controlPlane) restore(kept ads.Set, saved time.Time) error {
	on, log := c.on.Load(), c.s.opts.Log
	err := on.documents.Restore(kept, saved)
	if err != nil && c.s.loaded() {
		return nil // the control plane was faster
	}
	if err != nil {
		log.Error("the policies of an earlier run are of no use", "err", err)
		return err
	}
	c.observe(on)
	log.Warn("policies of an earlier run in force, until the control plane can be heard", "saved", saved, "generation", on.documents.Status().Generation)
	return nil
}

// explain says what is missing while there are no policies.
func (c *controlPlane) explain(missing error) {
	if c.s.loaded() {
		return
	}
	on := c.on.Load()
	why := on.client.Status().Err
	if why == nil {
		why = on.documents.Status().Err
	}
	if why == nil {
		why = fmt.Errorf("control plane at %q: it has sent no policies yet", c.spec.Address)
	}
	c.s.readiness.Set(conditionPolicies, fmt.Errorf("%w; policies of an earlier run: %w", why, missing))
	if c.s.loaded() {
		c.s.readiness.Set(conditionPolicies, nil) // they came meanwhile
	}
}

// loaded tells whether there are policies in force.
func (s *Sidecar) loaded() bool {
	select {
	case <-s.policiesLoaded:
		return true
	default:
		return false
	}
}
