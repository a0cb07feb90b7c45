package capture

import (
	"fmt"
	"net/netip"
	"strings"
)

// String renders the plan as nft(8) reads it: loading the text installs the same
// rules as [Plan.Apply], for whoever wants to do that by hand.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", Table)
	for i, c := range p.chains {
		if i > 0 {
			b.WriteByte('\n')
		}
		c.render(&b, nil)
	}
	b.WriteString("}\n")
	return b.String()
}

// render writes a chain; hits, unless nil, are the counters of its rules.
func (c *chain) render(b *strings.Builder, hits []Hits) {
	fmt.Fprintf(b, "\tchain %s {\n", c.name)
	switch c.hook {
	case hookPrerouting:
		b.WriteString("\t\ttype nat hook prerouting priority -100; policy accept;\n")
	case hookOutput:
		b.WriteString("\t\ttype nat hook output priority -100; policy accept;\n")
	case hookNone:
	}
	for i, r := range c.rules {
		counter := "counter"
		if i < len(hits) {
			counter = hits[i].String()
		}
		fmt.Fprintf(b, "\t\t%s\n", r.render(counter))
	}
	b.WriteString("\t}\n")
}

func (r rule) render(counter string) string {
	words := make([]string, 0, len(r.match)+3)
	for _, m := range r.match {
		words = append(words, m.text())
	}
	return strings.Join(append(words, counter, r.then.text(), fmt.Sprintf("comment %q", r.why)), " ")
}

func (v verdict) text() string {
	switch {
	case v.redirect != 0:
		return fmt.Sprintf("redirect to :%d", v.redirect)
	case v.jump != "":
		return "jump " + v.jump
	}
	return "return"
}

func (notTCP) text() string      { return "meta l4proto != tcp" }
func (tcp) text() string         { return "meta l4proto tcp" }
func (notLocal) text() string    { return "fib daddr type != local" }
func (viaLoopback) text() string { return `oifname "lo"` }
func (m fromUser) text() string  { return fmt.Sprintf("meta skuid %d", m.uid) }

// text writes a priority as a class of traffic control, which nft prints in
// hexadecimal.
func (m priority) text() string { return fmt.Sprintf("meta priority 0:%x", m.value) }
func (m toPort) text() string   { return fmt.Sprintf("tcp dport %d", m.port) }

func (m toNetwork) text() string { return network(m.prefix, "daddr") }
func (m inNetwork) text() string { return network(m.prefix, "saddr") }

// network writes a network as nft does: without the length of a single address,
// and one that holds all addresses as what it then means.
func network(p netip.Prefix, field string) string {
	v4, addresses := p.Addr().Is4(), p.String()
	if p.IsSingleIP() {
		addresses = p.Addr().String()
	}
	switch {
	case p.Bits() == 0 && v4:
		return "meta nfproto ipv4"
	case p.Bits() == 0:
		return "meta nfproto ipv6"
	case v4:
		return "ip " + field + " " + addresses
	}
	return "ip6 " + field + " " + addresses
}

// Hits are what a rule has counted: connections, as the kernel consults the
// rules for the first packet of each.
type Hits struct {
	Packets, Bytes uint64
}

// String is nft's notation.
func (h Hits) String() string { return fmt.Sprintf("counter packets %d bytes %d", h.Packets, h.Bytes) }
