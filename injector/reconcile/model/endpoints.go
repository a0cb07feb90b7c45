package model

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// A gathering is the endpoints of one port of a service.
type gathering struct {
	m        *Model
	protocol config.Protocol // of the service's port
	pods     agreement       // of the pods' ports
	found    map[netip.AddrPort]found
}

// found is one endpoint.
type found struct {
	id, zone      string // id is empty for one outside of the mesh
	ready, ending bool
}

// add takes the endpoints of a slice's port that are of an address family. One that is
// in two slices, as while they are rearranged, is as ready as either says.
func (g *gathering) add(s *Slice, p Port, four bool) {
	if g.protocol == "" {
		g.pods.add(p.Protocol)
	}
	for _, e := range s.Endpoints {
		if e.Addr.Is4() != four {
			continue
		}
		at := netip.AddrPortFrom(e.Addr, p.Number)
		f := found{zone: e.Zone, ready: e.Ready, ending: e.Ending}
		if id, pod := g.m.podAt(e.Addr); pod != nil {
			f.zone = cmp.Or(f.zone, g.m.zones[pod.Node])
			g.pods.add(pod.Ports[p.Number])
			if pod.Sidecar.guards(p.Number) {
				f.id = g.m.identity(id.Namespace, pod)
			}
		}
		other := g.found[at]
		f.ready, f.ending = f.ready || other.ready, f.ending || other.ending
		f.zone = max(f.zone, other.zone)
		g.found[at] = f
	}
}

// declared is what the service's port is said to carry, or else those of its pods.
func (g *gathering) declared() config.Protocol { return cmp.Or(g.protocol, g.pods.all()) }

// endpoints are those to call: of the mesh, and ready, or else ending but still
// serving, as kube-proxy has it (KEP-1669). A service with any endpoint in the mesh is
// in the mesh; one with none of many is outside.
func (g *gathering) endpoints() (groups []push.Group, outside bool) {
	var meshed, ready bool
	for _, f := range g.found {
		meshed = meshed || f.id != ""
		ready = ready || f.id != "" && f.ready
	}
	if !meshed {
		return nil, len(g.found) > 0
	}
	type kind struct{ id, zone string }
	at := map[kind][]netip.AddrPort{}
	for a, f := range g.found {
		if f.id != "" && (f.ready || !ready && f.ending) {
			k := kind{f.id, f.zone}
			at[k] = append(at[k], a)
		}
	}
	left := push.MaxEndpoints
	order := func(x, y kind) int { return cmp.Or(cmp.Compare(x.id, y.id), cmp.Compare(x.zone, y.zone)) }
	for _, k := range slices.SortedFunc(maps.Keys(at), order) {
		slices.SortFunc(at[k], netip.AddrPort.Compare)
		all := at[k][:min(left, len(at[k]))]
		if left -= len(all); len(all) > 0 {
			groups = append(groups, push.Group{ID: k.id, Zone: k.zone, At: all})
		}
	}
	return groups, false
}
