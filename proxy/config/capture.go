package config

import (
	"net/netip"
	"slices"
	"strconv"
)

// Capture is what the kernel redirects to the sidecar.
type Capture struct {
	// UID is the user the sidecar runs as, whose own calls are left alone; 0
	// means 21337.
	UID uint32 `yaml:"uid,omitempty"`
	// InboundPort takes the calls of others, 0 meaning 15006, OutboundPort
	// those of the application, 0 meaning 15001.
	InboundPort  uint16 `yaml:"inboundPort,omitempty"`
	OutboundPort uint16 `yaml:"outboundPort,omitempty"`
	// Unknown is what becomes of captured calls to destinations that are not
	// configured; Refuse when empty.
	Unknown UnknownMode `yaml:"unknown,omitempty"`
	// Inbound and Outbound are what is left alone.
	Inbound  CaptureInbound  `yaml:"inbound,omitempty"`
	Outbound CaptureOutbound `yaml:"outbound,omitempty"`
}

// CaptureInbound is what is not redirected of what others send.
type CaptureInbound struct {
	// ExcludePorts are ports of the application.
	ExcludePorts []uint16 `yaml:"excludePorts,omitempty"`
	// ExcludeSources are networks of callers.
	ExcludeSources []string `yaml:"excludeSources,omitempty"`
}

// CaptureOutbound is what is not redirected of what the application sends.
type CaptureOutbound struct {
	// ExcludePorts are ports of whom it calls.
	ExcludePorts []uint16 `yaml:"excludePorts,omitempty"`
	// ExcludeDestinations are networks of whom it calls.
	ExcludeDestinations []string `yaml:"excludeDestinations,omitempty"`
	// ExcludeUIDs are users whose calls are left alone.
	ExcludeUIDs []uint32 `yaml:"excludeUIDs,omitempty"`
}

// A CapturedPort is what is known of one port of the application.
type CapturedPort struct {
	Port uint16 `yaml:"port"`
	// Protocol is that of the listener when empty.
	Protocol Protocol `yaml:"protocol,omitempty"`
}

// The defaults of capture.
const (
	DefaultCaptureUID   = 21337
	DefaultInboundPort  = 15006
	DefaultOutboundPort = 15001
)

// Captures tells in which directions a listener takes redirected calls.
func (s *Spec) Captures() (inbound, outbound bool) {
	return slices.ContainsFunc(s.Inbound, func(in Inbound) bool { return in.Capture }),
		slices.ContainsFunc(s.Outbound, func(out Outbound) bool { return out.Capture })
}

// defaultCapture fills in what capture is, if there is any.
func (s *Spec) defaultCapture() {
	if in, out := s.Captures(); s.Capture == nil && (in || out) {
		s.Capture = &Capture{}
	}
	if c := s.Capture; c != nil {
		c.UID = or(c.UID, DefaultCaptureUID)
		c.InboundPort, c.OutboundPort = or(c.InboundPort, DefaultInboundPort), or(c.OutboundPort, DefaultOutboundPort)
		c.Unknown = or(c.Unknown, UnknownRefuse)
	}
}

// inboundListen is every address: a call arrives at the one it was sent to.
func (c *Capture) inboundListen() string { return ":" + strconv.Itoa(int(c.InboundPort)) }

// outboundListen is loopback, to which the kernel redirects what this machine
// sends; from elsewhere it can't be reached.
func (c *Capture) outboundListen() string { return "127.0.0.1:" + strconv.Itoa(int(c.OutboundPort)) }

// ProtocolAt is what a listener that captures expects on a port of the
// application.
func (i Inbound) ProtocolAt(port uint16) Protocol {
	for _, p := range i.Ports {
		if p.Port == port && p.Protocol != "" {
			return p.Protocol
		}
	}
	return i.Protocol
}

// A Match is one virtual address, or one address, of a destination.
type Match struct {
	Prefix netip.Prefix
	Port   uint16 // 0: every port
}

// parseMatch reads "ip:port" or a network.
func parseMatch(s string) (Match, bool) {
	if a, err := netip.ParseAddrPort(s); err == nil {
		addr := a.Addr().Unmap()
		return Match{netip.PrefixFrom(addr, addr.BitLen()), a.Port()}, a.Port() != 0 && addr.Zone() == ""
	}
	p, err := netip.ParsePrefix(s)
	return Match{Prefix: p}, err == nil && !p.Addr().Is4In6() && p == p.Masked()
}

// Matches are Match parsed, without those that are not valid.
func (d Destination) Matches() []Match {
	all := make([]Match, 0, len(d.Match))
	for _, s := range d.Match {
		if m, ok := parseMatch(s); ok {
			all = append(all, m)
		}
	}
	return all
}
