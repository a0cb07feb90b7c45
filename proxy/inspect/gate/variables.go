package gate

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// variables is what is known of the collection TX while rules are sorted: names
// whose value is the same in every request, and names that may change.
type variables struct {
	fixed map[string]string
	// names that some rule may set, and what such names begin with.
	dynamic  map[string]bool
	prefixes []string
}

// changes tells whether a name's value depends on the request.
func (v *variables) changes(name string) bool {
	if v.dynamic[name] || isCapture(name) {
		return true
	}
	for _, p := range v.prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// isCapture tells the names that expressions set.
func isCapture(name string) bool { return len(name) == 1 && '0' <= name[0] && name[0] <= '9' }

// mayPick tells whether a pattern can pick a name that changes.
func (v *variables) mayPick(pattern *regexp.Regexp) bool {
	for name := range v.dynamic {
		if pattern.MatchString(name) {
			return true
		}
	}
	return slices.ContainsFunc(v.prefixes, func(p string) bool { return mayMeet(pattern, p) })
}

// mayMeet tells whether a pattern on names can pick one that begins with a prefix.
// It says no only of two different literal beginnings.
func mayMeet(pattern *regexp.Regexp, prefix string) bool {
	re, err := syntax.Parse(pattern.String(), syntax.Perl)
	if err != nil || re.Op != syntax.OpConcat || len(re.Sub) < 2 || re.Sub[0].Op != syntax.OpBeginText || re.Sub[1].Op != syntax.OpLiteral {
		return true
	}
	literal := string(re.Sub[1].Rune)
	n := min(len(literal), len(prefix))
	return re.Sub[1].Flags&syntax.FoldCase != 0 || literal[:n] == prefix[:n]
}

// An environment is what one evaluation has set in TX. What is not in it is as it
// was when the rules were sorted.
type environment struct {
	fixed map[string]string
	set   []assignment
}

type assignment struct {
	name string
	value
}

// A value of TX; unknown when it cannot be told.
type value struct {
	text    string
	unknown bool
}

func (e *environment) get(name string) (v value, exists bool) {
	for i := range e.set {
		if e.set[i].name == name { // put keeps one of each name
			return e.set[i].value, true
		}
	}
	s, ok := e.fixed[name]
	return value{text: s}, ok
}

func (e *environment) put(name string, v value) {
	for i := range e.set {
		if e.set[i].name == name {
			e.set[i].value = v
			return
		}
	}
	e.set = append(e.set, assignment{name, v})
}

// captured is the name of a capture without allocating.
func captured(n int) string { return "0123456789"[n : n+1] }
