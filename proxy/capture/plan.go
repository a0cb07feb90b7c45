package capture

import "net/netip"

// Table is the name of the one table that is ours, of family inet: one set of
// rules for IPv4 and IPv6.
const Table = "outrider"

// Names of the chains.
const (
	chainApplication = "application"
	chainInbound     = "inbound"
	chainOutbound    = "outbound"
)

// Socket priorities (SO_PRIORITY), which tell the sidecar's sockets apart from
// one another: the kernel lets any user set 0 to 6, and the rules can see them.
// A user id can't do that, since all sockets of the sidecar share it, and a mark
// (SO_MARK) needs a privilege that the sidecar shall not have.
const (
	// priorityCall is on the sidecar's calls for the application. One that
	// leads back into the same pod goes through inbound like everybody else's.
	// Of the values that leave packets in the band of normal traffic
	// (pfifo_fast), it is the one that is not the default.
	priorityCall = 4
	// priorityProbe is on the connections of Verify, and produced by no
	// IP_TOS, so that no application has it by accident.
	priorityProbe = 5
	// prioritySentry is on the outbound connections of a Sentry, which runs as
	// the user whose calls are left alone otherwise.
	prioritySentry = 6
)

// A Plan is a set of rules. It does nothing by itself.
type Plan struct {
	opts   Options
	chains []chain
}

// A chain is a list of rules, of which the first that decides counts.
type chain struct {
	name  string
	hook  hook
	rules []rule
}

// hook is where the kernel consults a chain.
type hook uint8

const (
	hookNone       hook = iota // when another chain jumps there
	hookPrerouting             // what arrives from outside
	hookOutput                 // what processes of this machine send
)

// A rule decides about the connections that match all of its conditions.
type rule struct {
	match []match
	then  verdict
	why   string
}

// match is a condition. The set is closed: each is rendered as text in
// render.go and as expressions of the kernel in encode_linux.go.
type match interface{ text() string }

type (
	notTCP      struct{}               // another protocol
	tcp         struct{}               // TCP
	notLocal    struct{}               // addressed to another machine
	viaLoopback struct{}               // sent to an address of this machine
	fromUser    struct{ uid uint32 }   // sent by a process of the user
	priority    struct{ value uint32 } // sent from a socket of the priority
	toPort      struct{ port uint16 }
	toNetwork   struct{ prefix netip.Prefix }
	inNetwork   struct{ prefix netip.Prefix } // its source is
)

// verdict is what happens to a connection. Exactly one field is set, or none,
// which means that the connection is left alone by this chain.
type verdict struct {
	redirect uint16
	jump     string
}

// New makes the plan that the options describe.
func New(o Options) (*Plan, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	p := &Plan{opts: o}
	if o.InboundPort != 0 {
		p.chains = append(p.chains, o.application(), o.inbound())
	}
	p.chains = append(p.chains, o.outbound())
	return p, nil
}

// Options are those the plan was made from.
func (p *Plan) Options() Options { return p.opts }

// application are the rules for what is meant for the application, wherever it
// comes from.
func (o Options) application() chain {
	c := chain{name: chainApplication}
	for _, own := range o.Own {
		c.leave("the sidecar's own port: "+own.Name, toPort{own.Port})
	}
	for _, port := range o.Inbound.Ports {
		c.leave("excluded port", toPort{port})
	}
	for _, source := range o.Inbound.Sources {
		c.leave("excluded source", inNetwork{source})
	}
	c.redirect("to the sidecar", o.InboundPort)
	return c
}

// inbound are the rules for what arrives from outside.
func (o Options) inbound() chain {
	c := chain{name: chainInbound, hook: hookPrerouting}
	c.leave("only TCP is captured", notTCP{})
	// What is routed through this machine is meant for another: the sidecar
	// would be its relay.
	c.leave("for another machine", notLocal{})
	c.jump("for the application", chainApplication)
	return c
}

// outbound are the rules for what processes of this machine send.
func (o Options) outbound() chain {
	c := chain{name: chainOutbound, hook: hookOutput}
	c.leave("only TCP is captured", notTCP{})
	c.leave("the application's loopback", toNetwork{netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8)})
	c.leave("the application's loopback", toNetwork{netip.PrefixFrom(netip.IPv6Loopback(), 128)})
	if o.InboundPort != 0 {
		c.jump("a call that leads back into this pod", chainApplication, viaLoopback{}, fromUser{o.UID}, priority{priorityCall})
		c.jump("verification", chainApplication, viaLoopback{}, priority{priorityProbe})
	}
	if o.OutboundPort == 0 {
		return c
	}
	c.redirect("the sidecar sees that it holds", o.OutboundPort, viaLoopback{}, fromUser{o.UID}, priority{prioritySentry})
	c.leave("the sidecar's own calls", fromUser{o.UID})
	for _, uid := range o.Outbound.UIDs {
		c.leave("excluded user", fromUser{uid})
	}
	for _, own := range o.Own {
		c.leave("the sidecar's own port: "+own.Name, viaLoopback{}, toPort{own.Port})
	}
	c.leave("DNS over TCP", toPort{53})
	for _, port := range o.Outbound.Ports {
		c.leave("excluded port", toPort{port})
	}
	for _, to := range o.Outbound.Destinations {
		c.leave("excluded destination", toNetwork{to})
	}
	c.redirect("to the sidecar", o.OutboundPort)
	return c
}

func (c *chain) leave(why string, m ...match) {
	c.rules = append(c.rules, rule{match: m, why: why})
}

func (c *chain) jump(why, to string, m ...match) {
	c.rules = append(c.rules, rule{match: m, then: verdict{jump: to}, why: why})
}

// redirect takes what is TCP: the kernel wants to know that there is a port that
// it can change.
func (c *chain) redirect(why string, port uint16, m ...match) {
	c.rules = append(c.rules, rule{match: append(m, tcp{}), then: verdict{redirect: port}, why: why})
}
