package authz_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
)

// A reference decides by reading the documents again for every request, with
// regular expressions for patterns (refpattern_test.go). It shares no code with the
// engine.
type reference struct {
	policies []authz.Policy // in the order of their names
	opts     authz.Options
	// connection decides about an HTTP connection and not about a request.
	connection bool
	// spent are the rules whose limit is used up.
	spent map[string]bool
}

type outcome struct {
	allowed bool
	by      string // the policy and rule, or "default" or "none"
}

func (ref reference) decide(r *authz.Request) outcome {
	if by, ok := ref.first(r, authz.Deny); ok {
		return outcome{false, by}
	}
	selected := func(p authz.Policy) bool { return p.Spec.Action == authz.Allow && ref.applies(p) }
	if !slices.ContainsFunc(ref.policies, selected) {
		authenticated := !r.Peer.IsZero()
		ok := ref.opts.Default == authz.AllowAll || ref.opts.Default == authz.AllowAuthenticated && authenticated
		return outcome{ok, "default"}
	}
	by, ok := ref.first(r, authz.Allow)
	return outcome{ok, by}
}

// first names the first rule that matches, preferring those without a limit. One
// whose limit is used up allows nothing; any other limit denies nothing.
func (ref reference) first(r *authz.Request, action authz.Action) (by string, ok bool) {
	for _, limited := range []bool{false, true} {
		for _, p := range ref.policies {
			for i, rule := range p.Spec.Rules {
				by := name(p) + "#" + strconv.Itoa(i)
				counts := !limited || ref.spent[by] == (action == authz.Deny)
				if p.Spec.Action == action && ref.applies(p) && limited == (rule.Limit != nil) && counts && ref.ruleMatches(rule, p, r) {
					return by, true
				}
			}
		}
	}
	return "none", false
}

func name(p authz.Policy) string {
	return strings.TrimPrefix(p.Metadata.Namespace+"/"+p.Metadata.Name, "/")
}

func (ref reference) applies(p authz.Policy) bool {
	ok := p.Spec.Mode != authz.DryRun && slices.Contains([]string{"", ref.opts.Workload.Namespace}, p.Metadata.Namespace)
	if p.Spec.Selector != nil {
		for k, v := range p.Spec.Selector.MatchLabels {
			got, has := ref.opts.Workload.Labels[k]
			ok = ok && has && got == v
		}
	}
	return ok
}

var account = regexp.MustCompile(`^/ns/([^/]+)/sa/([^/]+)$`)

func (ref reference) ruleMatches(rule authz.Rule, p authz.Policy, r *authz.Request) bool {
	deny := p.Spec.Action == authz.Deny
	from, to, when := len(rule.From) == 0, len(rule.To) == 0, true
	for _, g := range rule.From {
		domain, namespace, sa := r.Peer.TrustDomain().Name(), "", ""
		if m := account.FindStringSubmatch(r.Peer.Path()); m != nil && (len(g.TrustDomains) > 0 || domain == ref.opts.Workload.TrustDomain) {
			namespace, sa = m[1], m[1]+"/"+m[2]
		}
		same := func(value, full string) bool { return value == full || p.Metadata.Namespace+"/"+value == full }
		from = from || field(g.Principals, g.NotPrincipals, r.Peer.String(), principal, true, deny) &&
			field(g.TrustDomains, g.NotTrustDomains, domain, glob, true, deny) &&
			field(g.Namespaces, g.NotNamespaces, namespace, glob, true, deny) &&
			field(g.ServiceAccounts, g.NotServiceAccounts, sa, same, true, deny) &&
			field(g.IPBlocks, g.NotIPBlocks, r.Source.Unmap(), block, r.Source.IsValid(), deny)
	}
	known, assumed := r.HTTP && !ref.connection, deny != ref.connection
	for _, g := range rule.To {
		port := func(value int, port uint16) bool { return value == int(port) }
		readable := r.Host == "" || portPart.MatchString(r.Host)
		to = to || field(g.Ports, g.NotPorts, r.Port, port, r.Port != 0, deny) &&
			field(g.Hosts, g.NotHosts, r.Host, host, known && readable, known && deny || !known && assumed) &&
			field(g.Methods, g.NotMethods, r.Method, glob, known, assumed) &&
			field(g.Paths, g.NotPaths, r.Path, path, known, assumed)
	}
	for _, c := range rule.When {
		if c.Connection != "" {
			when = when && connection(c, r, deny)
		} else {
			when = when && (known && header(c, r, deny) || !known && assumed)
		}
	}
	return from && to && when
}

// field is "the values are absent or one matches, and no not-value does"; and
// what is assumed where the fact is not known.
func field[V, F any](values, not []V, fact F, match func(V, F) bool, known, assumed bool) bool {
	is := func(v V) bool { return match(v, fact) }
	if absent := len(values)+len(not) == 0; absent || !known {
		return absent || assumed
	}
	return (len(values) == 0 || slices.ContainsFunc(values, is)) && !slices.ContainsFunc(not, is)
}

// header needs one occurrence for a Deny and each for an Allow.
func header(c authz.Condition, r *authz.Request, deny bool) bool {
	var in, out []bool
	for _, f := range r.Header.(authztest.Header) {
		if strings.EqualFold(f[0], c.Header) {
			is := func(v string) bool { return glob(v, f[1]) }
			in, out = append(in, slices.ContainsFunc(c.Values, is)), append(out, !slices.ContainsFunc(c.NotValues, is))
		}
	}
	enough := func(holds []bool) bool { return slices.Contains(holds, deny) == deny }
	return (len(c.Values) == 0 || len(in) > 0 && enough(in)) && (len(c.NotValues) == 0 || len(out) == 0 || enough(out))
}

func connection(c authz.Condition, r *authz.Request, deny bool) bool {
	switch c.Connection {
	case authz.DestinationIP:
		return field(c.Values, c.NotValues, r.Destination.Unmap(), block, r.Destination.IsValid(), deny)
	case authz.ServerName:
		return field(c.Values, c.NotValues, strings.ToLower(r.ServerName), glob, true, deny)
	case authz.Listener:
		return field(c.Values, c.NotValues, r.Listener, glob, r.Listener != "", deny)
	default:
		return field(c.Values, c.NotValues, r.Transport, glob, r.Transport != "", deny)
	}
}
