package authz

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// field names what a check is about. The order is that in which a caller is
// told what was wrong: who, where from, to where, what.
type field uint8

const (
	principals field = iota
	trustDomains
	namespaces
	serviceAccounts
	ipBlocks
	ports
	serverNames
	destinations
	listeners
	transports
	hosts
	methods
	paths
	headers
)

// fieldNames are the positive form, the negative form and the singular.
var fieldNames = [...][3]string{
	principals:      {"principals", "notPrincipals", "principal"},
	trustDomains:    {"trustDomains", "notTrustDomains", "trust domain"},
	namespaces:      {"namespaces", "notNamespaces", "namespace"},
	serviceAccounts: {"serviceAccounts", "notServiceAccounts", "service account"},
	ipBlocks:        {"ipBlocks", "notIPBlocks", "address"},
	ports:           {"ports", "notPorts", "port"},
	serverNames:     {"values", "notValues", "server name"},
	destinations:    {"values", "notValues", "destination"},
	listeners:       {"values", "notValues", "listener"},
	transports:      {"values", "notValues", "transport"},
	hosts:           {"hosts", "notHosts", "host"},
	methods:         {"methods", "notMethods", "method"},
	paths:           {"paths", "notPaths", "path"},
	headers:         {"values", "notValues", "header"},
}

// l7 tells whether only HTTP has such a fact.
func (f field) l7() bool { return f >= hosts }

// A check is one field of a group, compiled. Fields that a document leaves out
// have none.
type check struct {
	field field
	// not makes the check hold where none of the values matches.
	not bool
	// anyDomain lets a namespace be one of the peer's trust domain, whichever
	// that is, because the group has a check for trust domains.
	anyDomain bool
	// want are the values as the document has them.
	want []string
	// header is the lower-case name of the header to check, condition which one
	// of when asks for it.
	header    string
	condition int

	values   values
	prefixes []netip.Prefix
	ports    []uint16
}

// holds tells whether the check is satisfied. A fact that is not known is taken
// for whatever refuses the caller: a Deny holds, an Allow does not. Facts that
// the requests of a connection will bring are taken the other way, for the
// connection as a whole must be refused only when every request would be.
func (c *check) holds(f *facts, deny bool) bool {
	if c.field.l7() && f.l7 != l7Known {
		return deny == (f.l7 == l7Never)
	}
	switch c.field {
	case ipBlocks:
		if !f.source.IsValid() {
			return deny
		}
		return c.not != c.inPrefixes(f.source)
	case destinations:
		if !f.destination.IsValid() {
			return deny
		}
		return c.not != c.inPrefixes(f.destination)
	case listeners, transports:
		if c.text(f) == "" {
			return deny
		}
	case ports:
		if f.req.Port == 0 {
			return deny
		}
		return c.not != slices.Contains(c.ports, f.req.Port)
	case hosts:
		if !f.hostKnown {
			return deny
		}
	case headers:
		if f.req.Header == nil {
			return deny
		}
		return c.headerHolds(f, deny)
	default: // known as soon as the request is
	}
	return c.not != c.matchesValue(f)
}

// matchesValue tells whether one of the values matches, not-form or not.
func (c *check) matchesValue(f *facts) bool {
	switch c.field {
	case principals:
		return c.values.match(f.id, f.path)
	case namespaces, serviceAccounts:
		if !c.anyDomain && !f.ownDomain {
			return false
		}
	case hosts:
		return c.values.matchHost(f.host, f.hostPort)
	case serverNames:
		return c.values.matchHost(f.req.ServerName, "")
	case paths:
		return c.values.matchPath(f.req.Path, f.escaped)
	default: // compared as it is
	}
	text := c.text(f)
	return c.values.match(text, text)
}

// text is the fact that the check is about, where it is a text compared as it is.
func (c *check) text(f *facts) string {
	switch c.field {
	case trustDomains:
		return f.domain
	case namespaces:
		return f.namespace
	case serviceAccounts:
		return f.path
	case serverNames:
		return f.req.ServerName
	case listeners:
		return f.req.Listener
	case transports:
		return f.req.Transport
	default: // methods
	}
	return f.req.Method
}

func (c *check) inPrefixes(a netip.Addr) bool {
	for _, p := range c.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// headerHolds compares every occurrence of the field, for the application may
// read the first, the last or any: an Allow needs all of them, a Deny one.
func (c *check) headerHolds(f *facts, deny bool) bool {
	p := f.probes.Get().(*probe)
	p.check, p.count, p.hits = c, 0, 0
	f.req.Header.Each(p.yield)
	count, hits := p.count, p.hits
	p.check = nil
	f.probes.Put(p)
	switch {
	case count == 0:
		return c.not
	case c.not:
		hits = count - hits
	}
	if deny {
		return hits > 0
	}
	return hits == count
}

// A probe counts the occurrences of one header. It is pooled because its yield
// escapes through the Header interface and would be an allocation each time.
type probe struct {
	check       *check
	count, hits int
	yield       func(name, value string) bool
}

func newProbes() *sync.Pool {
	return &sync.Pool{New: func() any {
		p := &probe{}
		p.yield = p.visit
		return p
	}}
}

func (p *probe) visit(name, value string) bool {
	if len(name) == len(p.check.header) && equalFold(name, p.check.header) {
		p.count++
		if p.check.values.match(value, value) {
			p.hits++
		}
	}
	return true
}

// A rule is compiled: alternatives of checks for from and to, and the checks of
// when. An empty part matches.
type rule struct {
	policy   string
	index    int
	from, to [][]check
	when     []check
	// limit is nil without one; quota is its index in Set.Quotas.
	limit *Limit
	quota int
}

func (r *rule) limited() bool { return r.limit != nil }

func (r *rule) name() RuleName { return RuleName{Policy: r.policy, Rule: r.index} }

func (r *rule) matches(f *facts, deny bool) bool {
	return anyGroup(r.from, f, deny) && anyGroup(r.to, f, deny) && allHold(r.when, f, deny)
}

func anyGroup(groups [][]check, f *facts, deny bool) bool {
	for _, group := range groups {
		if allHold(group, f, deny) {
			return true
		}
	}
	return len(groups) == 0
}

func allHold(group []check, f *facts, deny bool) bool {
	for i := range group {
		if !group[i].holds(f, deny) {
			return false
		}
	}
	return true
}

// accountPath is the path of the SPIFFE ID of a Kubernetes service account.
func accountPath(namespace, name string) string {
	return strings.Join([]string{"/ns", namespace, "sa", name}, "/")
}
