package istio_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.yaml.in/yaml/v3"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
)

// The reference evaluates Istio's documents as its documentation says, field by
// field, and knows nothing of ours.
type (
	refPolicy struct {
		name, action string
		rules        []refRule
	}
	refRule struct {
		from, to []map[string][]string
		when     []refCondition
	}
	refCondition struct {
		key               string
		values, notValues []string
	}
)

// facts are those of a call, and of what this program has no equal for.
type facts struct {
	*authz.Request
	headers map[string]string
	// token tells that the call has a JSON Web Token with the principal "iss/sub".
	token bool
	// remote is the address from X-Forwarded-For.
	remote netip.Addr
}

func allowedBy(policies []refPolicy, f *facts) bool {
	restricted, allowed := false, false
	for _, p := range policies {
		matches := false
		for _, r := range p.rules {
			matches = matches || r.matches(f)
		}
		if p.action == "DENY" && matches {
			return false
		}
		if p.action == "ALLOW" {
			restricted, allowed = true, allowed || matches
		}
	}
	return allowed || !restricted
}

func (r *refRule) matches(f *facts) bool {
	for _, c := range r.when {
		if !f.field(c.key, c.values, c.notValues) {
			return false
		}
	}
	return anyOf(r.from, f) && anyOf(r.to, f)
}

func anyOf(groups []map[string][]string, f *facts) bool {
	matched := len(groups) == 0
	for _, g := range groups {
		all := true
		for name, values := range g {
			if rest, not := strings.CutPrefix(name, "not"); not {
				all = all && f.field(strings.ToLower(rest[:1])+rest[1:], nil, values)
			} else {
				all = all && f.field(name, values, nil)
			}
		}
		matched = matched || all
	}
	return matched
}

func (f *facts) field(name string, values, notValues []string) bool {
	hit := func(list []string) bool {
		for _, v := range list {
			if f.is(name, v) {
				return true
			}
		}
		return false
	}
	return (len(values) == 0 || hit(values)) && !hit(notValues)
}

// is compares one value with the fact of that name.
func (f *facts) is(name, value string) bool {
	id := ""
	if !f.Peer.IsZero() {
		id = f.Peer.String()
	}
	like := func(expression string) bool { return regexp.MustCompile("^(" + expression + ")$").MatchString(id) }
	switch name {
	case "principals", "source.principal":
		return pattern(value, strings.TrimPrefix(id, "spiffe://"))
	case "namespaces", "source.namespace":
		return like(".*/ns/" + strings.ReplaceAll(value, "*", ".*") + "/.*")
	case "serviceAccounts":
		namespace, account, ok := strings.Cut(value, "/")
		if !ok {
			namespace, account = "shop", value
		}
		return like("spiffe://.+/ns/" + namespace + "/(.+/|)sa/" + account + "(/.+)?")
	case "ipBlocks", "source.ip":
		return within(f.Source, value)
	case "remoteIpBlocks":
		return within(f.remote, value)
	case "destination.ip":
		return within(f.Destination, value)
	case "requestPrincipals":
		return f.token && pattern(value, "iss/sub")
	case "hosts":
		return pattern(strings.ToLower(value), strings.ToLower(f.Host))
	case "methods":
		return pattern(value, f.Method)
	case "paths":
		return path(value, f.Path)
	case "ports", "destination.port":
		return value == fmt.Sprint(f.Port)
	}
	header := strings.TrimSuffix(strings.TrimPrefix(name, "request.headers["), "]")
	got, there := f.headers[header]
	return there && pattern(value, got)
}

func pattern(value, fact string) bool {
	switch {
	case value == "*":
		return fact != ""
	case strings.HasPrefix(value, "*"):
		return strings.HasSuffix(fact, value[1:])
	case strings.HasSuffix(value, "*"):
		return strings.HasPrefix(fact, strings.TrimSuffix(value, "*"))
	}
	return value == fact
}

func path(value, fact string) bool {
	if !strings.Contains(value, "{") {
		return pattern(value, fact)
	}
	expression := strings.NewReplacer("{*}", "[^/]+", "{**}", ".*").Replace(value)
	return regexp.MustCompile("^" + expression + "$").MatchString(fact)
}

func within(a netip.Addr, block string) bool {
	if p, err := netip.ParsePrefix(block); err == nil {
		return p.Masked().Contains(a)
	}
	b, err := netip.ParseAddr(block)
	return err == nil && a == b
}

// A maker draws documents and calls from vocabularies small enough for them to
// meet often. With strange, it uses what has no equal here.
type maker struct {
	*rand.Rand
	strange bool
}

func (m maker) pick(of ...string) string { return of[m.IntN(len(of))] }

func (m maker) some(odds int, of ...string) []string {
	if m.IntN(odds) > 0 {
		return nil
	}
	return []string{m.pick(of...), m.pick(of...)}
}

func (m maker) group(fields map[string][]string) map[string][]string {
	g := map[string][]string{}
	for name, values := range fields {
		odds := 3
		if strings.HasPrefix(name, "not") {
			odds = 7
		}
		if v := m.some(odds, values...); v != nil {
			g[name] = v
		}
	}
	if len(g) == 0 {
		for name, values := range fields {
			g[name] = []string{m.pick(values...)}
			break
		}
	}
	return g
}

func (m maker) rule() (r refRule) {
	principals := []string{"*", "cluster.local/ns/shop/sa/checkout", "other.example/ns/shop/sa/checkout", "*/sa/checkout", "cluster.local/ns/shop/*", "*t"}
	namespaces, accounts := []string{"shop", "ops", "sh*"}, []string{"shop/checkout", "basket"}
	blocks := []string{"10.0.0.0/8", "10.0.0.9", "192.0.2.7/24"}
	source := map[string][]string{
		"principals": principals, "notPrincipals": principals, "namespaces": namespaces, "notNamespaces": namespaces,
		"serviceAccounts": accounts, "notServiceAccounts": accounts, "ipBlocks": blocks, "notIpBlocks": blocks,
	}
	if m.strange {
		source["requestPrincipals"], source["notRequestPrincipals"] = []string{"*", "iss/sub"}, []string{"*", "iss/x"}
		source["remoteIpBlocks"] = blocks
		source["principals"] = append(principals, "*local/ns/shop/sa/checkout", "clus*")
	}
	operation := map[string][]string{
		"ports": {"80", "8080"}, "notPorts": {"80"}, "methods": {"GET", "P*"}, "notMethods": {"PUT"}, "hosts": {"a.example", "*.EXAMPLE"}, "notHosts": {"b.example"},
		"paths": {"/a", "/a/*", "*/b", "/a/{*}", "/{**}", "*"}, "notPaths": {"/a/b", "/a*"},
	}
	for range m.IntN(3) {
		r.from = append(r.from, m.group(source))
	}
	for range m.IntN(3) {
		r.to = append(r.to, m.group(operation))
	}
	for range m.IntN(3) {
		r.when = append(r.when, m.condition(principals, namespaces, blocks))
	}
	return r
}

func (m maker) condition(principals, namespaces, blocks []string) refCondition {
	key := m.pick("request.headers[x-a]", "request.headers[x-a]", "source.ip", "source.namespace", "source.principal", "destination.port", "destination.ip")
	values := map[string][]string{
		"request.headers[x-a]": {"1", "2*", "*"}, "source.ip": blocks, "source.namespace": namespaces, "source.principal": principals,
		"destination.port": {"80", "8080"}, "destination.ip": {"10.0.0.1", "10.0.0.0/24"},
	}[key]
	c := refCondition{key: key, values: m.some(2, values...), notValues: m.some(3, values...)}
	if c.values == nil && c.notValues == nil {
		c.values = values[:1]
	}
	return c
}

func (m maker) policies() (all []refPolicy) {
	for i := range 1 + m.IntN(3) {
		p := refPolicy{name: fmt.Sprintf("p%d", i), action: m.pick("ALLOW", "ALLOW", "DENY")}
		for range m.IntN(3) {
			p.rules = append(p.rules, m.rule())
		}
		all = append(all, p)
	}
	return all
}

func (m maker) call() *facts {
	r := &authz.Request{
		Source: netip.MustParseAddr(m.pick("10.0.0.9", "192.0.2.1", "172.16.0.1")), Port: 80, Destination: netip.MustParseAddr(m.pick("10.0.0.1", "10.9.0.1")),
		HTTP: true, Method: m.pick("GET", "PUT"), Host: m.pick("a.example", "B.Example", "c"), Path: m.pick("/", "/a", "/a/b", "/a/b/c", "/x/b"),
	}
	if m.IntN(2) == 0 {
		r.Port = 8080
	}
	if id := m.pick("", authztest.Account("shop", "checkout"), authztest.Account("shop", "basket"), authztest.Account("ops", "x"), "spiffe://other.example/ns/shop/sa/checkout"); id != "" {
		r.Peer = spiffeid.RequireFromString(id)
	}
	f := &facts{Request: r, headers: map[string]string{}, token: m.IntN(2) == 0, remote: netip.MustParseAddr(m.pick("10.0.0.9", "172.16.0.1"))}
	if m.IntN(2) == 0 {
		f.headers["x-a"] = m.pick("1", "22", "3")
	}
	var h authztest.Header
	for name, value := range f.headers {
		h = append(h, [2]string{name, value})
	}
	if r.Header = h; h == nil {
		r.Header = authztest.Header{}
	}
	return f
}

// yaml writes the policies as documents.
func documents(policies []refPolicy) string {
	var b strings.Builder
	for _, p := range policies {
		var rules []any
		for _, r := range p.rules {
			rule := map[string]any{}
			var from, to, when []any
			for _, g := range r.from {
				from = append(from, map[string]any{"source": g})
			}
			for _, g := range r.to {
				to = append(to, map[string]any{"operation": g})
			}
			for _, c := range r.when {
				condition := map[string]any{"key": c.key}
				if c.values != nil {
					condition["values"] = c.values
				}
				if c.notValues != nil {
					condition["notValues"] = c.notValues
				}
				when = append(when, condition)
			}
			for name, list := range map[string][]any{"from": from, "to": to, "when": when} {
				if list != nil {
					rule[name] = list
				}
			}
			rules = append(rules, rule)
		}
		spec := map[string]any{"action": p.action}
		if rules != nil {
			spec["rules"] = rules
		}
		text, _ := yaml.Marshal(map[string]any{
			"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": map[string]any{"name": p.name, "namespace": "shop"}, "spec": spec,
		})
		b.WriteString("---\n" + string(text))
	}
	return b.String()
}
