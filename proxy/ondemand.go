package proxy

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/push"
	"github.com/outrider-mesh/outrider/proxy/discovery"
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/feed/cache"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/outbound"
)

// keepInterval is how late a change of destinations is kept for a restart.
const keepInterval = 5 * time.Second

// discovered is the way to an address that the configuration does not have, as the
// control plane knows it. Past is the way to one that nobody of the mesh has.
func (t *traffic) discovered(past func(netip.AddrPort) outbound.Way) func(netip.AddrPort) outbound.Way {
	book := t.s.control.book
	return func(to netip.AddrPort) outbound.Way {
		found := book.Find(t.base, to)
		switch found.Verdict {
		case discovery.Mesh:
			return outbound.Way{Forward: found.Way, Service: found.Target.Name, Protocol: protocolOf(found.Target.Protocol)}
		case discovery.Outside, discovery.Unknown:
			way := past(to)
			way.Service = found.Target.Name
			return way
		case discovery.Unresolved:
		}
		return outbound.Way{Unresolved: true}
	}
}

// toTarget is the way to what the control plane knows, made out of the one before.
// Endpoints that stay keep their connections.
func (t *traffic) toTarget(target push.Target, before *forward.Forwarder) *forward.Forwarder {
	c := t.s.config.Load()
	l := effectiveLimits(c.Spec.Limits)
	to := balance.Options{Name: target.Name, Zone: t.s.zone()}
	for _, g := range target.Endpoints {
		expected, err := expectedIDs([]string{g.ID})
		if err != nil {
			t.s.opts.Log.Error("endpoints of a destination left out", "destination", target.Name, "err", err)
			continue
		}
		dial := outbound.NewDialer(t.s.source, expected, markOf(c)) // for all of them
		for _, at := range g.At {
			to.Endpoints = append(to.Endpoints, balance.Address{AddrPort: at, Zone: g.Zone, As: g.ID, Dial: dial})
		}
	}
	if before == nil {
		return t.newForwarder(flow.Outbound, l, to)
	}
	next := *before
	next.Destination = before.Destination.Next(t.pooled(l, to))
	return &next
}

// zone is where this workload is.
func (s *Sidecar) zone() string {
	if w := s.known.Load(); w != nil && w.Labels[zoneLabel] != "" {
		return w.Labels[zoneLabel]
	}
	return s.config.Load().Metadata.Labels[zoneLabel]
}

// eachDiscovered calls f with every destination that was discovered.
func (s *Sidecar) eachDiscovered(f func(*balance.Destination)) {
	if s.control == nil {
		return
	}
	s.control.book.Each(func(_ netip.AddrPort, found discovery.Found[*forward.Forwarder]) {
		if found.Way != nil {
			f(found.Way.Destination)
		}
	})
}

// keep forgets idle destinations and writes to the cache which there are, until ctx
// ends. Missing is why there are no policies of an earlier run.
func (c *controlPlane) keep(ctx context.Context, missing error) {
	sweep := time.NewTicker(c.s.opts.SweepInterval)
	defer sweep.Stop()
	keep := time.NewTicker(keepInterval)
	defer keep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-sweep.C:
			c.touchPassed()
			c.book.Sweep(now)
			c.observe(c.on.Load())
			c.explain(missing)
		case <-keep.C:
			c.keepDestinations()
		}
	}
}

// touchPassed keeps it known who answers where connections go past the mesh, so that
// they end when that joins it.
func (c *controlPlane) touchPassed() {
	c.s.tracker.Each(func(conn *drain.Conn) {
		if a := conn.About(); a != nil && a.Passed.IsValid() {
			c.book.Touch(a.Passed)
		}
	})
}

// endPassed ends the connections in plaintext to an address that has joined the mesh.
func (c *controlPlane) endPassed(at netip.AddrPort) {
	c.s.tracker.Each(func(conn *drain.Conn) {
		if a := conn.About(); a != nil && a.Passed == at {
			conn.Abort(flow.PolicyChanged)
		}
	})
}

// close keeps what is known of destinations, and ends the ways there.
func (c *controlPlane) close() {
	c.keepDestinations()
	c.book.Close()
}

// keepDestinations writes what is known of destinations to the cache, if it is another
// than before.
func (c *controlPlane) keepDestinations() {
	c.keeping.Lock()
	defer c.keeping.Unlock()
	all, changed := c.book.Kept()
	if !changed || !c.cache.Keeps() {
		return
	}
	content := cache.Content{Owner: c.on.Load().owner, Saved: time.Now()}
	for _, k := range all {
		body := k.Target.Encode()
		if push.Version(body) != k.Version {
			// A later version said more than we keep, and has to say it again.
			k.Version = "incomplete"
		}
		content.Resources = append(content.Resources, cache.Resource{Name: push.DestinationName(k.At), Version: k.Version, Body: body})
	}
	slices.SortStableFunc(content.Resources, func(a, b cache.Resource) int { return strings.Compare(a.Name, b.Name) })
	if err := c.cache.Save(cache.Destinations, content); err != nil {
		c.s.opts.Log.Warn("destinations are not kept for a restart", "err", err)
	}
}

// restoreDestinations takes over what was known of destinations before a restart. None
// is of use where any is broken.
func (c *controlPlane) restoreDestinations() {
	content, err := c.cache.Load(cache.Destinations, c.on.Load().owner)
	if err != nil {
		if !errors.Is(err, cache.ErrNone) {
			c.s.opts.Log.Error("the destinations of an earlier run are of no use", "err", err)
		}
		return
	}
	var all []discovery.Known
	for _, r := range content.Resources {
		at, ok := push.ParseDestinationName(r.Name)
		t, err := push.ParseTarget(r.Body)
		if !ok || err != nil {
			c.s.opts.Log.Error("the destinations of an earlier run are of no use", "destination", r.Name, "err", err)
			return
		}
		all = append(all, discovery.Known{At: at, Target: t, Version: r.Version})
	}
	c.book.Restore(all)
}

// dumpDestination is one of those that /config_dump shows.
type dumpDestination struct {
	Address   string          `json:"address"`
	Name      string          `json:"name,omitempty"`
	Protocol  config.Protocol `json:"protocol,omitempty"`
	Outside   bool            `json:"outside,omitempty"`
	Endpoints []push.Group    `json:"endpoints,omitempty"`
}

// dump is what /config_dump shows of it.
func (c *controlPlane) dump() map[string]any {
	state := map[string]any{"address": c.spec.Address, "workload": c.node.Namespace + "/" + c.node.Name}
	on := c.on.Load()
	if on == nil {
		return state
	}
	st := on.client.Status()
	state["connected"], state["attempts"], state["cached"] = st.Connected, st.Attempts, on.documents.Cached()
	if !st.Since.IsZero() {
		state["since"] = st.Since
	}
	if st.Err != nil {
		state["problem"] = st.Err.Error()
	}
	all := []dumpDestination{}
	c.book.Each(func(at netip.AddrPort, found discovery.Found[*forward.Forwarder]) {
		t := found.Target
		all = append(all, dumpDestination{at.String(), t.Name, t.Protocol, t.Outside, t.Endpoints})
	})
	slices.SortStableFunc(all, func(a, b dumpDestination) int { return strings.Compare(a.Address, b.Address) })
	state["destinations"] = all
	return state
}
