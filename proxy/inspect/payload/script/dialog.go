package script

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// longestSnippet is up to how many bytes a value is taken for a script that was entered
// into a field.
const longestSnippet = 160

// dialog tells the functions that show something to a person: what most people prove
// with that a script runs.
func (m member) dialog() bool { return m.is("alert") || m.is("prompt") || m.is("confirm") }

// snippet tells whether the value is a short script and nothing else: in a text three
// words follow each other.
func (m member) snippet() bool {
	return len(m.text.S) <= longestSnippet && !m.text.Document() && !prose(m.text.S)
}

// prose tells whether three words of letters follow each other, with a blank between them.
func prose(s string) bool {
	words := 0
	for i := 0; i < len(s); {
		end := i
		for end < len(s) && lexicon.IsLetter(s[end]) {
			end++
		}
		switch {
		case end == i:
			words = 0
			i++
			continue
		case end-i > 1: // a letter is the name of a variable
			words++
		}
		if words == 3 {
			return true
		}
		if end >= len(s) || s[end] != ' ' {
			words = 0
		}
		i = end + 1
	}
	return false
}

// passed is for a dialog that something else calls: alert.call(null,1), [1].map(alert),
// [alert].forEach(f=>f(1)).
func (m member) passed(next byte, at int, found *clue.List) {
	if !m.snippet() {
		return
	}
	switch next {
	case '.':
		if end := lexicon.WordEnd(m.text.S, at+1); end < len(m.text.S) && m.text.S[end] == '(' && applies(m.text.S[at+1:end]) {
			found.Add(clue.JSCall, m.at, end-m.at)
		}
	case ')', ',':
		if m.callback() {
			found.Add(clue.JSCall, m.at, m.end-m.at)
		}
	case '}':
		if m.before() == ':' && strings.ContainsAny(m.text.S, "(`") {
			found.Add(clue.JSCall, m.at, m.end-m.at)
		}
	case ']':
		if m.before() == '[' && strings.ContainsAny(m.text.S[at+1:], "(`") {
			found.Add(clue.JSCall, m.at, m.end-m.at)
		}
	}
}

// applies tells the methods that call a function.
func applies(name string) bool { return name == "call" || name == "apply" || name == "bind" }

// callback tells whether the word is an argument of a function that calls its arguments.
func (m member) callback() bool {
	s := m.text.S
	open := strings.LastIndexByte(s[:m.at], '(')
	if open < 0 {
		return false
	}
	switch s[lexicon.WordStart(s, open):open] {
	case "forEach", "map", "some", "find", "findIndex", "filter", "every", "sort", "reduce", "reduceRight", "flatMap", "from",
		"then", "catch", "finally", "setTimeout", "setInterval", "setImmediate", "addEventListener", "queueMicrotask",
		"requestAnimationFrame", "requestIdleCallback", "replace", "replaceAll", "call", "apply":
		return true
	}
	return false
}

// computes tells whether a dialog shows what is computed: alert(e.data), alert(f("1")). A
// snippet of an arrow function is one, and one whose first word is the dialog.
func (m member) computes(arg string) bool {
	end := lexicon.WordEnd(arg, 0)
	if end == 0 || !m.dialog() || !m.snippet() {
		return false
	}
	if strings.Contains(m.text.S, "=>") {
		return true
	}
	return m.at == 0 && end < len(arg) && (arg[end] == '(' || arg[end] == '.')
}

// written is for a script that writes the page: document.body.innerHTML = e.data.
func (m member) written(at int, found *clue.List) {
	if m.before() == '.' && !strings.HasPrefix(m.text.S[at:], "==") && m.snippet() {
		found.Add(clue.JSSink, m.at, at-m.at)
	}
}
