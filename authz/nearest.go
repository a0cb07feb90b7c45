package authz

import (
	"fmt"
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
// It looks at every Allow rule and allocates, so ask for it only where the
// answer is written somewhere.
func (s *Set) Nearest(r *Request) (Nearest, bool) {
	if s == nil || len(s.allow.rules) == 0 {
		return Nearest{}, false
	}
	known := r.decided()
	if r.HTTP && known == l7Never {
		known = l7Later
	}
	f := s.facts(r, known)
	best := s.allow.rules[0].misses(&f)
	for i := range s.allow.rules[1:] {
		if m := s.allow.rules[i+1].misses(&f); m.closerThan(best) {
			best = m
		}
	}
	if best.count == 0 {
		return Nearest{}, false
	}
	return best.nearest(&f), true
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
		n, failed := 0, (*check)(nil)
		for j := range group {
			if group[j].holds(f, false) {
				continue
			}
			if n++; failed == nil {
				failed = &group[j]
			}
		}
		if i == 0 || n < count {
			count, first = n, failed
		}
	}
	return count, first
}

func (m misses) nearest(f *facts) Nearest {
	c := m.first
	names := fieldNames[c.field]
	n := Nearest{Policy: m.rule.policy, Rule: m.rule.index, Field: names[rank(c.not)]}
	relation := " not in "
	if c.not {
		relation = " in " + names[1] + " "
	}
	if c.field == headers {
		n.Field = c.header
	}
	n.Problem = c.got(f) + relation + list(c.want)
	return n
}

// got describes what the check found. Headers may hold secrets and stay unsaid.
func (c *check) got(f *facts) string {
	name := fieldNames[c.field][2]
	if c.field.l7() && f.l7 != l7Known {
		return "connection is not HTTP: " + name
	}
	var value string
	switch c.field {
	case principals:
		value = f.id
	case trustDomains:
		value = f.domain
	case namespaces:
		value = f.namespace
	case serviceAccounts:
		value = f.id
	case ipBlocks:
		if f.source.IsValid() {
			value = f.source.String()
		}
	case ports:
		return name + " " + strconv.Itoa(int(f.req.Port))
	case hosts:
		value = f.req.Host
	case methods:
		value = f.req.Method
	case paths:
		value = f.req.Path
	case headers:
		return name + " " + c.header
	}
	if value == "" {
		return "no " + name + ","
	}
	return fmt.Sprintf("%s %.*q", name, longestValue, value)
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
