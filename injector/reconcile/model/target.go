package model

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// Target implements [distribute.Mesh].
func (m *Model) Target(at netip.AddrPort) *distribute.Resource {
	return distribute.NewTarget(push.DestinationName(at), m.target(at), 0)
}

func (m *Model) target(at netip.AddrPort) push.Target {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if k, ok := m.vips[at.Addr()]; ok {
		return m.serviceTarget(k, at)
	}
	if id, p := m.podAt(at.Addr()); p != nil {
		return m.podTarget(id, p, at)
	}
	return push.Target{}
}

// serviceTarget is what answers at a cluster IP.
func (m *Model) serviceTarget(k distribute.Key, at netip.AddrPort) push.Target {
	s := m.services[k]
	i := slices.IndexFunc(s.is.Ports, func(p Port) bool { return p.Number == at.Port() })
	if i < 0 {
		return push.Target{}
	}
	g := gathering{m: m, found: map[netip.AddrPort]found{}, protocol: s.is.Ports[i].Protocol}
	for _, slice := range s.slices {
		for _, p := range slice.Ports {
			if p.Name == s.is.Ports[i].Name {
				g.add(slice, p, at.Addr().Is4())
			}
		}
	}
	t := push.Target{Name: fmt.Sprintf("%s.%s:%d", k.Name, k.Namespace, at.Port()), Protocol: g.declared()}
	t.Endpoints, t.Outside = g.endpoints()
	return t
}

// podTarget is what answers at a pod's own address, as a headless service gives it out.
// Whoever calls one pod means that one, ready or not.
func (m *Model) podTarget(id ID, p *Pod, at netip.AddrPort) push.Target {
	name, protocol := m.calledBy(id, at)
	t := push.Target{Name: fmt.Sprintf("%s.%s:%d", name, id.Namespace, at.Port()), Protocol: cmp.Or(p.Ports[at.Port()], protocol)}
	if !p.Sidecar.guards(at.Port()) {
		t.Outside = true
		return t
	}
	t.Endpoints = []push.Group{{ID: m.identity(id.Namespace, p), Zone: m.zones[p.Node], At: []netip.AddrPort{at}}}
	return t
}

// calledBy is the service of which a pod's port is an endpoint, if there is one only,
// else the pod, and what services declare that it carries, if they agree. A name is for
// metrics, where one for each pod of a service would be many.
func (m *Model) calledBy(id ID, at netip.AddrPort) (name string, protocol config.Protocol) {
	var names []string
	var protocols agreement
	for k := range m.users[at.Addr()] {
		s := m.services[k]
		for _, slice := range s.slices {
			for _, p := range slice.Ports {
				if p.Number != at.Port() || !slice.has(at.Addr()) {
					continue
				}
				if k.Namespace == id.Namespace && !slices.Contains(names, k.Name) {
					names = append(names, k.Name)
				}
				protocols.add(p.Protocol)
			}
		}
	}
	if len(names) == 1 {
		return names[0], protocols.all()
	}
	return id.Name, protocols.all()
}

func (s *Slice) has(addr netip.Addr) bool {
	return slices.ContainsFunc(s.Endpoints, func(e Endpoint) bool { return e.Addr == addr })
}

// An agreement is about what a port carries: several who say different things say
// nothing.
type agreement struct {
	said   config.Protocol
	differ bool
}

func (a *agreement) add(p config.Protocol) {
	a.differ = a.differ || a.said != "" && p != "" && a.said != p
	a.said = cmp.Or(a.said, p)
}

func (a agreement) all() config.Protocol {
	if a.differ {
		return ""
	}
	return a.said
}
