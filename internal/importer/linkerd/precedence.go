package linkerd

import (
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
)

// maxGroups bounds what one match becomes when others are taken out of it; each
// multiplies it by up to three.
const maxGroups = 64

// order is which of two matches a request belongs to that both match.
type order int

const (
	unknown order = iota
	first
	second
)

// without is a match, without the matches of other routes that a request belongs
// to in its place and whose callers are not those of the policy.
func (s *server) without(p *policy, m *match, others []*route) []authz.To {
	groups := []authz.To{m.to(s.port)}
	for _, r := range others {
		if r.attached(p) {
			continue
		}
		for i := range r.matches {
			other := &r.matches[i]
			which := wins(m, other)
			if which == first || !meet(m, other) {
				continue
			}
			if which == unknown || len(other.headers) > 0 {
				r.Untranslated(other.at, "whether a request is of this route or of one that also matches depends on headers, or on the age of both; it is taken out of the other, so less is allowed",
					"make the routes differ in path, method or host")
			}
			groups = takeOut(groups, m, other)
		}
	}
	if len(groups) > maxGroups {
		s.Untranslated("", "too many routes overlap; one of them is left out, so less is allowed", "write fewer")
		return nil
	}
	return groups
}

// takeOut leaves of the groups what is not of the other match: another path,
// another method, or another host. A part in which both are alike can't differ.
func takeOut(groups []authz.To, m, other *match) (left []authz.To) {
	if len(groups) > maxGroups {
		return groups // it is too many already
	}
	for _, g := range groups {
		if !covers(other, m) {
			more := g
			more.NotPaths = appended(g.NotPaths, other.patterns()...)
			left = append(left, more)
		}
		if other.method != "" && other.method != m.method {
			more := g
			more.NotMethods = appended(g.NotMethods, other.method)
			left = append(left, more)
		}
		if len(other.hosts) > 0 && !slices.Equal(other.hosts, m.hosts) {
			more := g
			more.NotHosts = appended(g.NotHosts, other.hosts...)
			left = append(left, more)
		}
	}
	return pruned(left)
}

// pruned leaves out groups that another one is wider than.
func pruned(groups []authz.To) (left []authz.To) {
	for i, g := range groups {
		covered := func(other authz.To) bool { return wider(&other, &g) }
		later := func(other authz.To) bool { return wider(&other, &g) && !wider(&g, &other) } // of two alike the first stays
		if !slices.ContainsFunc(groups[:i], covered) && !slices.ContainsFunc(groups[i+1:], later) {
			left = append(left, g)
		}
	}
	return left
}

// wider tells whether a excludes nothing that b does not; what they include is the
// same.
func wider(a, b *authz.To) bool {
	return subset(a.NotPaths, b.NotPaths) && subset(a.NotMethods, b.NotMethods) && subset(a.NotHosts, b.NotHosts)
}

// subset tells whether b has all of a.
func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(v string) bool { return !slices.Contains(b, v) })
}

func appended(list []string, values ...string) []string {
	all := slices.Clone(list)
	for _, v := range values {
		if !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

// covers tells whether every path of b is one of a.
func covers(a, b *match) bool {
	if a.exact {
		return b.exact && a.path == b.path
	}
	return below(a.path, b.path)
}

// below tells whether a path is a prefix, or below it.
func below(prefix, path string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// meet tells whether some request may match both.
func meet(a, b *match) bool {
	if a.method != "" && b.method != "" && a.method != b.method {
		return false
	}
	for _, x := range a.headers {
		for _, y := range b.headers {
			if x.Header == y.Header && x.Values[0] != y.Values[0] {
				return false
			}
		}
	}
	return (covers(a, b) || covers(b, a)) && hostsMeet(a.hosts, b.hosts)
}

func hostsMeet(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	for _, x := range a {
		for _, y := range b {
			if x == y || hostBelow(x, y) || hostBelow(y, x) {
				return true
			}
		}
	}
	return false
}

// hostBelow tells whether a wildcard has a host, or a narrower wildcard.
func hostBelow(wildcard, host string) bool {
	suffix, ok := strings.CutPrefix(wildcard, "*")
	return ok && strings.HasSuffix(host, suffix)
}

// wins tells which of two matches that meet is the more specific: by host, then
// path, then method (Gateway API, HTTPRouteRule). Implementations differ in where
// headers come in, and then the older route wins.
func wins(a, b *match) order {
	byHost, alike := hostOrder(a.hosts, b.hosts)
	switch {
	case byHost != unknown:
		return byHost
	case !alike:
		return unknown
	case a.exact != b.exact:
		return either(a.exact)
	case len(a.path) != len(b.path):
		return either(len(a.path) > len(b.path))
	case len(a.headers)+len(b.headers) > 0 || (a.method == "") == (b.method == ""):
		return unknown
	}
	return either(a.method != "")
}

func either(isFirst bool) order {
	if isFirst {
		return first
	}
	return second
}

// hostOrder compares hosts: a name is more specific than a wildcard, and that is
// than none. alike tells that hosts decide nothing.
func hostOrder(a, b []string) (o order, alike bool) {
	x, y := rank(a), rank(b)
	switch {
	case slices.Equal(a, b), x == y && x == exactHosts:
		return unknown, true
	case x == mixedHosts || y == mixedHosts || x == y:
		return unknown, false
	}
	return either(x > y), false
}

const (
	mixedHosts = iota - 1
	noHosts
	wildcardHosts
	exactHosts
)

func rank(hosts []string) int {
	wildcards := 0
	for _, h := range hosts {
		if strings.HasPrefix(h, "*") {
			wildcards++
		}
	}
	switch wildcards {
	case 0:
		if len(hosts) == 0 {
			return noHosts
		}
		return exactHosts
	case len(hosts):
		return wildcardHosts
	}
	return mixedHosts
}
