package proxy

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/capture"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/outbound"
)

// routes find the destination of a captured call by the address that was called.
// They are immutable.
type routes struct {
	exact    map[netip.AddrPort]outbound.Way
	networks []network // the narrowest first
	// unknown is the way to an address that no destination has.
	unknown func(netip.AddrPort) outbound.Way
	// own are the sidecar's ports, which a captured call never leads to.
	own map[uint16]bool
}

// network is a range of virtual addresses, of any port.
type network struct {
	prefix netip.Prefix
	way    outbound.Way
}

func (r *routes) find(to netip.AddrPort) outbound.Way {
	if way, ok := r.exact[to]; ok {
		return way
	}
	for _, n := range r.networks {
		if n.prefix.Contains(to.Addr().WithZone("")) {
			return n.way
		}
	}
	return r.unknown(to)
}

// newRoutes makes the routes to the destinations of c by the ways there are. A
// call to one of a destination's addresses goes to that one, as its caller chose
// it among the others; a call to a virtual address goes to any of them.
func (t *traffic) newRoutes(c *config.Sidecar, ways map[string]*way) *routes {
	r := &routes{exact: map[netip.AddrPort]outbound.Way{}, unknown: t.unknown(c), own: map[uint16]bool{}}
	if s := c.Spec.Capture; s != nil {
		r.own[s.InboundPort], r.own[s.OutboundPort] = true, true
	}
	for _, o := range ownPorts(c) {
		r.own[o.Port] = true
	}
	for _, d := range c.Spec.Destinations {
		to := outbound.Way{Forward: ways[d.Name].forwarder, Service: d.Name, Protocol: protocolOf(d.Protocol)}
		for _, m := range d.Matches() {
			if m.Port != 0 {
				r.exact[netip.AddrPortFrom(m.Prefix.Addr(), m.Port)] = to
			} else {
				r.networks = append(r.networks, network{m.Prefix, to})
			}
		}
		for _, e := range d.AllEndpoints() {
			addr := e.AddrPort()
			one := to
			one.Forward = only(to.Forward, addr)
			r.exact[addr] = one
		}
	}
	slices.SortStableFunc(r.networks, func(a, b network) int { return cmp.Compare(b.prefix.Bits(), a.prefix.Bits()) })
	return r
}

// only is the same way with one address, over the same connections.
func only(f *forward.Forwarder, addr netip.AddrPort) *forward.Forwarder {
	one := *f
	one.Destination = f.Destination.Only(addr)
	return &one
}

// unknown is the way to what nobody configured: the control plane may know it, and what
// nobody knows goes nowhere, or past everything.
func (t *traffic) unknown(c *config.Sidecar) func(netip.AddrPort) outbound.Way {
	if t.s.control != nil {
		return t.discovered(t.past(c))
	}
	return t.past(c)
}

// past is the way to what nobody knows.
func (t *traffic) past(c *config.Sidecar) func(netip.AddrPort) outbound.Way {
	if s := c.Spec.Capture; s == nil || s.Unknown != config.UnknownPassthrough {
		return func(netip.AddrPort) outbound.Way { return outbound.Way{} }
	}
	var dial balance.Dialer = outbound.NewPassthrough(capture.MarkCall)
	return func(to netip.AddrPort) outbound.Way {
		return outbound.Way{
			Passthrough: true,
			Forward:     t.toOne(c, flow.Outbound, "", to, dial),
		}
	}
}
