package config

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

func (c *checker) identity(id Identity) {
	const field = "spec.identity"
	var named []string
	for _, source := range []struct {
		name string
		set  bool
	}{{"workloadAPI", id.WorkloadAPI != nil}, {"meshCA", id.MeshCA != nil}, {"files", id.Files != nil}} {
		if source.set {
			named = append(named, source.name)
		}
	}
	switch {
	case len(named) == 0:
		c.bad(field, "says nothing about where the SVID comes from", "write workloadAPI: {}, meshCA: {...} or files: {...}")
	case len(named) > 1:
		c.bad(field, "has both "+strings.Join(named, " and "), "keep one of them")
	}
	if w := id.WorkloadAPI; w != nil && w.Socket != "" && !validSocket(w.Socket) {
		c.bad(field+".workloadAPI.socket", fmt.Sprintf("%q is not a socket address", clipped(w.Socket)),
			"write unix:///absolute/path or tcp://ip:port")
	}
	if id.MeshCA != nil {
		c.meshCA(field+".meshCA", id.MeshCA)
	}
	if id.Files != nil {
		c.files(field+".files", id.Files)
	}
}

func (c *checker) meshCA(field string, m *MeshCA) {
	c.server(field, endpoint{"address", m.Address, "outrider-injector.outrider-system.svc:15012"}, endpoint{"server", m.Server, ""})
}

// An endpoint is one half of how a server is known: the key, its value, and one that
// would be right.
type endpoint struct{ key, value, example string }

// server checks the address and the SPIFFE ID of a part of the control plane.
func (c *checker) server(field string, address, id endpoint) {
	remedy := "write host:port, such as " + address.example
	if at := field + "." + address.key; c.required(at, address.value, remedy) && !validHostPort(address.value) {
		c.bad(at, fmt.Sprintf("%q is not host:port", clipped(address.value)), remedy)
	}
	const idRemedy = "write the SPIFFE ID of the control plane, such as spiffe://example.org/ns/outrider-system/sa/outrider-injector"
	at := field + "." + id.key
	if !c.required(at, id.value, idRemedy) {
		return
	}
	if parsed, err := spiffeid.FromString(id.value); err != nil || parsed.Path() == "" {
		c.bad(at, fmt.Sprintf("%q is not the SPIFFE ID of a workload", clipped(id.value)), idRemedy)
	}
}

// validHostPort takes an IP address or a DNS name, and a port.
func validHostPort(s string) bool {
	if a, ok := parseAddress(s); ok {
		return a.addr.IsValid() && a.port != 0
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || len(host) > 253 {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n != 0 && subdomain.MatchString(strings.TrimSuffix(host, "."))
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
