package template

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// mostFolds bounds how many lookups of a value are resolved.
const mostFolds = 64

// lookups looks for ${jndi:…}, also where its name is put together by lookups.
func lookups(t *lexicon.Text, found *clue.List) {
	lower := t.Lower()
	if i := strings.Index(lower, "${jndi:"); i >= 0 {
		found.Add(clue.LogLookup, i, len("${jndi:"))
		return
	}
	i := strings.Index(lower, "${")
	if i < 0 || !nested(lower) {
		return
	}
	folded, folds := fold(lower[i:min(len(lower), i+longestExpression)])
	switch {
	case strings.Contains(folded, "${jndi") || strings.Contains(folded, "jndi:ldap") || strings.Contains(folded, "jndi:rmi"):
		found.Add(clue.LogLookup, i, 2)
	case folds >= 3 && strings.Contains(folded, "${") && (!t.Document() || strings.Contains(lower, "}${")):
		// In scripts of a shell variables have defaults, and those are of variables.
		found.Add(clue.NestedLookup, i, 2)
	case folds >= 1 && leaks(lower):
		found.Add(clue.NestedLookup, i, 2)
	}
}

// nested tells whether lookups are written into each other.
func nested(s string) bool { return strings.Count(s, "${") >= 2 }

// leaks tells whether a lookup asks for what is none of the caller's business.
func leaks(s string) bool {
	at, _ := lexicon.IndexAny(s, "ldap://", "ldaps://", "rmi://", "dns://", "iiop://", "${env:aws", "${sys:java")
	return at >= 0
}

// fold resolves lookups from the inside out, as far as they yield what they are given:
// ${lower:j}, ${upper:j}, ${::-j}, ${env:NAME:-j}, ${date:'j'}. It says how many.
func fold(s string) (string, int) {
	for n := range mostFolds {
		start, end := innermost(s)
		if start < 0 {
			return s, n
		}
		value, ok := resolve(s[start+2 : end])
		if !ok {
			return s, n
		}
		s = s[:start] + value + s[end+1:]
	}
	return s, mostFolds
}

// innermost is the first lookup that is closed and has none inside which can be
// resolved.
func innermost(s string) (start, end int) {
	start = -1
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '$' && i+1 < len(s) && s[i+1] == '{':
			start = i
			i++
		case s[i] == '}' && start >= 0:
			if _, ok := resolve(s[start+2 : i]); ok {
				return start, i
			}
			start = -1
		}
	}
	return -1, -1
}

func resolve(inside string) (string, bool) {
	if _, value, ok := strings.Cut(inside, ":-"); ok {
		return value, true
	}
	for _, name := range []string{"lower:", "upper:", "date:"} {
		if rest, ok := strings.CutPrefix(inside, name); ok {
			return strings.Trim(rest, "'"), true
		}
	}
	return "", false
}
