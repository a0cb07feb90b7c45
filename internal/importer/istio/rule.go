package istio

import (
	"slices"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/internal/importer"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// rule translates one rule. Conditions on source and destination belong to every
// group here.
func (t *translator) rule(at string, r *rule) (made authz.Rule) {
	t.emptyList(at+".from", r.From != nil, len(r.From))
	t.emptyList(at+".to", r.To != nil, len(r.To))
	t.emptyList(at+".when", r.When != nil, len(r.When))
	froms, tos := make([]authz.From, len(r.From)), make([]authz.To, len(r.To))
	for i := range r.From {
		froms[i] = t.source(strict.Index(at+".from", i)+".source", r.From[i].Source)
	}
	for i := range r.To {
		tos[i] = t.operation(strict.Index(at+".to", i)+".operation", r.To[i].Operation)
	}
	var anyFrom, anyTo bool
	for i := range r.When {
		where := strict.Index(at+".when", i)
		switch key := r.When[i].Key; {
		case strings.HasPrefix(key, "source."):
			froms, anyFrom = withFirst(froms), true
			t.whoWhen(where, &r.When[i], froms)
		case key == "destination.port":
			tos, anyTo = withFirst(tos), true
			t.portWhen(where, &r.When[i], tos)
		default:
			made.When = append(made.When, t.when(where, &r.When[i])...)
		}
	}
	if len(r.From) > 0 || anyFrom {
		made.From = t.callers(froms)
	}
	if len(r.To) > 0 || anyTo {
		made.To = operations(tos)
	}
	return made
}

// withFirst returns the groups, or one that says nothing where there are none.
func withFirst[T any](groups []T) []T {
	if len(groups) == 0 {
		return make([]T, 1)
	}
	return groups
}

// emptyList reports a list that is there and empty: Istio takes it for absent,
// which is anything, and whoever wrote it may have meant nothing.
func (t *translator) emptyList(field string, there bool, n int) {
	if there && n == 0 {
		t.untranslated(field, "is an empty list, which Istio takes for anything", "remove it")
	}
}

// translate translates the values of one field. Where one has no equal, the whole
// field has none.
func (t *translator) translate(field string, values []string, one func(string) (string, bool), fits func([]string) authz.Rule) []string {
	t.emptyList(field, values != nil, len(values))
	all, lost := make([]string, 0, len(values)), false
	for i, v := range values {
		at := strict.Index(field, i)
		made, ok := one(v)
		if !ok {
			t.untranslated(at, strconv.Quote(v)+" has no equal", "see docs/policy.md, Import")
			lost = true
			continue
		}
		if !t.Fits(at, fits([]string{made})) {
			t.lost, lost = true, true
		}
		all = append(all, made)
	}
	if lost || len(all) == 0 {
		return nil
	}
	return all
}

func asItIs(v string) (string, bool) { return v, true }

func fitsFrom(set func(*authz.From, []string)) func([]string) authz.Rule {
	return func(v []string) authz.Rule {
		var g authz.From
		set(&g, v)
		return authz.Rule{From: []authz.From{g}}
	}
}

func fitsTo(set func(*authz.To, []string)) func([]string) authz.Rule {
	return func(v []string) authz.Rule {
		var g authz.To
		set(&g, v)
		return authz.Rule{To: []authz.To{g}}
	}
}

// source translates a source. A group of which everything was lost is empty.
func (t *translator) source(at string, s *source) (g authz.From) {
	if s == nil {
		t.untranslated(at, "is missing", "write whom the rule is for, or remove the element")
		return g
	}
	g.Principals = t.principals(at+".principals", s.Principals)
	g.NotPrincipals = t.principals(at+".notPrincipals", s.NotPrincipals)
	g.Namespaces = t.namespaces(at+".namespaces", s.Namespaces)
	g.NotNamespaces = t.namespaces(at+".notNamespaces", s.NotNamespaces)
	g.ServiceAccounts = t.accounts(at+".serviceAccounts", s.ServiceAccounts)
	g.NotServiceAccounts = t.accounts(at+".notServiceAccounts", s.NotServiceAccounts)
	g.IPBlocks = t.blocks(at+".ipBlocks", s.IPBlocks)
	g.NotIPBlocks = t.blocks(at+".notIpBlocks", s.NotIPBlocks)
	const jwt, forwarded = "JSON Web Tokens are not verified here", "X-Forwarded-For is not consulted"
	t.none(at+".requestPrincipals", s.RequestPrincipals, jwt)
	t.none(at+".notRequestPrincipals", s.NotRequestPrincipals, jwt)
	t.none(at+".remoteIpBlocks", s.RemoteIPBlocks, forwarded)
	t.none(at+".notRemoteIpBlocks", s.NotRemoteIPBlocks, forwarded)
	if said(g) == 0 && !t.lost {
		t.untranslated(at, "is empty", "write whom the rule is for, or remove the element")
	}
	return g
}

func said(g authz.From) int {
	return len(g.Principals) + len(g.NotPrincipals) + len(g.Namespaces) + len(g.NotNamespaces) + len(g.ServiceAccounts) +
		len(g.NotServiceAccounts) + len(g.IPBlocks) + len(g.NotIPBlocks)
}

// none reports a field that has no equal.
func (t *translator) none(field string, values []string, why string) {
	if values != nil {
		t.untranslated(field, why, "write the rule without it, if it still means what it should")
	}
}

// callers finishes the groups of from. Where one says nothing any more, the part
// matches everybody.
func (t *translator) callers(groups []authz.From) (all []authz.From) {
	for _, g := range groups {
		if said(g) == 0 {
			return nil
		}
		all = append(all, everyDomain(g)...)
	}
	return all
}

// everyDomain makes names of namespaces and accounts hold in every trust domain,
// as they do in Istio. A group that only excludes some also matches callers
// without an identity, which are in no trust domain: they get a group of their own.
func everyDomain(g authz.From) []authz.From {
	if len(g.Namespaces)+len(g.NotNamespaces)+len(g.ServiceAccounts)+len(g.NotServiceAccounts) == 0 {
		return []authz.From{g}
	}
	named := g
	named.TrustDomains = []string{"*"}
	if len(g.Principals)+len(g.Namespaces)+len(g.ServiceAccounts) > 0 {
		return []authz.From{named}
	}
	nobody := g
	nobody.NotNamespaces, nobody.NotServiceAccounts, nobody.NotPrincipals = nil, nil, []string{"*"}
	return []authz.From{named, nobody}
}

func (t *translator) principals(field string, values []string) []string {
	return t.translate(field, values, t.principal, fitsFrom(func(g *authz.From, v []string) { g.Principals = v }))
}

// principal translates a pattern of an identity, which Istio writes without its
// scheme. In a whole one cluster.local stands for the mesh's own trust domain.
func (t *translator) principal(v string) (string, bool) {
	switch {
	case v == "*":
		return v, true
	case strings.Contains(v, "://"):
		return "", false // Istio compares it as a part of what stands behind spiffe://
	case strings.HasPrefix(v, "*"):
		// A slash further on: what is before it may reach into the trust domain.
		if i := strings.LastIndexByte(v, '/'); i > 0 && v[1] != '/' {
			return "", false
		}
		return v, true
	}
	if parts := strings.Split(v, "/"); len(parts) == 5 && parts[0] == "cluster.local" {
		v = t.opts.Domain() + strings.TrimPrefix(v, "cluster.local")
	}
	return "spiffe://" + v, true
}

func (t *translator) namespaces(field string, values []string) []string {
	return t.translate(field, values, asItIs, fitsFrom(func(g *authz.From, v []string) { g.Namespaces = v }))
}

func (t *translator) accounts(field string, values []string) []string {
	one := func(v string) (string, bool) {
		if !strings.Contains(v, "/") {
			v = t.namespace + "/" + v
		}
		return v, true
	}
	return t.translate(field, values, one, fitsFrom(func(g *authz.From, v []string) { g.ServiceAccounts = v }))
}

func (t *translator) blocks(field string, values []string) []string {
	return t.translate(field, values, importer.Network, fitsFrom(func(g *authz.From, v []string) { g.IPBlocks = v }))
}

// operation translates an operation.
func (t *translator) operation(at string, o *operation) (g authz.To) {
	if o == nil {
		t.untranslated(at, "is missing", "write what the rule is about, or remove the element")
		return g
	}
	text := func(name string, values []string, set func(*authz.To, []string)) []string {
		return t.translate(at+"."+name, values, asItIs, fitsTo(set))
	}
	hosts := func(g *authz.To, v []string) { g.Hosts = v }
	methods := func(g *authz.To, v []string) { g.Methods = v }
	paths := func(g *authz.To, v []string) { g.Paths = v }
	g.Hosts, g.NotHosts = text("hosts", o.Hosts, hosts), text("notHosts", o.NotHosts, hosts)
	g.Methods, g.NotMethods = text("methods", o.Methods, methods), text("notMethods", o.NotMethods, methods)
	g.Paths, g.NotPaths = text("paths", o.Paths, paths), text("notPaths", o.NotPaths, paths)
	g.Ports, g.NotPorts = t.ports(at+".ports", o.Ports), t.ports(at+".notPorts", o.NotPorts)
	if len(g.Hosts)+len(g.NotHosts) > 0 {
		t.Note(at, "hosts match whatever port the Host header has; Istio compares a name without port with the header as it is, which a caller is free to send")
	}
	if asked(g) == 0 && !t.lost {
		t.untranslated(at, "is empty", "write what the rule is about, or remove the element")
	}
	return g
}

func asked(g authz.To) int {
	return len(g.Hosts) + len(g.NotHosts) + len(g.Methods) + len(g.NotMethods) + len(g.Paths) + len(g.NotPaths) + len(g.Ports) + len(g.NotPorts)
}

// ports are text in Istio.
func (t *translator) ports(field string, values []string) (all []int) {
	fits := func(v []string) authz.Rule {
		n, _ := strconv.Atoi(v[0])
		return authz.Rule{To: []authz.To{{Ports: []int{n}}}}
	}
	one := func(v string) (string, bool) {
		n, err := strconv.Atoi(v)
		return v, err == nil && strconv.Itoa(n) == v
	}
	for _, v := range t.translate(field, values, one, fits) {
		n, _ := strconv.Atoi(v) // one has seen to it
		all = append(all, n)
	}
	return all
}

// operations finishes the groups of to.
func operations(groups []authz.To) []authz.To {
	if slices.ContainsFunc(groups, func(g authz.To) bool { return asked(g) == 0 }) {
		return nil
	}
	return groups
}
