package proxy

import (
	"net"
	"net/netip"
	"strconv"

	"github.com/outrider-mesh/outrider/proxy/capture"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// CaptureOptions are what a configuration says about redirection.
func CaptureOptions(c *config.Sidecar) capture.Options {
	s := c.Spec.Capture
	in, out := c.Spec.Captures()
	o := capture.Options{
		UID: s.UID, Own: ownPorts(c),
		Inbound:  capture.Inbound{Ports: s.Inbound.ExcludePorts, Sources: prefixes(s.Inbound.ExcludeSources)},
		Outbound: capture.Outbound{Ports: s.Outbound.ExcludePorts, Destinations: prefixes(s.Outbound.ExcludeDestinations), UIDs: s.Outbound.ExcludeUIDs},
	}
	if in {
		o.InboundPort = s.InboundPort
	}
	if out {
		o.OutboundPort = s.OutboundPort
	}
	return o
}

// prefixes are networks that have been validated.
func prefixes(list []string) []netip.Prefix {
	all := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		if p, err := netip.ParsePrefix(s); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// ownPorts are those of the sidecar that are called by their own address. A
// listener on loopback is not among them: nobody else reaches it, and the same
// port of another address may be the application's.
func ownPorts(c *config.Sidecar) []capture.OwnPort {
	var all []capture.OwnPort
	add := func(name, listen string) {
		if port := portOf(listen); port != 0 {
			all = append(all, capture.OwnPort{Name: name, Port: port})
		}
	}
	for _, e := range []struct {
		name string
		at   config.Endpoint
	}{{"admin", c.Spec.Admin}, {"metrics", c.Spec.Metrics}, {"health", c.Spec.Health}} {
		if !e.at.Off() {
			add(e.name, e.at.Listen)
		}
	}
	for _, in := range c.Spec.Inbound {
		if !in.Capture && !onLoopback(in.Listen) {
			add("listener "+in.Name, in.Listen)
		}
	}
	for _, out := range c.Spec.Outbound {
		if !out.Capture && !onLoopback(out.Listen) {
			add("listener "+out.Name, out.Listen)
		}
	}
	return all
}

func onLoopback(listen string) bool {
	addr, err := netip.ParseAddrPort(listen)
	return err == nil && addr.Addr().IsLoopback()
}

// portOf is the port of an address to listen on; 0 if it can be any.
func portOf(listen string) uint16 {
	_, text, err := net.SplitHostPort(listen)
	if err != nil {
		return 0
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(port)
}
