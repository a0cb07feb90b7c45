package code

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// longestAlone bounds a value that is taken for one call.
const longestAlone = 128

// alone looks for a parameter that is one call of a function which runs code or programs,
// and nothing else: exec("x"), base64_decode(). By itself it proves little, but names of
// functions stand in sentences or in source code, which have other words around them.
func alone(t *lexicon.Text, found *clue.List) {
	if !t.Entered || len(t.S) > longestAlone {
		return
	}
	s := strings.Trim(t.S, " \t\r\n;@'\"}")
	end := lexicon.WordEnd(s, 0)
	if end < 3 || !lexicon.Groups(s[:end]).Any(lexicon.CodeCall) || everyday(lexicon.FoldASCII(s[:end])) {
		return
	}
	at := blank(s, end)
	if at > end && at+1 < len(s) && lexicon.IsWord(s[at+1]) && strings.IndexByte(s[:end], '_') < 0 {
		return // system (v2)
	}
	if at < len(s) && s[at] == '(' && (strings.HasSuffix(s, ")") || strings.HasSuffix(s, "(")) {
		found.Add(clue.CodeAlone, 0, len(t.S))
	}
}

// ofNode looks for a parameter that begins with an object which only code for Node.js has,
// and that its attackers read or prove something with.
func ofNode(t *lexicon.Text, found *clue.List) {
	s := strings.TrimLeft(t.S, " ;'\"")
	if len(s) < 8 || len(s) > longestAlone || strings.IndexByte("pPrRmMcC", s[0]) < 0 {
		return
	}
	for _, prefix := range [...]string{"process.env", "process.mainmodule", "process.binding", "process[", "require[", "require.main.", "module.exports", "console.info(", "console["} {
		if len(s) >= len(prefix) && lexicon.EqualFold(s[:len(prefix)], prefix) {
			found.Add(clue.CodeAlone, 0, len(t.S))
			return
		}
	}
}

// everyday tells functions that other languages call as often, and harmlessly.
func everyday(name string) bool {
	switch name {
	case "print", "echo", "open", "include", "require", "mail", "glob", "compile", "spawn", "virtual", "env", "die", "usort":
		return true
	}
	return false
}

// variable looks for a parameter that is a call of what a variable of PHP names:
// $a(1), $_[0]($_[1]), ${'a'}(), $a->$b(), A::$b().
func variable(t *lexicon.Text, found *clue.List) {
	if len(t.S) > longestAlone {
		return
	}
	s := t.S
	for i := 0; i+3 < len(s); i++ {
		if s[i] != '$' || i > 0 && (lexicon.IsWord(s[i-1]) || s[i-1] == '\\') {
			continue
		}
		at := i
		for at < len(s) && s[at] == '$' {
			at++
		}
		end := operand(s, at)
		if end == at || end >= len(s) || s[end] != '(' || strings.IndexByte(s[end:], ')') < 0 {
			continue
		}
		found.Add(clue.CodeAlone, i, end-i)
		return
	}
}

// operand is where a variable ends whose name begins at i, with its indexes: a name or an
// expression in braces, then any number of [..], {..}, comments and white space.
func operand(s string, i int) int {
	end := lexicon.WordEnd(s, i)
	if end == i {
		at := blank(s, i)
		if at >= len(s) || s[at] != '{' {
			return i
		}
		end = closed(s, at)
	} else if lexicon.IsDigit(s[i]) {
		return i // $1(
	}
	for {
		at := blank(s, end)
		switch {
		case at < len(s) && (s[at] == '[' || s[at] == '{'):
			end = closed(s, at)
			if end == at {
				return i
			}
		default:
			return at
		}
	}
}

// closed is behind the bracket that closes the one at i; i if none does.
func closed(s string, i int) int {
	depth := 0
	for at := i; at < len(s); at++ {
		switch s[at] {
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth == 0 {
				return at + 1
			}
		}
	}
	return i
}

// blank is where white space and comments of PHP end that begin at i.
func blank(s string, i int) int {
	for {
		at := lexicon.SkipSpace(s, i)
		switch {
		case strings.HasPrefix(s[at:], "/*"):
			n := strings.Index(s[at:], "*/")
			if n < 0 {
				return at
			}
			at += n + 2
		case strings.HasPrefix(s[at:], "//") || strings.HasPrefix(s[at:], "#"):
			n := strings.IndexByte(s[at:], '\n')
			if n < 0 {
				return at
			}
			at += n
		default:
			return at
		}
		i = at
	}
}
