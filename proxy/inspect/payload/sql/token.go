package sql

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// A kind is what a token is.
type kind uint8

const (
	none    kind = iota
	number       // 1 0x1f 1e0 .5
	text         // 'a' "a", perhaps without an end
	word         // a name or a keyword
	compare      // = < > <> != <=> :=
	logic        // || && or a lone | &
	open         // (
	closing      // )
	comma
	semicolon
	variable // @a @@a
	star     // *
	sign     // + - ~ ! /
	dot
	tail // a comment to the end of the line: -- #
	other
)

type token struct {
	kind    kind
	at, end int
	// open tells that a text or a comment has no end.
	unclosed bool
}

// mostTokens bounds what is kept of one reading of a value, which is some 100 KiB at
// the default length of what is inspected. What follows is not looked at: nobody's
// database takes a statement that long.
const mostTokens = 4096

// A lexer cuts a text into tokens.
type lexer struct {
	s      string
	tokens []token
	// inline tells that a comment stood between two tokens, and hidden that one was
	// seen which MySQL runs: /*!50000 … */.
	inline, hidden bool
}

func tokenize(s string, from int, into []token) lexer {
	l := lexer{s: s, tokens: into[:0]}
	for i := from; i < len(s) && len(l.tokens) < mostTokens; {
		i = l.next(i)
	}
	return l
}

func (l *lexer) add(k kind, at, end int) int {
	l.tokens = append(l.tokens, token{kind: k, at: at, end: end})
	return end
}

// next reads the token at i and returns where it ends.
func (l *lexer) next(i int) int {
	s, c := l.s, l.s[i]
	switch {
	case lexicon.IsSpace(c) || c == 0 || c == 0xa0:
		return i + 1
	case lexicon.IsDigit(c) || c == '.' && i+1 < len(s) && lexicon.IsDigit(s[i+1]):
		return l.add(number, i, numberEnd(s, i))
	case lexicon.IsWord(c) || c >= 0x80:
		return l.add(word, i, nameEnd(s, i))
	case c == '\'' || c == '"' || c == '`':
		return l.text(i)
	case c == '\\' && i+1 < len(s) && s[i+1] == 'N': // NULL to MySQL, which wants no space behind it
		return l.add(number, i, i+2)
	case c == '@':
		return l.add(variable, i, nameEnd(s, i+1+btoi(strings.HasPrefix(s[i:], "@@"))))
	}
	return l.punctuation(i)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// nameEnd takes $ as a letter: v$version.
func nameEnd(s string, i int) int {
	for i < len(s) && (lexicon.IsWord(s[i]) || s[i] >= 0x80 || s[i] == '$') {
		i++
	}
	return i
}

// numberEnd reads a number. Letters that follow begin a word: "1union" is two tokens
// to MySQL, and so is "1e0union".
func numberEnd(s string, i int) int {
	if s[i] == '0' && i+2 < len(s) && s[i+1]|0x20 == 'x' && lexicon.IsHex(s[i+2]) {
		i += 2
		for i < len(s) && lexicon.IsHex(s[i]) {
			i++
		}
		return i
	}
	for i < len(s) && (lexicon.IsDigit(s[i]) || s[i] == '.') {
		i++
	}
	if i+1 < len(s) && s[i]|0x20 == 'e' && lexicon.IsDigit(s[i+1]) {
		i++
		for i < len(s) && lexicon.IsDigit(s[i]) {
			i++
		}
	}
	return i
}

// text reads a quoted text: a quote in it is doubled or has a backslash in front.
func (l *lexer) text(at int) int {
	s, q := l.s, l.s[at]
	for i := at + 1; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == q && i+1 < len(s) && s[i+1] == q:
			i++
		case s[i] == q:
			return l.add(text, at, i+1)
		}
	}
	l.add(text, at, len(s))
	l.tokens[len(l.tokens)-1].unclosed = true
	return len(s)
}

func (l *lexer) punctuation(i int) int {
	s := l.s
	switch s[i] {
	case '/':
		if strings.HasPrefix(s[i:], "/*") {
			return l.comment(i)
		}
	case '-':
		if strings.HasPrefix(s[i:], "--") {
			return l.rest(i, 2)
		}
	case '#':
		return l.rest(i, 1)
	case '*':
		if l.hidden && strings.HasPrefix(s[i:], "*/") {
			return i + 2
		}
	case '=', '<', '>', '!', ':':
		if end := compareEnd(s, i); end > i {
			return l.add(compare, i, end)
		}
	case '|', '&':
		end := i + 1
		for end < len(s) && s[end] == s[i] && end < i+2 {
			end++
		}
		return l.add(logic, i, end)
	}
	return l.add(single(s[i]), i, i+1)
}

func compareEnd(s string, i int) int {
	end := i
	for end < len(s) && end < i+3 && strings.IndexByte("=<>!:", s[end]) >= 0 {
		end++
	}
	if end == i+1 && (s[i] == '!' || s[i] == ':') {
		return i
	}
	return end
}

func single(c byte) kind {
	switch c {
	case '(':
		return open
	case ')':
		return closing
	case ',':
		return comma
	case ';':
		return semicolon
	case '*':
		return star
	case '.':
		return dot
	case '+', '-', '~', '!', '/', '%', '^':
		return sign
	}
	return other
}

// comment reads /* … */, which separates words as a space does; of one that MySQL
// runs only the marks are taken off.
func (l *lexer) comment(i int) int {
	s := l.s
	if strings.HasPrefix(s[i:], "/*!") {
		l.hidden = true
		for i += 3; i < len(s) && lexicon.IsDigit(s[i]); {
			i++
		}
		return i
	}
	l.inline = true
	if end := strings.Index(s[i+2:], "*/"); end >= 0 {
		return i + 2 + end + 2
	}
	l.add(tail, i, len(s))
	return len(s)
}

// rest reads a comment to the end of the line. MySQL wants a space behind --, others
// do not; what follows on the next line is SQL again.
func (l *lexer) rest(i, mark int) int {
	s := l.s
	if end := strings.IndexByte(s[i:], '\n'); end >= 0 {
		l.add(tail, i, i+mark)
		return i + end + 1
	}
	l.add(tail, i, len(s))
	return len(s)
}
