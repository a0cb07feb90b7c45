package sql

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// start is the first token that is no comment.
func (r *reader) start() int {
	n := 0
	for r.at(n).kind == tail {
		n++
	}
	return n
}

// opens tells whether a word that statements begin with stands at n.
func (r *reader) opens(n int) bool {
	return r.is(n, "select", "insert", "update", "delete", "create", "alter", "drop", "with",
		"explain", "set", "begin", "declare", "show", "describe", "truncate", "grant", "merge", "replace")
}

// sound tells whether the value is one whole statement of SQL: what services for reports
// take, whose conditions and subqueries are its own.
//
// Somebody who injects may begin with SELECT as well: "select a from b' or 1=1 -- ". But the
// quote that ends the text around is then without an end, or ends where no text can
// begin, and a comment hides the rest. Or there is an even number of quotes, and what is
// injected stands in what looks like texts of the statement: none of those may have SQL
// in it, and no comment a quote.
func (r *reader) sound() bool {
	first := r.start()
	if !r.whole(first) || len(r.tokens) == mostTokens {
		return false
	}
	depth := 0
	for n := first; n < len(r.tokens); n++ {
		switch t := r.at(n); {
		case t.unclosed, t.kind == semicolon && r.at(n+1).kind != none, t.kind == tail && r.at(n+1).kind == none, r.adjoin(n),
			r.speaks(n), r.quotesBefore(n):
			return false
		case t.kind == open:
			depth++
		case t.kind == closing:
			depth--
		}
		if depth < 0 {
			return false
		}
	}
	return depth == 0
}

// whole tells whether the statement at n has what its verb needs: a table, or a query that
// is named.
func (r *reader) whole(n int) bool {
	switch {
	case r.is(n, "with"):
		return r.is(n+2, "as") || r.is(n+1, "recursive") || r.at(n+2).kind == open
	case r.is(n, "select"):
		for i := n + 2; r.at(i).kind != none; i++ {
			if r.is(i, "from") {
				return r.at(i+1).kind == word || r.at(i+1).kind == text || r.at(i+1).kind == open
			}
		}
		return false
	}
	return r.opens(n) && r.begins(n)
}

// adjoin tells whether two constants stand side by side, which they do in no statement.
func (r *reader) adjoin(n int) bool {
	return r.constantOnly(n) && r.constantOnly(n+1)
}

// constantOnly tells a number or a text in single quotes: the other quotes can be those of
// a name.
func (r *reader) constantOnly(n int) bool {
	t := r.at(n)
	return t.kind == number || t.kind == text && r.s[t.at] == '\''
}

// speaks tells whether the text at n may be what stands between two texts, of a statement
// that the value is injected into. The name of a column is none.
func (r *reader) speaks(n int) bool {
	t := r.at(n)
	if t.kind != text {
		return false
	}
	s := r.s[t.at+1 : t.end-1]
	if r.s[t.at] != '\'' && lexicon.WordEnd(s, 0) == len(s) {
		return false
	}
	return strings.ContainsAny(s, "'\"`=<>|&;#") || strings.Contains(s, "--") || strings.Contains(s, "/*") ||
		lexicon.Read(s).Words.Any(words)
}

// quotesBefore tells whether a quote stands between the token at n and the one before it,
// where only a comment can.
func (r *reader) quotesBefore(n int) bool {
	behind := r.from
	if n > 0 {
		behind = r.at(n - 1).end
	}
	return strings.ContainsAny(r.s[behind:r.at(n).at], "'\"`")
}
