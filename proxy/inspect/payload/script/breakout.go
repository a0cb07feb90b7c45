package script

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// handlers looks for an event handler behind a quote or a slash that ends another
// attribute, and for one that the value begins with.
func handlers(t *lexicon.Text, found *clue.List) {
	s, lower := t.S, t.Lower()
	for i := 0; i+4 < len(s); i++ {
		if lower[i] != 'o' || lower[i+1] != 'n' || i > 0 && lexicon.IsWord(s[i-1]) {
			continue
		}
		end := lexicon.WordEnd(s, i)
		at := lexicon.SkipSpace(s, end)
		if at < len(s) && s[at] == '=' && lexicon.Groups(s[i:end]).Any(lexicon.Handler) && endsAttribute(s, i) &&
			handles(s[at+1:]) {
			found.Add(clue.HTMLBreakout, i, at+1-i)
			return
		}
		i = max(i, end-1)
	}
}

// endsAttribute tells whether a quote, or the beginning of the value, stands in front,
// perhaps with other attributes in between.
func endsAttribute(s string, i int) bool {
	before := lexicon.BackSpace(s, i)
	if before == 0 {
		return true
	}
	switch s[before-1] {
	case '"', '\'', '`', '/':
		return true
	}
	return strings.ContainsAny(s[max(0, i-64):i], "\"'")
}

// handles tells whether what is behind = is a script: a call or an assignment. "==" is
// a comparison of source code.
func handles(rest string) bool {
	rest = lexicon.Window(rest, 0, 128)
	if rest == "" || rest[0] == '=' {
		return false
	}
	return strings.ContainsAny(rest, "(`=") && !strings.HasPrefix(strings.TrimLeft(rest, " "), "function")
}

// schemes looks for a URL that is a script where a whole value is one, or a part of it
// that a quote, a space or = begins.
func schemes(t *lexicon.Text, found *clue.List) {
	s := t.S
	for i := range len(s) {
		if s[i] != ':' {
			continue
		}
		start := schemeStart(s, i)
		if start < i && (start == 0 || strings.IndexByte("\"'=(`,;> \t\n/", s[start-1]) >= 0) && scriptURL(s[start:]) &&
			runs(s[i+1:], start == 0) {
			found.Add(clue.ScriptURL, start, i+1-start)
			return
		}
	}
}

// schemeStart goes back over a scheme, and over white space and control characters
// within it.
func schemeStart(s string, i int) int {
	start := i
	for n := i; n > 0 && n > i-24; n-- {
		c := s[n-1]
		if lexicon.IsLetter(c) {
			start = n - 1
			continue
		}
		if c > ' ' || c == ' ' {
			break
		}
	}
	return start
}

// runs tells whether a script follows. Those who write about such URLs don't call
// anything.
func runs(rest string, whole bool) bool {
	rest = lexicon.Window(rest, 0, 256)
	if whole {
		return strings.ContainsAny(rest, "(`=<,[")
	}
	return strings.ContainsAny(rest, "(`<,[")
}
