package script

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// called is for alert(1), eval(name), x.constructor("…")().
func (m member) called(at int, found *clue.List) {
	arg := lexicon.Window(m.text.S, at+1, 64)
	switch {
	case m.proof():
		m.proves(at, arg, found)
	case m.is("constructor"):
		if m.before() == '.' && strings.ContainsAny(lexicon.Window(arg, 0, 2), "'\"`") {
			found.Add(clue.JSComputed, m.at, at+1-m.at)
		}
	case m.is("eval"), m.is("atob"), m.is("execscript"), m.is("fromcharcode"), m.is("insertadjacenthtml"),
		m.is("importscripts"), m.is("getscript"):
		m.sink(at, arg, found)
	case m.is("function") || m.is("settimeout") || m.is("setinterval") || m.is("setimmediate"):
		// A function is declared with names, one that is made has texts.
		if strings.ContainsAny(lexicon.Window(strings.TrimLeft(arg, " "), 0, 1), "'\"`") {
			m.sink(at, arg, found)
		}
	case m.is("fetch") || m.is("import") || m.is("write") || m.is("writeln"):
		// In source code of several lines they are what programs are made of; Go's
		// import has its texts on other lines.
		if m.text.Words.Any(lexicon.Property) && strings.ContainsAny(arg, "'\"`<") && !m.text.Document() {
			m.breaks(at, clue.JSSink, found)
		}
	}
}

// proof tells the calls that people prove with that a script runs.
func (m member) proof() bool {
	return m.is("alert") || m.is("prompt") || m.is("confirm") || m.is("print") || m.is("msgbox")
}

// proves judges one of them by its argument and by what is around it.
func (m member) proves(at int, arg string, found *clue.List) {
	if m.is("print") && (m.before() == '.' || !m.broken()) {
		return
	}
	if m.dialog() && m.at == 0 && m.text.S[at:] == "()" {
		found.Add(clue.JSCall, 0, len(m.text.S))
		return
	}
	arg = strings.TrimLeft(arg, " ")
	probe := arg != "" && (lexicon.IsDigit(arg[0]) || arg[0] == ')' && m.broken() || arg[0] == '/' || arg[0] == '`' ||
		strings.HasPrefix(lexicon.FoldASCII(arg), "document") || strings.HasPrefix(lexicon.FoldASCII(arg), "xss") ||
		strings.ContainsAny(arg[:1], "'\"") && len(m.text.S) < 200 || m.globals(arg))
	if !probe && m.computes(arg) {
		found.Add(clue.JSCall, m.at, at+1-m.at)
		return
	}
	if !probe || m.text.Document() && !m.broken() {
		return
	}
	if m.broken() || len(m.text.S) < 160 {
		found.Add(clue.JSCall, m.at, at+1-m.at)
		return
	}
	found.Add(clue.JSSink, m.at, at+1-m.at)
}

func (m member) globals(arg string) bool {
	end := lexicon.WordEnd(arg, 0)
	return lexicon.Groups(arg[:end]).Any(lexicon.Global | lexicon.Property)
}

// sink is for what runs a text.
func (m member) sink(at int, arg string, found *clue.List) {
	arrow := strings.Contains(m.text.S, "=>") && m.snippet()
	if m.is("eval") && !strings.ContainsAny(arg, "'\"`.(") && !m.broken() && !arrow {
		return
	}
	if m.is("eval") && (strings.HasPrefix(arg, "String.fromCharCode") || strings.HasPrefix(arg, "atob") || strings.HasPrefix(arg, "unescape")) {
		found.Add(clue.JSCall, m.at, at+1-m.at)
		return
	}
	if m.at == 0 && strings.Contains(arg, "//") && m.snippet() {
		found.Add(clue.JSCall, m.at, at+1-m.at) // the value is a script that loads another
		return
	}
	m.breaks(at, clue.JSSink, found)
}

// breaks adds a clue, and a stronger one where the word stands behind what ends a text
// or an attribute.
func (m member) breaks(at int, k clue.Kind, found *clue.List) {
	if m.broken() {
		found.Add(clue.JSBreakout, m.at, at+1-m.at)
	}
	found.Add(k, m.at, at+1-m.at)
}

// broken tells whether the script breaks out of a text: a quote, and an operator, a
// semicolon or a closing parenthesis behind it, stand right in front. In source code
// an opening quote stands somewhere before.
func (m member) broken() bool {
	s := m.text.S
	i := lexicon.BackSpace(s, m.at)
	n := i
	for n > 0 && n > i-6 && strings.IndexByte("-+*/;,|&^(){}[]!~%<>?:=", s[n-1]) >= 0 {
		n--
	}
	n = lexicon.BackSpace(s, n)
	if n == i || n == 0 || strings.IndexByte("'\"`\\", s[n-1]) < 0 || m.text.Document() {
		return false
	}
	q := s[n-1]
	return strings.Count(s[max(0, n-512):n], string(q))%2 == 1
}

// selected is for document.cookie, location.href and their like.
func (m member) selected(at int, found *clue.List) {
	s := m.text.S
	end := lexicon.WordEnd(s, at+1)
	g := lexicon.Groups(s[at+1 : end])
	if m.before() == '.' || !g.Any(lexicon.Property|lexicon.Sink) || m.is("this") || m.is("content") || m.is("parent") {
		return
	}
	if then := lexicon.SkipSpace(s, end); then > end && then < len(s) && lexicon.IsLetter(s[then]) {
		return // "document.cookie is read by …"
	}
	prop := lexicon.FoldASCII(s[at+1 : end])
	switch {
	case prop == "cookie" && m.is("document") && sends(m.text):
		found.Add(clue.JSTheft, m.at, end-m.at)
	case prop == "cookie" || prop == "localstorage" || prop == "sessionstorage" || prop == "domain" && m.is("document"):
		m.breaks(at, clue.JSSink, found)
	case (prop == "href" || prop == "hash" || prop == "replace") && m.is("location") && m.broken():
		found.Add(clue.JSBreakout, m.at, end-m.at)
	}
}

// sends tells whether a short value names another place to go to.
func sends(t *lexicon.Text) bool {
	return len(t.S) < 400 && !t.Document() && strings.Contains(t.S, "//") && t.Bytes.Any(lexicon.Plus|lexicon.Dollar)
}

// handed is for a function that something else calls: onerror=alert;throw 1, a=alert,a(),
// Reflect.apply(alert,…).
func (m member) handed(found *clue.List) {
	s := m.text.S
	if len(s) > 200 || m.text.Document() {
		return
	}
	assigned := m.before() == '=' && (strings.Contains(s, "throw") || strings.Contains(s, "()"))
	i := lexicon.BackSpace(s, m.at)
	if applied := m.before() == '(' && (strings.HasSuffix(s[:i], ".apply(") || strings.HasSuffix(s[:i], ".call(")); assigned || applied {
		found.Add(clue.JSCall, m.at, m.end-m.at)
	}
}

// grouped tells whether the word is a label that PromQL groups by: "sum by(alert)(up)".
func (m member) grouped() bool {
	s := m.text.S
	end := lexicon.BackSpace(s, strings.LastIndexByte(s[:m.at], '('))
	switch s[lexicon.WordStart(s, end):end] {
	case "by", "without", "on", "ignoring":
		return true
	}
	return false
}

// wrapped is for (alert)(1): a name in parentheses, called.
func (m member) wrapped(at int, found *clue.List) {
	s := m.text.S
	then := lexicon.SkipSpace(s, at+1)
	if m.before() == '(' && !m.grouped() && then < len(s) && (s[then] == '(' || s[then] == '`') && (m.proof() || m.is("eval")) {
		found.Add(clue.JSCall, m.at, then+1-m.at)
	}
}
