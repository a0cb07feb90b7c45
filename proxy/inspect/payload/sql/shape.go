package sql

import (
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// at is token n; one of kind none where there is none.
func (l *lexer) at(n int) token {
	if n < 0 || n >= len(l.tokens) {
		return token{at: len(l.s), end: len(l.s)}
	}
	return l.tokens[n]
}

// is tells whether token n is one of some words, which are in lower case.
func (l *lexer) is(n int, words ...string) bool {
	t := l.at(n)
	if t.kind != word {
		return false
	}
	for _, w := range words {
		if lexicon.EqualFold(l.s[t.at:t.end], w) {
			return true
		}
	}
	return false
}

func (l *lexer) groups(n int) lexicon.Group {
	t := l.at(n)
	if t.kind != word {
		return 0
	}
	return lexicon.Groups(l.s[t.at:t.end])
}

// joins tells whether token n joins two conditions.
func (l *lexer) joins(n int) bool {
	t := l.at(n)
	return t.kind == logic || l.is(n, "or", "and", "xor", "having", "where", "when")
}

// isCall tells whether a function is called at n.
func (l *lexer) isCall(n int) bool { return l.at(n).kind == word && l.at(n+1).kind == open }

// skipSigns steps over what may stand in front of an operand and changes nothing:
// parentheses, signs, NOT and BINARY.
func (l *lexer) skipSigns(n int) int {
	for range 8 {
		if k := l.at(n).kind; k != open && k != sign && !l.is(n, "not", "binary") {
			return n
		}
		n++
	}
	return n
}

// constant tells whether n is a constant, and where it ends, with parentheses and
// arithmetic: "(1)", "'a'", "true", "1*1".
func (l *lexer) constant(n int) (end int, ok bool) {
	n = l.skipSigns(n)
	t := l.at(n)
	if t.kind != number && (t.kind != text || l.s[t.at] == '`' || l.separates(t)) && !l.is(n, "true", "false", "null") {
		return n, false
	}
	n++
	for range 8 {
		switch k := l.at(n).kind; {
		case k == closing:
			n++
		case (k == sign || k == star) && l.at(n+1).kind == number:
			n += 2
		default:
			return n, true
		}
	}
	return n, true
}

// comparison tells whether an operator of comparison stands at n, and where it ends.
func (l *lexer) comparison(n int) (end int, ok bool) {
	if l.at(n).kind == compare {
		return n + 1, true
	}
	end = n
	if l.is(end, "not") {
		end++
	}
	switch {
	case l.is(end, "sounds") && l.is(end+1, "like"):
		return end + 2, true
	case l.is(end, "is") && l.is(end+1, "not"):
		return end + 2, true
	case l.is(end, "like", "rlike", "regexp", "between", "in", "is", "glob", "div", "mod", "similar", "ilike"):
		return end + 1, true
	}
	return n, false
}

// ended tells whether nothing follows at n that goes on with the expression: the end,
// a comment, a closing parenthesis or a semicolon.
func (l *lexer) ended(n int) bool {
	switch l.at(n).kind {
	case none, tail, closing, semicolon:
		return true
	default:
		return false
	}
}

// span is from token n to the end of token m.
func (l *lexer) span(n, m int) (at, size int) {
	from, to := l.at(n), l.at(m)
	return from.at, to.end - from.at
}
