package config

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

const (
	matchRemedy   = "write ip:port, or a network such as 10.96.0.0/12"
	networkRemedy = "write a network such as 10.0.0.0/8 or fd00::/8"
)

// maxExclusions is what a plan of redirection may have of each kind; each is a
// rule that every new connection is compared with.
const maxExclusions = 64

// capture checks what is captured, and the listeners that take it.
func (c *checker) capture(s Spec) {
	in, out := s.Captures()
	if p := s.Capture; p != nil {
		c.redirection(p, in || out)
	}
	c.oneCaptures("spec.inbound", len(s.Inbound), func(i int) bool { return s.Inbound[i].Capture })
	c.oneCaptures("spec.outbound", len(s.Outbound), func(i int) bool { return s.Outbound[i].Capture })
	c.matches(s, out)
}

func (c *checker) redirection(p *Capture, used bool) {
	const field = "spec.capture"
	if !used {
		c.warn(field, "is without effect: no listener captures", "set capture: true on an inbound or outbound listener")
	}
	if p.InboundPort == p.OutboundPort {
		c.bad(field+".outboundPort", fmt.Sprintf("%d is the inbound port too", p.OutboundPort), "choose another: the two are trusted differently")
	}
	if p.Unknown == UnknownPassthrough {
		c.warn(field+".unknown", "Passthrough lets calls to unknown destinations out in plaintext", "name the destinations, and make it Refuse")
	}
	exclusions(c, field+".inbound.excludePorts", p.Inbound.ExcludePorts, checkPort)
	exclusions(c, field+".inbound.excludeSources", p.Inbound.ExcludeSources, checkNetwork)
	exclusions(c, field+".outbound.excludePorts", p.Outbound.ExcludePorts, checkPort)
	exclusions(c, field+".outbound.excludeDestinations", p.Outbound.ExcludeDestinations, checkNetwork)
	exclusions(c, field+".outbound.excludeUIDs", p.Outbound.ExcludeUIDs, func(uint32) (string, string) { return "", "" })
}

// exclusions checks a list; check returns what is wrong with a value, and the
// remedy.
func exclusions[T comparable](c *checker, field string, list []T, check func(T) (problem, remedy string)) {
	if len(list) > maxExclusions {
		c.bad(field, fmt.Sprintf("has %d entries; at most %d are allowed", len(list), maxExclusions), "join networks, or leave out what the rest covers")
		return
	}
	for i, v := range list {
		at := strict.Index(field, i)
		if problem, remedy := check(v); problem != "" {
			c.bad(at, problem, remedy)
		} else if slices.Contains(list[:i], v) {
			c.bad(at, fmt.Sprintf("%v is repeated", v), "keep one of them")
		}
	}
}

func checkPort(p uint16) (problem, remedy string) {
	if p == 0 {
		return "0 is not a port", "write 1 to 65535"
	}
	return "", ""
}

func checkNetwork(s string) (problem, remedy string) {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is not a network", clipped(s)), networkRemedy
	case p.Addr().Is4In6():
		return fmt.Sprintf("%q is an IPv4 network in IPv6 form", s), networkRemedy
	case p != p.Masked():
		return fmt.Sprintf("%q has bits beyond its length", s), "write " + p.Masked().String()
	}
	return "", ""
}

// oneCaptures reports a second listener that captures: a redirected connection
// doesn't say which of them it is for.
func (c *checker) oneCaptures(field string, n int, captures func(int) bool) {
	first := -1
	for i := range n {
		switch {
		case !captures(i):
		case first < 0:
			first = i
		default:
			c.bad(strict.Index(field, i)+".capture", fmt.Sprintf("%s[%d] captures already", field, first), "keep one of them")
		}
	}
}

// without reports a field that a listener that captures can't have.
func (c *checker) without(field string, set bool, remedy string) {
	if set {
		c.bad(field, "stands on a listener that captures", remedy)
	}
}

func (c *checker) capturedInbound(at string, in Inbound, p *Capture) {
	c.without(at+".listen", in.Listen != p.inboundListen(), "remove it: spec.capture.inboundPort says where it listens")
	c.without(at+".forward", in.Forward != "", "remove it: a captured call is forwarded to where it was going")
	c.without(at+".unsafeForward", in.UnsafeForward, "remove it: a captured call never leaves this machine")
	for i, port := range in.Ports {
		field := strict.Index(at+".ports", i) + ".port"
		if problem, remedy := checkPort(port.Port); problem != "" {
			c.bad(field, problem, remedy)
		}
		if j := slices.IndexFunc(in.Ports, func(o CapturedPort) bool { return o.Port == port.Port }); j < i {
			c.bad(field, fmt.Sprintf("%d is repeated", port.Port), "keep one of them")
		}
	}
}

func (c *checker) capturedOutbound(at string, out Outbound, p *Capture) {
	c.without(at+".listen", out.Listen != p.outboundListen(), "remove it: spec.capture.outboundPort says where it listens")
	c.without(at+".unsafeListen", out.UnsafeListen, "remove it: it listens on loopback")
	c.without(at+".destination", out.Destination != "", "remove it: the destination is found by the address that is called")
}

// matches checks where captured calls may go: no address may mean two
// destinations.
func (c *checker) matches(s Spec, captured bool) {
	taken := map[Match]string{}
	for i, d := range s.Destinations {
		at := strict.Index("spec.destinations", i)
		if !captured && (len(d.Match) > 0 || d.Protocol != Detect) {
			c.warn(at, "match and protocol are without effect: no outbound listener captures", "set capture: true on an outbound listener")
		}
		for j, text := range d.Match {
			field := strict.Index(at+".match", j)
			m, ok := parseMatch(text)
			switch {
			case !ok:
				c.bad(field, fmt.Sprintf("%q is not what a call can be sent to", clipped(text)), matchRemedy)
			case m.Prefix.Addr().IsLoopback():
				c.bad(field, fmt.Sprintf("%q is loopback, which is never captured", text), "make it an outbound listener with that address")
			default:
				c.claim(taken, field, text, m)
			}
		}
		if !captured {
			continue
		}
		for j, e := range d.AllEndpoints() {
			if m, ok := parseMatch(e.Address); ok {
				c.claim(taken, d.addressField(at, j), e.Address, m)
			}
		}
	}
}

func (c *checker) claim(taken map[Match]string, field, text string, m Match) {
	if earlier, ok := taken[m]; ok {
		c.bad(field, fmt.Sprintf("%q is %s too: a captured call to it could mean either", text, earlier), "keep one of them")
		return
	}
	taken[m] = field
}
