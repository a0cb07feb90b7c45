package config

import (
	"fmt"

	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

const (
	listenRemedy = "write ip:port, or :port for all addresses"
	targetRemedy = "write ip:port, such as 127.0.0.1:8080"
)

// A socket is something this sidecar listens on, for whatever purpose.
type socket struct {
	field, text string
	at          address
	outbound    bool
	inbound     bool
}

func (c *checker) listeners(s Spec) {
	if len(s.Inbound)+len(s.Outbound) == 0 {
		c.warn("spec", "has neither inbound nor outbound listeners", "")
	}
	sockets := c.inbound(s)
	sockets = append(sockets, c.outbound(s)...)
	sockets = append(sockets, c.endpoints(s)...)
	c.clashes(sockets)
	c.loops(s, sockets)
	c.names(s)
}

func (c *checker) names(s Spec) {
	first := map[string]int{}
	for i, in := range s.Inbound {
		if field := strict.Index("spec.inbound", i) + ".name"; c.label(field, in.Name) {
			c.unique(first, field, in.Name, i, "spec.inbound[%d]")
		}
	}
	again := map[string]int{}
	for i, out := range s.Outbound {
		field := strict.Index("spec.outbound", i) + ".name"
		if !c.label(field, out.Name) {
			continue
		}
		if j, taken := first[out.Name]; taken {
			c.bad(field, fmt.Sprintf("the name %q is taken by spec.inbound[%d]", out.Name, j), "choose another")
			continue
		}
		c.unique(again, field, out.Name, i, "spec.outbound[%d]")
	}
}

func (c *checker) inbound(s Spec) (sockets []socket) {
	for i, in := range s.Inbound {
		at := strict.Index("spec.inbound", i)
		if a, ok := c.listen(at+".listen", in.Listen); ok {
			sockets = append(sockets, socket{field: at + ".listen", text: in.Listen, at: a, inbound: true})
		}
		if in.Capture {
			c.capturedInbound(at, in, s.Capture)
		} else {
			c.forward(at+".forward", in)
			if len(in.Ports) > 0 {
				c.bad(at+".ports", "stands on a listener that doesn't capture", "remove it, or set capture: true")
			}
		}
		if in.MTLS == Permissive {
			c.warn(at+".mtls", "Permissive lets callers in without an identity", "make it Strict once every caller has one")
		}
	}
	return sockets
}

func (c *checker) forward(field string, in Inbound) {
	a, ok := c.target(field, in.Forward)
	if ok && !a.loopback() && !in.UnsafeForward {
		c.bad(field, fmt.Sprintf("%q is not loopback: the last step would be plaintext on a network", clipped(in.Forward)),
			"write 127.0.0.1:port, or set unsafeForward: true")
	}
}

func (c *checker) outbound(s Spec) (sockets []socket) {
	for i, out := range s.Outbound {
		at := strict.Index("spec.outbound", i)
		if a, ok := c.listen(at+".listen", out.Listen); ok {
			sockets = append(sockets, socket{field: at + ".listen", text: out.Listen, at: a, outbound: true})
			if !a.loopback() && !out.UnsafeListen {
				c.bad(at+".listen", fmt.Sprintf("%q is not loopback: others could call with this workload's identity", clipped(out.Listen)),
					"write 127.0.0.1:port, or set unsafeListen: true")
			}
		}
		if out.Capture {
			c.capturedOutbound(at, out, s.Capture)
			continue
		}
		if c.required(at+".destination", out.Destination, "name one of spec.destinations") && s.Destination(out.Destination) == nil {
			c.bad(at+".destination", fmt.Sprintf("there is no destination %q", clipped(out.Destination)),
				strict.Suggest(out.Destination, destinationNames(s)))
		}
	}
	return sockets
}

func destinationNames(s Spec) []string {
	names := make([]string, len(s.Destinations))
	for i, d := range s.Destinations {
		names[i] = d.Name
	}
	return names
}

func (c *checker) endpoints(s Spec) (sockets []socket) {
	for _, e := range []struct {
		field string
		Endpoint
	}{{"spec.admin.listen", s.Admin}, {"spec.metrics.listen", s.Metrics}, {"spec.health.listen", s.Health}} {
		if e.Off() {
			continue
		}
		a, ok := c.listen(e.field, e.Listen)
		if !ok {
			continue
		}
		sockets = append(sockets, socket{field: e.field, text: e.Listen, at: a})
		if e.field == "spec.admin.listen" && !a.loopback() {
			c.bad(e.field, fmt.Sprintf("%q is not loopback: the admin interface asks nobody who they are", clipped(e.Listen)),
				"write 127.0.0.1:port, or off")
		}
	}
	return sockets
}

func (c *checker) clashes(sockets []socket) {
	for i, s := range sockets {
		for _, earlier := range sockets[:i] {
			if s.at.clashes(earlier.at) {
				c.bad(s.field, fmt.Sprintf("%q is taken by %s", s.text, earlier.field), "choose another port")
				break
			}
		}
	}
}

// loops finds calls that would come back to the sidecar that makes them.
func (c *checker) loops(s Spec, sockets []socket) {
	for i, in := range s.Inbound {
		if in.Capture {
			continue
		}
		c.loop(strict.Index("spec.inbound", i)+".forward", in.Forward, sockets, func(s socket) bool { return s.inbound })
	}
	for i, d := range s.Destinations {
		for j, e := range d.AllEndpoints() {
			field := d.addressField(strict.Index("spec.destinations", i), j)
			c.loop(field, e.Address, sockets, func(s socket) bool { return s.outbound })
		}
	}
}

func (c *checker) loop(field, text string, sockets []socket, relevant func(socket) bool) {
	a, ok := parseAddress(text)
	if !ok {
		return
	}
	for _, s := range sockets {
		if relevant(s) && s.at.reaches(a) {
			c.bad(field, fmt.Sprintf("%q is this sidecar's own %s: it would call itself", text, s.field), "name the address behind it")
			return
		}
	}
}

// listen checks an address to listen on; port 0 is any free one.
func (c *checker) listen(field, text string) (address, bool) {
	if !c.required(field, text, listenRemedy) {
		return address{}, false
	}
	a, ok := parseAddress(text)
	if !ok {
		c.bad(field, fmt.Sprintf("%q is not an address to listen on", clipped(text)), listenRemedy)
	}
	return a, ok
}

// target checks an address to call.
func (c *checker) target(field, text string) (address, bool) {
	if !c.required(field, text, targetRemedy) {
		return address{}, false
	}
	a, ok := parseAddress(text)
	if !ok || a.all() || a.port == 0 {
		c.bad(field, fmt.Sprintf("%q is not an address to call", clipped(text)), targetRemedy)
		return address{}, false
	}
	return a, true
}
