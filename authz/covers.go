package authz

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// covers tells that whatever the other rule matches, this one does. It may
// overlook that, and never claims it wrongly.
func (r *rule) covers(other *rule) bool {
	return groupsCover(r.from, other.from) && groupsCover(r.to, other.to) && checksCover(r.when, other.when)
}

// groupsCover tells whether each of the other groups implies one of these.
func groupsCover(groups, others [][]check) bool {
	if len(groups) == 0 {
		return true
	}
	for _, other := range others {
		if !slices.ContainsFunc(groups, func(g []check) bool { return checksCover(g, other) }) {
			return false
		}
	}
	return len(others) > 0
}

// checksCover tells whether what satisfies the other checks satisfies these.
func checksCover(checks, others []check) bool {
	for i := range checks {
		if !slices.ContainsFunc(others, func(o check) bool { return checks[i].impliedBy(&o) }) {
			return false
		}
	}
	return true
}

// impliedBy tells whether whatever satisfies the other check satisfies this one.
func (c *check) impliedBy(o *check) bool {
	if c.field != o.field || c.not != o.not {
		return c.field <= serviceAccounts && !c.dependsOnDomain() && o.namesIDs() &&
			!slices.ContainsFunc(o.values.list, func(p pattern) bool { return !c.takes(p.text, false) })
	}
	if c.header != o.header || c.anyDomain != o.anyDomain {
		return false
	}
	if c.not {
		c, o = o, c
	}
	return c.hasAllOf(o)
}

// hasAllOf tells whether each value of the other check is covered by one of this.
func (c *check) hasAllOf(o *check) bool {
	for _, p := range o.ports {
		if !slices.Contains(c.ports, p) {
			return false
		}
	}
	for _, p := range o.prefixes {
		if !slices.ContainsFunc(c.prefixes, func(wide netip.Prefix) bool { return wide.Bits() <= p.Bits() && wide.Contains(p.Addr()) }) {
			return false
		}
	}
	for i := range o.values.list {
		if !slices.ContainsFunc(c.values.list, func(wide pattern) bool { return wide.covers(c.field, &o.values.list[i]) }) {
			return false
		}
	}
	return true
}

// namesIDs tells whether the check asks for principals by their whole IDs.
func (c *check) namesIDs() bool {
	return c.field == principals && !c.not && c.values.globs == 0
}

// takes tells whether the check about callers holds for one of that ID, which is of
// the workload's own trust domain or not.
func (c *check) takes(id string, own bool) bool {
	peer, _ := spiffeid.FromString(id) // it has been validated
	f := (&Set{}).facts(&Request{Peer: peer}, l7Never)
	f.ownDomain = own
	return c.holds(&f, false)
}

// dependsOnDomain tells whether the check asks for the workload's own trust domain.
func (c *check) dependsOnDomain() bool {
	return !c.anyDomain && (c.field == namespaces || c.field == serviceAccounts)
}

// impossible tells that no request satisfies all of the checks. In a Deny, fields
// of HTTP exclude nothing: without HTTP they hold.
func impossible(checks []check, deny bool) bool {
	for i := range checks {
		c := &checks[i]
		if deny && c.field.l7() {
			continue
		}
		if c.namesIDs() && !slices.ContainsFunc(c.values.list, func(p pattern) bool { return allTake(checks, p.text) }) {
			return true
		}
		for j := range checks {
			if no := &checks[j]; no.not && !c.not && no.field == c.field && no.header == c.header &&
				no.anyDomain == c.anyDomain && no.hasAllOf(c) {
				return true
			}
		}
	}
	return false
}

// dead tells that the rule can never match.
func (r *rule) dead(deny bool) bool {
	for _, groups := range [][][]check{r.from, r.to} {
		alive := len(groups) == 0 || slices.ContainsFunc(groups, func(g []check) bool { return !impossible(g, deny) })
		if !alive {
			return true
		}
	}
	return !deny && impossible(r.when, deny)
}

// allTake tells whether the checks about identity could hold for a caller.
func allTake(checks []check, id string) bool {
	return !slices.ContainsFunc(checks, func(c check) bool {
		return c.field <= serviceAccounts && !c.takes(id, true) && !(c.dependsOnDomain() && c.takes(id, false))
	})
}

// covers tells whether a value matches whatever another one of the same field
// matches.
func (p *pattern) covers(f field, narrow *pattern) bool {
	if p.port != "" && p.port != narrow.port {
		return false
	}
	switch {
	case p.form == present && p.path == nil:
		return true
	case p.path != nil:
		return p.path.covers(narrow)
	case narrow.path != nil:
		return p.form == prefix && strings.HasPrefix(narrow.path.literal(), p.text)
	case narrow.form == exact:
		tail := narrow.text
		if f == principals {
			tail = tail[len(scheme):]
			tail = tail[strings.IndexByte(tail, '/'):]
		}
		return p.match(narrow.text, tail)
	}
	return p.form == narrow.form && (p.form == prefix && strings.HasPrefix(narrow.text, p.text) ||
		p.form == suffix && strings.HasSuffix(narrow.text, p.text))
}

// covers compares with a whole path or with another template.
func (t *template) covers(narrow *pattern) bool {
	switch n := narrow.path; {
	case n == nil && narrow.form == prefix:
		return t.rest && !slices.Contains(t.segments, oneSegment) && strings.HasPrefix(narrow.text, t.literal())
	case n == nil:
		// A decoded % could be taken for an escape.
		return narrow.form == exact && !strings.Contains(narrow.text, "%") && t.match(narrow.text)
	case t.rest && len(n.segments) > len(t.segments), t.rest == n.rest && len(n.segments) == len(t.segments):
		return t.leads(n)
	}
	return false
}

// leads tells whether the segments take what those of another template take there.
func (t *template) leads(n *template) bool {
	for i, want := range t.segments {
		if got := n.segments[i]; want != got && (want != oneSegment || got == "") {
			return false
		}
	}
	return true
}
