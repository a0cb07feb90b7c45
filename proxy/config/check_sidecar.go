package config

import (
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// sidecar checks a file whose defaults are filled in.
func (c *checker) sidecar(s *Sidecar) {
	c.metadata(s.Metadata)
	c.identity(s.Spec.Identity)
	c.policies(s.Spec.Policies)
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

func (c *checker) identity(id Identity) {
	const field = "spec.identity"
	switch {
	case id.WorkloadAPI == nil && id.Files == nil:
		c.bad(field, "says nothing about where the SVID comes from", "write workloadAPI: {} or files: {...}")
	case id.WorkloadAPI != nil && id.Files != nil:
		c.bad(field, "has both workloadAPI and files", "keep one of them")
	}
	if w := id.WorkloadAPI; w != nil && w.Socket != "" && !validSocket(w.Socket) {
		c.bad(field+".workloadAPI.socket", fmt.Sprintf("%q is not a socket address", clipped(w.Socket)),
			"write unix:///absolute/path or tcp://ip:port")
	}
	if id.Files != nil {
		c.files(field+".files", id.Files)
	}
}

// validSocket follows the SPIFFE Workload Endpoint specification, section 4.
func validSocket(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	switch u.Scheme {
	case "unix":
		return u.Host == "" && u.Opaque == "" && len(u.Path) > 1
	case "tcp":
		a, ok := parseAddress(u.Host)
		return ok && u.Path == "" && a.addr.IsValid() && a.port != 0
	}
	return false
}

func (c *checker) files(field string, f *Files) {
	c.required(field+".svid", f.SVID, "name the PEM file of the certificate chain")
	c.required(field+".key", f.Key, "name the PEM file of the private key")
	if len(f.Bundles) == 0 {
		c.bad(field+".bundles", "is missing or empty", "name the PEM file of the roots of your own trust domain at least")
	}
	for _, domain := range slices.Sorted(maps.Keys(f.Bundles)) {
		at := strict.Key(field+".bundles", domain)
		if _, err := spiffeid.TrustDomainFromString(domain); err != nil || strings.Contains(domain, "/") {
			c.bad(at, fmt.Sprintf("%q is not a trust domain", clipped(domain)), "write its name only, such as example.org")
		}
		c.required(at, f.Bundles[domain], "name the PEM file of its roots")
	}
	if f.Interval < 0 {
		c.bad(field+".interval", fmt.Sprintf("%v is negative", f.Interval), "remove it for the default")
	}
}

func (c *checker) policies(p *Policies) {
	const field = "spec.policies"
	switch {
	case p == nil:
		c.warn(field, "is missing: every call to this workload is refused", "name a directory, or write denyAll: true if that is meant")
	case p.Directory == "" && !p.DenyAll:
		c.bad(field, "has neither a directory nor denyAll: true", "write one of them")
	case p.Directory != "" && p.DenyAll:
		c.bad(field, "has both a directory and denyAll", "keep one of them")
	}
	if p != nil && p.Shadow != "" && filepath.Clean(p.Shadow) == filepath.Clean(p.Directory) {
		c.warn(field+".shadow", "is the directory in force, so there is nothing to compare", "name another directory")
	}
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
