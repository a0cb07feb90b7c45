package shell

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// separators are the bytes one of which a value must have.
const separators = lexicon.Semicolon | lexicon.Pipe | lexicon.Ampersand | lexicon.Backtick | lexicon.Dollar | lexicon.Line

const commands = lexicon.Command | lexicon.Interpreter

// Find looks for commands in a value.
func Find(t *lexicon.Text, found *clue.List) {
	if t.Words.Any(commands) && t.Document() {
		document(t, found)
	} else if t.Words.Any(commands) {
		if t.Bytes.Any(separators) {
			chains(t, found)
		}
		remote(t, found)
		windows(t, found)
		whole(t, found)
	}
	if t.Words.Any(commands|lexicon.Reflection) && t.Bytes.Any(lexicon.Minus|lexicon.Semicolon|lexicon.Pipe|lexicon.Ampersand|lexicon.Paren) {
		cmdlets(t, found)
	}
	batch(t, found)
	evasions(t, found)
}

// A chain is a value that is looked through for separators.
type chain struct {
	*lexicon.Text
	found *clue.List
	// script is from where on the value is a script: it consists of commands and is meant to.
	script int
}

// chains looks at each separator.
func chains(t *lexicon.Text, found *clue.List) {
	c := chain{Text: t, found: found, script: scriptAt(t)}
	s := t.S
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ';', '|', '&', '\n', '\r':
			end := separatorEnd(s, i)
			if k := c.separated(i, end); k != clue.None {
				found.Add(k, i, end-i)
			}
			i = end - 1
		case '`':
			c.backtick(i)
		case '$':
			c.substitution(i)
		}
	}
}

// scriptAt is where a script begins, by the words that only scripts have: what stands in
// front of them may be a command that is injected, "; id # while". It is the length of the
// value if there is none.
func scriptAt(t *lexicon.Text) int {
	if t.Document() {
		return 0
	}
	s := t.Lower()
	if start := lexicon.SkipSpace(s, 0); t.Lines() == 0 && start < len(s) && strings.IndexByte(";|&", s[start]) >= 0 {
		return len(s) // which none begins with
	}
	if strings.HasPrefix(s, "#!") {
		return 0
	}
	at, _ := lexicon.IndexAny(s, "; do", "; then", "set -e", "exec ", "while ", "for i in", "trap ", "if [")
	if at < 0 {
		return len(s)
	}
	return at
}

func separatorEnd(s string, i int) int {
	end := i + 1
	for end < len(s) && s[end] == s[i] {
		end++
	}
	return end
}

// separated judges a separator by the command behind it.
func (t *chain) separated(at, end int) clue.Kind {
	start := lexicon.SkipSpace(t.S, end)
	if t.Written && t.S[at] != '\n' && t.S[at] != '\r' && strings.IndexByte(t.S[end:start], '\n') >= 0 {
		return clue.None // the end of a row or a statement
	}
	c, ok := read(t.S, start)
	if !ok || at >= t.script || alternative(t.S, at, end, c.end) {
		return clue.None
	}
	proof := c.ended && c.proves()
	leads := lexicon.SkipSpace(t.S, 0) == at
	if proof && leads && len(t.S) <= longestProof {
		return clue.ShellChain // a text doesn't begin with a separator
	}
	switch sep := t.S[at]; {
	case sep == '\n' || sep == '\r':
		// Lists and queries have a word on each line, sentences have spaces, and an empty
		// line begins another paragraph.
		if t.Lines() > 2 || t.Written && end-at > 1 || strings.IndexByte(t.S[:at], ' ') >= 0 || !c.argued() && !(proof && last(t.S, c.end)) {
			return clue.None
		}
	case sep == '&' && end-at == 1 && !c.points() && !(leads && c.argued()): // a=1&id=2, "salt & head"
		return clue.None
	case !c.argued() && !proof:
		return clue.None
	}
	switch {
	case len(c.name) <= 2 && len(t.S) > 200 && !c.points():
		return clue.None
	case begins(t.S[:at]):
		return clue.ShellCommand
	case c.points() || c.ended || c.option || len(t.S) < 96:
		return clue.ShellChain
	}
	return clue.ShellCommand
}

// longestProof is the longest value that is taken for a separator and a command that only
// proves that one runs.
const longestProof = 32

// begins tells whether what stands in front of a separator, on the same line, is a
// command itself: then all of it is one by purpose.
func begins(s string) bool {
	if builds(s) {
		return true
	}
	s = s[strings.LastIndexAny(s, "\n\"'`:;|&")+1:]
	c, ok := read(s, lexicon.SkipSpace(s, 0))
	return ok && c.argued()
}

// last tells whether nothing but white space follows.
func last(s string, i int) bool { return lexicon.SkipSpace(s, i) == len(s) }

// backtick is for `id`. In Markdown a name in backticks stands between spaces, and what
// is put into a value does not.
func (t *chain) backtick(i int) {
	s := t.S
	if t.Backticks() != 2 || t.Document() {
		return
	}
	c, ok := read(s, lexicon.SkipSpace(s, i+1))
	n := strings.IndexByte(s[i+1:], '`')
	if !ok || n < 0 || !c.argued() && !c.ended {
		return
	}
	before, behind := s[:i], s[i+n+2:]
	alone := before == "" && behind == ""
	assigned := before != "" && before[len(before)-1] == '=' && len(s) <= longestSubstituted
	if alone && (c.argued() || c.proves()) || !alone && strings.IndexByte(before, ' ') < 0 && (assigned || strings.IndexByte(behind, ' ') < 0) {
		t.found.Add(clue.ShellSubstitution, i, n+2)
	}
}

// longestSubstituted is the longest value in which a substitution is taken for one: texts
// about shells quote them.
const longestSubstituted = 400

// fewestLines is from how many line feeds on a text that is shorter than a document is
// taken for one, as far as substitutions are concerned.
const fewestLines = 6

// substitution is for $(id).
func (t *chain) substitution(i int) {
	s := t.S
	if i >= t.script || t.Written && t.Lines() >= fewestLines || len(s) > longestSubstituted || !strings.HasPrefix(s[i:], "$(") || strings.HasPrefix(s[i:], "$((") {
		return
	}
	start := lexicon.SkipSpace(s, i+2)
	// $(MAKE) is a variable of a makefile: programs have names in lower case.
	if c, ok := read(s, start); ok && (c.argued() || c.ended) && lexicon.FoldASCII(s[start:c.end]) == s[start:c.end] {
		t.found.Add(clue.ShellSubstitution, i, c.end-i)
	}
}
