package script

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// longestRun is from how many bytes on a run of nothing but ()[]{}!+$_ is a program.
// The shortest that does anything, JSFuck's "[][(![]+[])[+[]]", has 16; expressions of
// people have names and numbers in between.
const longestRun = 24

// encoded looks for programs of punctuation alone.
func encoded(t *lexicon.Text, found *clue.List) {
	s := t.S
	var seen [256]bool
	for i := 0; i < len(s); {
		start, odd := i, 0
		for i < len(s) && strings.IndexByte("()[]{}!+$_~=\"'/\\;:,.- \t\r\n", s[i]) >= 0 {
			seen[s[i]] = true
			if s[i] == '[' || s[i] == '!' || s[i] == '+' {
				odd++
			}
			i++
		}
		if i-start >= longestRun && odd*3 >= i-start && seen['['] && seen[']'] && seen['+'] {
			found.Add(clue.JSEncoded, start, i-start)
			return
		}
		if i == start {
			i++
		}
		seen['['], seen[']'], seen['+'] = false, false, false
	}
}

// prototype looks for the prototype of all objects as a target: __proto__ in a path of
// members, and constructor.prototype.
func prototype(t *lexicon.Text, found *clue.List) {
	lower := t.Lower()
	if i := strings.Index(lower, "__proto__"); i >= 0 && isMember(lower, i, i+len("__proto__")) && !compared(t, i) {
		found.Add(clue.JSPrototype, i, len("__proto__"))
		return
	}
	for _, form := range []string{"constructor.prototype", "constructor[prototype", `constructor"]["prototype`} {
		if i := strings.Index(lower, form); i >= 0 && !t.Document() {
			found.Add(clue.JSPrototype, i, len(form))
			return
		}
	}
}

// compared tells the name where source code guards against it: it is compared with, or in a
// list. As a target it stands behind a bracket or a dot, or is a key.
func compared(t *lexicon.Text, at int) bool {
	if !t.Document() {
		return false
	}
	before := strings.TrimRight(t.S[:at-1], " \t\n")
	return strings.HasSuffix(before, "==") || strings.HasSuffix(before, ",") || strings.HasSuffix(before, "case") || strings.HasSuffix(before, "(")
}

// isMember tells whether a name is written as a member or is all there is.
func isMember(s string, at, end int) bool {
	if at == 0 && end == len(s) {
		return true
	}
	before := at > 0 && strings.IndexByte("[.\"'", s[at-1]) >= 0
	behind := end < len(s) && strings.IndexByte("].[\"'=", s[end]) >= 0
	return before && behind || at == 0 && behind || before && end == len(s)
}
