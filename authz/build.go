package authz

import (
	"fmt"
	"slices"
	"strings"
)

// A builder turns one group, or the conditions of one rule, into checks.
type builder struct {
	*reporter
	at     string
	checks []check
	// ownDomain is set once a check needs to know the workload's trust domain.
	ownDomain bool
}

// add appends the check for one field, unless the document leaves it out. parse
// stores what it reads in the check.
func add[T any](b *builder, c check, list []T, parse func(c *check, value T) *flaw) {
	name := b.at + "." + fieldNames[c.field][rank(c.not)]
	notEmpty(b.reporter, name, list)
	if len(list) == 0 {
		return
	}
	for i, value := range list {
		written := fmt.Sprint(value)
		c.want = append(c.want, written)
		if bad := parse(&c, value); bad != nil {
			b.report(at(name, i), written, bad)
		}
	}
	c.values = newValues(c.values.list)
	b.checks = append(b.checks, c)
}

// both adds a field and its not-form.
func both[T any](b *builder, c check, values, notValues []T, parse func(c *check, value T) *flaw) {
	add(b, c, values, parse)
	c.not = true
	add(b, c, notValues, parse)
}

// patterns stores what parse makes of each value.
func patterns(parse func(string) (pattern, *flaw)) func(*check, string) *flaw {
	return func(c *check, value string) *flaw {
		p, bad := parse(value)
		c.values.list = append(c.values.list, p)
		return bad
	}
}

func (b *builder) from(g From, namespace string) {
	// With trustDomains in the group, namespaces are those of whichever matched.
	anyDomain := len(g.TrustDomains) > 0
	both(b, check{field: principals}, g.Principals, g.NotPrincipals, patterns(parsePrincipal))
	both(b, check{field: trustDomains}, g.TrustDomains, g.NotTrustDomains, patterns(parseTrustDomain))
	before := len(b.checks)
	both(b, check{field: namespaces, anyDomain: anyDomain}, g.Namespaces, g.NotNamespaces, patterns(parseNamespace))
	both(b, check{field: serviceAccounts, anyDomain: anyDomain}, g.ServiceAccounts, g.NotServiceAccounts,
		patterns(accountParser(namespace)))
	b.ownDomain = b.ownDomain || !anyDomain && len(b.checks) > before
	both(b, check{field: ipBlocks}, g.IPBlocks, g.NotIPBlocks, blocks)
}

func (b *builder) to(g To) {
	both(b, check{field: ports}, g.Ports, g.NotPorts, func(c *check, value int) *flaw {
		p, bad := parsePort(value)
		c.ports = append(c.ports, p)
		return bad
	})
	both(b, check{field: hosts}, g.Hosts, g.NotHosts, patterns(parseHost))
	both(b, check{field: methods}, g.Methods, g.NotMethods, patterns(parseMethod))
	both(b, check{field: paths}, g.Paths, g.NotPaths, patterns(parsePath))
}

func (b *builder) condition(i int, c Condition) {
	if c.Header != "" && c.Connection != "" {
		b.report(b.at, "", wrong("has a header and a connection", "make two conditions of it"))
		return
	}
	if c.Connection != "" {
		b.connection(i, c)
		return
	}
	name := strings.ToLower(c.Header)
	switch {
	case !token(name):
		b.report(b.at+".header", c.Header, wrong("is not a header's name", "write a name such as x-tenant"))
	case name == "host":
		b.report(b.at+".header", c.Header, wrong("is not for conditions", "use hosts in to"))
	}
	both(b, check{field: headers, header: name, condition: i}, c.Values, c.NotValues, patterns(parsePattern))
}

// connection reads a condition about the connection.
func (b *builder) connection(i int, c Condition) {
	known := check{header: string(c.Connection), condition: i}
	parse := parsePattern
	switch c.Connection {
	case ServerName:
		known.field, parse = serverNames, parseServerName
	case Listener:
		known.field = listeners
	case Transport:
		known.field, parse = transports, parseTransport
	case DestinationIP:
		known.field = destinations
		both(b, known, c.Values, c.NotValues, blocks)
		return
	default:
		b.report(b.at+".connection", string(c.Connection),
			wrong("is not a fact of a connection", "write serverName, destinationIP, listener or transport"))
		return
	}
	both(b, known, c.Values, c.NotValues, patterns(parse))
}

// blocks stores an address or a prefix.
func blocks(c *check, value string) *flaw {
	p, bad := parseBlock(value)
	c.prefixes = append(c.prefixes, p)
	return bad
}

// group runs fill for one element and refuses one that says nothing, for an
// empty group matches everything and is rarely meant.
func (b *builder) group(at string, fill func()) []check {
	problems := len(b.problems)
	b.at, b.checks = at, nil
	fill()
	if len(b.checks) == 0 && len(b.problems) == problems {
		b.report(at, "", wrong("is empty, which matches everything", "remove it, or name a field"))
	}
	return b.checks
}

func (b *builder) rule(where string, p *Policy, index int) rule {
	doc := p.Spec.Rules[index]
	r := rule{policy: p.Metadata.id(), index: index, limit: doc.Limit}
	notEmpty(b.reporter, where+".from", doc.From)
	for i, g := range doc.From {
		r.from = append(r.from, b.group(at(where+".from", i), func() { b.from(g, p.Metadata.Namespace) }))
	}
	notEmpty(b.reporter, where+".to", doc.To)
	for i, g := range doc.To {
		r.to = append(r.to, b.group(at(where+".to", i), func() { b.to(g) }))
	}
	notEmpty(b.reporter, where+".when", doc.When)
	for i, c := range doc.When {
		r.when = append(r.when, b.group(at(where+".when", i), func() { b.condition(i, c) })...)
	}
	if doc.Limit != nil {
		doc.Limit.check(b.reporter, where+".limit")
	}
	if p.Spec.Action == Allow && len(doc.From)+len(doc.To)+len(doc.When) == 0 {
		b.report(where, "", suspicious(AllowsEveryone, "allows everything to everyone, unauthenticated callers too", "name callers in from"))
	}
	return r
}

// built is one policy, compiled.
type built struct {
	policy *Policy
	rules  []rule
	// ownDomain tells that a rule depends on the workload's trust domain.
	ownDomain bool
}

// build compiles all policies and reports all that is wrong with each.
func build(policies []Policy) (all []built, reporters []*reporter) {
	seen := make(map[string]int, len(policies))
	for i := range policies {
		p := &policies[i]
		r := &reporter{index: i, document: p.Metadata.id()}
		if p.Metadata.Name == "" {
			r.document = fmt.Sprintf("#%d", i+1)
		}
		r.header(p)
		if first, twice := seen[p.Metadata.id()]; twice && p.Metadata.Name != "" {
			r.report("metadata.name", p.Metadata.Name, wrong(fmt.Sprintf("is also the name of policy #%d", first+1), "rename one"))
		} else {
			seen[p.Metadata.id()] = i
		}
		b := &builder{reporter: r}
		rules := make([]rule, len(p.Spec.Rules))
		for j := range rules {
			rules[j] = b.rule(at("spec.rules", j), p, j)
		}
		all = append(all, built{policy: p, rules: rules, ownDomain: b.ownDomain})
		reporters = append(reporters, r)
	}
	return all, reporters
}

// header checks all but the rules.
func (r *reporter) header(p *Policy) {
	if name := p.Metadata.Name; !validName(name, 253, ".") {
		r.report("metadata.name", name, wrong("is not a name", "use lower-case letters, digits, dashes and dots"))
	}
	if ns := p.Metadata.Namespace; ns != "" && !validName(ns, 63, "") {
		r.report("metadata.namespace", ns, wrong("is not a namespace", "use lower-case letters, digits and dashes"))
	}
	if !slices.Contains([]Action{Allow, Deny}, p.Spec.Action) {
		r.report("spec.action", string(p.Spec.Action), wrong("is not an action", "write Allow or Deny"))
	}
	if !slices.Contains([]Mode{"", Enforce, DryRun}, p.Spec.Mode) {
		r.report("spec.mode", string(p.Spec.Mode), wrong("is not a mode", "write Enforce or DryRun"))
	}
	if p.Spec.Action == Deny && len(p.Spec.Rules) == 0 {
		r.report("spec.rules", "", suspicious(DenyWithoutRules, "is empty, so the policy never matches", "add a rule; {} denies everything"))
	}
}

// validName is a DNS label, or a DNS subdomain where dots are among extra: what
// Kubernetes accepts for a name.
func validName(s string, longest int, extra string) bool {
	return s != "" && len(s) <= longest && made(s, lowerDigits+"-"+extra) &&
		made(s[:1], lowerDigits) && made(s[len(s)-1:], lowerDigits)
}

// Validate returns everything that is wrong with the policies, in their order;
// nil when nothing is. Policies whose problems are all warnings may be compiled.
func Validate(policies []Policy) (problems []Problem) {
	all, reporters := build(policies)
	if len(fatal(reporters)) == 0 {
		l := linter{all, reporters}
		l.lintRules()
		l.lintPairs()
	}
	for _, r := range reporters {
		problems = append(problems, r.problems...)
	}
	return problems
}

// fatal are the problems that keep policies from being used, as errors.
func fatal(reporters []*reporter) (errs []error) {
	for _, r := range reporters {
		for _, p := range r.problems {
			if !p.Warning {
				errs = append(errs, p)
			}
		}
	}
	return errs
}
