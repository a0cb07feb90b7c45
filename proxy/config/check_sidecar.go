package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// sidecar checks a file whose defaults are filled in.
func (c *checker) sidecar(s *Sidecar) {
	c.metadata(s.Metadata)
	c.identity(s.Spec.Identity)
	c.policies(s)
	c.destinations(s.Spec)
	c.listeners(s.Spec)
	c.capture(s.Spec)
	c.quic(s.Spec)
	c.probes(s.Spec)
	c.accessLog(s.Spec.AccessLog)
	c.nonNegative("spec.drain", s.Spec.Drain)
	c.processors(s.Spec.Processors)
	c.nonNegative("spec.limits", s.Spec.Limits)
}

func (c *checker) destinations(s Spec) {
	first := map[string]int{}
	for i, d := range s.Destinations {
		at := strict.Index("spec.destinations", i)
		if c.label(at+".name", d.Name) {
			c.unique(first, at+".name", d.Name, i, "spec.destinations[%d]")
			if !slices.ContainsFunc(s.Outbound, func(o Outbound) bool { return o.Capture || o.Destination == d.Name }) {
				c.warn(at, fmt.Sprintf("no outbound listener uses the destination %q", d.Name), "")
			}
		}
		c.destinationEndpoints(at, d)
		c.resilience(at, d)
	}
}

func (c *checker) quic(s Spec) {
	for i, d := range s.Destinations {
		if d.QUICPort != 0 && d.QUIC == QUICOff {
			c.bad(strict.Index("spec.destinations", i)+".quicPort", "is without effect: quic is Off", "write quic: Auto, or remove it")
		}
	}
	if s.QUIC == nil {
		return
	}
	c.listen("spec.quic.listen", s.QUIC.Listen)
	if len(s.Inbound) == 0 {
		c.warn("spec.quic", "is without effect: there is no inbound listener", "remove it")
	}
}

// unique reports a name that an earlier element has; place is where that one
// stands, with a verb for its index.
func (c *checker) unique(first map[string]int, field, name string, i int, place string) {
	if j, again := first[name]; again {
		c.bad(field, fmt.Sprintf("the name %q is taken by "+place, name, j), "choose another")
		return
	}
	first[name] = i
}

func (c *checker) spiffeIDs(field string, list []string) {
	for i, s := range list {
		if _, err := spiffeid.FromString(s); err != nil {
			c.bad(strict.Index(field, i), fmt.Sprintf("%q is not a SPIFFE ID: %v", clipped(s), err),
				"write spiffe://trust-domain/path")
		}
	}
}

func (c *checker) accessLog(l AccessLog) {
	if strings.TrimSpace(l.Output) == "" || strings.HasSuffix(l.Output, "/") {
		c.bad("spec.accessLog.output", fmt.Sprintf("%q is not a file", l.Output), "write stdout, stderr, off or the path of a file")
	}
}

// maxProcessors is more than any machine has that a sidecar shares.
const maxProcessors = 1024

func (c *checker) processors(n int) {
	if n < 0 || n > maxProcessors {
		c.bad("spec.processors", fmt.Sprintf("%d is not a number of processors", n),
			fmt.Sprintf("write 1 to %d, or leave it out for one", maxProcessors))
	}
}
