package authz

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Nearest is the Allow rule that came closest to letting a caller in, and the
// first of its fields that did not match.
type Nearest struct {
	// Policy and Rule name the rule as a Decision does.
	Policy string
	Rule   int
	// Field is the field that failed, as documents spell it, such as
	// "notMethods"; for a condition it is the header's name.
	Field string
	// Problem says what was found and what was wanted, such as
	// `method "DELETE" not in [GET POST]`. The values of headers are left out.
	Problem string
}

// String is the whole in one line for our own log, such as
// `shop/payments-callers rule 0: method "DELETE" not in [GET POST]`. It must not
// be sent to the caller.
func (n Nearest) String() string {
	return n.Policy + " rule " + strconv.Itoa(n.Rule) + ": " + n.Problem
}

// Nearest looks for the Allow rule that came closest to matching a request that
// was denied: the one with the fewest fields that failed; among equals the one
// that failed last in the order from, to, when; then the first. It is false when
// no Allow rule selects the workload, and when one matches, for then a Deny was
// to blame. A request without a method stands for its connection.
//
// It allocates, so ask for it only where the answer is written somewhere. Of many
// rules it looks at 256, first at those that the index leads to, for callers who
// are refused must not cost more than others; [Set.Explain] looks at all.
func (s *Set) Nearest(r *Request) (Nearest, bool) {
	if s == nil || len(s.allow.rules) == 0 {
		return Nearest{}, false
	}
	known := r.decided()
	if r.HTTP && known == l7Never {
		known = l7Later
	}
	f := s.facts(r, known)
	best := s.allow.closest(&f, s.allow.near(&f))
	if best.count == 0 {
		return Nearest{}, false
	}
	return best.nearest(&f), true
}

// closest finds the rule that misses least among those at the positions; none
// if there is no rule.
func (t *table) closest(f *facts, positions []int32) (best misses) {
	for _, n := range positions {
		if m := t.rules[n].misses(f); best.rule == nil || m.closerThan(best) {
			best = m
		}
	}
	return best
}

// mostNear is how many rules a refusal looks at to explain itself: about 10 µs.
const mostNear = 256

// near are the positions of the rules to look at, ascending.
func (t *table) near(f *facts) []int32 {
	all := t.root.rules
	if len(all) <= mostNear {
		return all
	}
	var found []int32
	if by := t.root.split; by != nil {
		s := search{rules: t.rules, facts: f, best: int32(len(all)), gather: &found} //nolint:gosec // see table.find
		if s.known(by.dim) {
			s.descend(by)
		}
		s.visit(by.rest)
	}
	found = append(found[:min(len(found), mostNear)], all[:mostNear]...)[:mostNear]
	slices.Sort(found)
	return slices.Compact(found)
}

// misses are what kept a rule from matching.
type misses struct {
	rule *rule
	// count is how many fields failed, part and first where the first was.
	count, part int
	first       *check
}

func (m misses) closerThan(other misses) bool {
	if m.count != other.count {
		return m.count < other.count
	}
	return m.part > other.part
}

func (r *rule) misses(f *facts) misses {
	m := misses{rule: r}
	for part, groups := range [][][]check{r.from, r.to, {r.when}} {
		count, first := nearestGroup(groups, f)
		if m.first == nil && first != nil {
			m.part, m.first = part, first
		}
		m.count += count
	}
	return m
}

// nearestGroup returns how many checks failed in the alternative with the
// fewest, and the first of them.
func nearestGroup(groups [][]check, f *facts) (count int, first *check) {
	for i, group := range groups {
		if n, failed := missedIn(group, f); i == 0 || n < count {
			count, first = n, failed
		}
	}
	return count, first
}

// missedIn returns how many checks of a group failed, and the first of them.
func missedIn(group []check, f *facts) (count int, first *check) {
	for i := range group {
		if group[i].holds(f, false) {
			continue
		}
		if count++; first == nil {
			first = &group[i]
		}
	}
	return count, first
}

func (m misses) nearest(f *facts) Nearest {
	return Nearest{Policy: m.rule.policy, Rule: m.rule.index, Field: m.first.name(), Problem: m.first.line(f)}
}

// name is how documents spell the field; for a condition it is the header's.
func (c *check) name() string {
	if c.header != "" {
		return c.header
	}
	return fieldNames[c.field][rank(c.not)]
}

// line says what was found and what was wanted.
func (c *check) line(f *facts) string {
	relation := " not in "
	if c.holds(f, false) != c.not {
		relation = " in "
	}
	if c.not {
		relation += fieldNames[c.field][1] + " "
	}
	return c.got(f) + relation + list(c.want)
}

// got describes what the check found. Headers may hold secrets and stay unsaid.
func (c *check) got(f *facts) string {
	name := fieldNames[c.field][2]
	switch value, known := c.value(f); {
	case c.field.l7() && f.l7 != l7Known:
		return "connection is not HTTP: " + name
	case c.field == headers:
		return name + " " + c.header
	case !known:
		return "no " + name + ","
	case c.field == ports:
		return name + " " + value
	default:
		return fmt.Sprintf("%s %.*q", name, longestValue, value)
	}
}

// value is what the request has for the field, and whether it has any. That of
// a header stays unsaid.
func (c *check) value(f *facts) (value string, known bool) {
	if c.field.l7() && f.l7 != l7Known {
		return "", false
	}
	switch c.field {
	case principals, serviceAccounts:
		value = f.id
	case destinations:
		if f.destination.IsValid() {
			value = f.destination.String()
		}
	case ipBlocks:
		if f.source.IsValid() {
			value = f.source.String()
		}
	case ports:
		value = strconv.Itoa(int(f.req.Port))
	case hosts:
		value = f.req.Host
	case paths:
		value = f.req.Path
	case headers:
		return "", f.req.Header != nil
	default:
		value = c.text(f)
	}
	return value, value != ""
}

// What is shown of foreign values and of long lists.
const (
	longestValue = 256 // characters
	longestList  = 10  // values
)

func list(values []string) string {
	if n := len(values) - longestList; n > 0 {
		return "[" + strings.Join(values[:longestList], " ") + " and " + strconv.Itoa(n) + " more]"
	}
	return "[" + strings.Join(values, " ") + "]"
}
