package script

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// javascript looks at each word of interest and what is done with it.
func javascript(t *lexicon.Text, found *clue.List) {
	s := t.S
	for i := 0; i < len(s); {
		if !lexicon.IsWord(s[i]) {
			i++
			continue
		}
		end := lexicon.WordEnd(s, i)
		w := member{text: t, at: i, end: end, groups: lexicon.Groups(s[i:end])}
		if w.groups.Any(lexicon.Global | lexicon.Sink | lexicon.Property) {
			w.look(found)
		}
		i = end
	}
}

// A member is a word of a script and the place it has.
type member struct {
	text    *lexicon.Text
	at, end int
	groups  lexicon.Group
}

func (m member) is(name string) bool { return m.text.Lower()[m.at:m.end] == name }

// next is the first byte behind the word that is no space, and where it stands.
func (m member) next() (c byte, at int) {
	s := m.text.S
	at = lexicon.SkipSpace(s, m.end)
	if strings.HasPrefix(s[at:], "?.") { // optional chaining
		at += 2
	}
	if at < len(s) {
		return s[at], at
	}
	return 0, at
}

// before is the last byte in front of the word that is no space.
func (m member) before() byte {
	if i := lexicon.BackSpace(m.text.S, m.at); i > 0 {
		return m.text.S[i-1]
	}
	return 0
}

func (m member) look(found *clue.List) {
	c, at := m.next()
	switch {
	case c == '[' && m.groups.Any(lexicon.Global|lexicon.Property):
		m.computed(at, found)
	case c == '`' && m.groups.Any(lexicon.Sink):
		if m.before() != '`' && !m.text.Document() && strings.IndexByte(m.text.S[at+1:], '`') >= 0 && at == m.end {
			found.Add(clue.JSTemplate, m.at, at+1-m.at)
		}
	case c == '(' && m.groups.Any(lexicon.Sink|lexicon.Property):
		m.called(at, found)
	case c == '.' && m.groups.Any(lexicon.Global):
		m.selected(at, found)
	case c == ')' && m.groups.Any(lexicon.Sink):
		m.wrapped(at, found)
	case (c == ';' || c == ',') && m.proof():
		m.handed(found)
	case c == '=' && (m.is("innerhtml") || m.is("outerhtml")):
		m.written(at, found)
	}
	if m.dialog() {
		m.passed(c, at, found)
	}
}

// computed is for window['al'+'ert'], self[`x`], top[/al/.source+…]. A plain name in
// quotes is how old code reads a member, so that counts only if it is called as well.
func (m member) computed(at int, found *clue.List) {
	s := m.text.S
	inside, end := bracket(s, at)
	if inside == "" || !m.standsAlone() {
		return
	}
	then := lexicon.SkipSpace(s, end)
	called := then < len(s) && (s[then] == '(' || s[then] == '`' || s[then] == '[' || strings.HasPrefix(s[then:], "?."))
	plain := name(inside)
	switch {
	case disguised(inside) && (called || m.groups.Any(lexicon.Global)),
		called && plain != "" && lexicon.Groups(plain).Any(lexicon.Sink|lexicon.Global|lexicon.Property),
		called && plain == "" && s[then] == '(' && m.strong():
		found.Add(clue.JSComputed, m.at, end-m.at)
	case m.is("document") && plain != "" && lexicon.EqualFold(plain, "cookie"):
		found.Add(clue.JSSink, m.at, end-m.at)
	}
}

// strong tells the globals through which every other can be reached. "document" and
// "this" and "content" index lists in everyday code.
func (m member) strong() bool {
	return m.is("window") || m.is("self") || m.is("top") || m.is("frames") || m.is("globalthis") || m.is("parent")
}

// standsAlone tells that the word is no member of something else.
func (m member) standsAlone() bool { return m.before() != '.' || m.groups.Any(lexicon.Property) }

// bracket is what stands between the bracket at i and the one that closes it, within
// some bytes.
func bracket(s string, i int) (inside string, end int) {
	const longest = 512
	depth, last := 0, min(len(s), i+longest)
	for n := i; n < last; n++ {
		switch s[n] {
		case '[':
			depth++
		case ']':
			if depth--; depth == 0 {
				return s[i+1 : n], n + 1
			}
		}
	}
	return "", i
}

// name is the one that a text in quotes holds; empty for anything else.
func name(inside string) string {
	if n := len(inside); n > 2 && strings.IndexByte("'\"`", inside[0]) >= 0 && inside[n-1] == inside[0] &&
		lexicon.WordEnd(inside[1:], 0) == n-2 {
		return inside[1 : n-1]
	}
	return ""
}

// disguised tells whether a name is put together or escaped.
func disguised(inside string) bool {
	if name(inside) != "" {
		return false
	}
	quoted := strings.ContainsAny(inside, "'\"`/")
	switch {
	case quoted && strings.Contains(inside, "+"), strings.Contains(inside, `\x`), strings.Contains(inside, `\u`),
		strings.Contains(inside, "fromCharCode"), strings.Contains(inside, "atob"), strings.Contains(inside, ".source"),
		strings.Contains(inside, "toString("), strings.Contains(inside, "concat("), strings.Contains(inside, "join("),
		strings.Contains(inside, "replace("), strings.Contains(inside, "reverse("), strings.Contains(inside, "slice("):
		return true
	}
	return quoted && strings.HasPrefix(inside, "/*")
}
