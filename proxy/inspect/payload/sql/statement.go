package sql

import (
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// union looks for UNION SELECT with a list behind it. "The union select committee" has
// none.
func (r *reader) union(n int) {
	at := n + 1
	if r.is(at, "all", "distinct", "distinctrow") {
		at++
	}
	for r.at(at).kind == open || r.hidden && r.at(at).kind == sign {
		at++
	}
	if !r.is(at, "select", "values") {
		return
	}
	if r.list(at+1) || r.unlisted(n, at) {
		r.add(clue.SQLUnion, n, at+1)
	}
}

// unlisted tells whether UNION at n and SELECT at m are SQL although no columns follow: a
// comment keeps the two apart, or they stand behind a quote and are the end of the value.
func (r *reader) unlisted(n, m int) bool {
	if (r.inline || r.hidden) && r.commented(r.at(n).end, r.at(m).at) {
		return true
	}
	next := r.at(m + 1).kind
	return r.reading == inQuote && n <= 6 && (next == none || next == other)
}

// list tells whether the columns of a SELECT begin at n.
func (r *reader) list(n int) bool {
	for r.is(n, "all", "distinct", "top", "sql_no_cache") || r.at(n).kind == open || r.at(n).kind == sign {
		n++
	}
	switch r.at(n).kind {
	case number, star, variable:
		return true
	case text:
		return !r.at(n).unclosed // 'the "union select" club'
	case word:
		return r.is(n, "null", "true") || r.at(n+1).kind == comma || r.at(n+1).kind == open || r.is(n+1, "from") ||
			r.at(n+1).kind == dot || r.at(n+1).kind == logic
	default:
		return false
	}
}

// subquery looks for a SELECT that is part of an expression.
func (r *reader) subquery(n int) {
	before := r.at(n - 1)
	if before.kind != open || r.statement() || !r.list(n+1) || r.text.Document() && !r.fromTable(n+1) {
		return
	}
	// "(select one from the list)" is English; whoever writes SQL names a table, and
	// something that isn't a name.
	k := r.at(n + 1).kind
	if k == word && !r.is(n+1, "null") && r.at(n+2).kind != open && r.at(n+2).kind != dot {
		if r.short() && (r.fromTable(n+2) || r.reading == inQuote && n <= 2 && r.is(n+1, "top")) {
			r.add(clue.SQLSubquery, n-1, n+1)
		}
		return
	}
	r.add(clue.SQLSubquery, n-1, n+1)
}

// fromTable tells whether FROM and a name follow within some tokens.
func (r *reader) fromTable(n int) bool {
	for i := n; i < n+24; i++ {
		if r.is(i, "from") {
			k := r.at(i + 1).kind
			return (k == word || k == text || k == open) && !r.is(i+1, "the", "a", "our", "your", "my", "this")
		}
	}
	return false
}

// stacked looks for a second statement behind a semicolon.
func (r *reader) stacked(n int) {
	if !r.begins(n+1) || r.statement() {
		return
	}
	if n <= 4 || r.short() {
		r.add(clue.SQLStacked, n, n+2)
		return
	}
	r.add(clue.SQLProbe, n, n+2)
}

// begins tells whether a statement of SQL begins at n.
func (r *reader) begins(n int) bool {
	next := func(words ...string) bool { return r.is(n+1, words...) }
	switch {
	case r.is(n, "select"):
		return r.list(n + 1)
	case r.is(n, "insert", "merge"):
		return next("into")
	case r.is(n, "delete"):
		return next("from")
	case r.is(n, "update"):
		return r.is(n+2, "set")
	case r.is(n, "drop", "alter", "create", "truncate"):
		return next("table", "database", "user", "view", "schema", "procedure", "function", "index", "login", "trigger",
			"or", "role")
	case r.is(n, "exec", "execute", "call"):
		return r.at(n+1).kind == word && r.at(n+2).kind != none || r.at(n+1).kind == open
	case r.is(n, "declare", "set"):
		return r.at(n+1).kind == variable
	case r.is(n, "waitfor"):
		return next("delay", "time")
	case r.is(n, "shutdown"):
		return r.ended(n+1) || next("with")
	case r.is(n, "copy"):
		return r.is(n+2, "from", "to")
	}
	return false
}

// states is for a value that is a statement.
func (r *reader) states() {
	if r.begins(0) && (!r.is(0, "select") || r.fromTable(1)) {
		r.add(clue.SQLStatement, 0, 1)
	}
	if r.is(0, "select") && r.glued() && r.fromTable(1) {
		r.add(clue.SQLComment, 0, 1)
		r.add(clue.SQLStatement, 0, 1)
	}
}

// glued tells whether a sign follows SELECT and no space: "select-1e1from`t`".
func (r *reader) glued() bool {
	next := r.at(1)
	return next.at == r.at(0).end && (next.kind == sign || next.kind == variable || next.kind == other)
}

// schema is for the name of a table that describes a database, where SQL reads it.
func (r *reader) schema(n int) {
	name := r.s[r.at(n).at:r.at(n).end]
	if len(name) < 7 || r.is(n, "table_name", "column_name", "table_schema", "schemata") {
		return // mysql, dual, master: common words
	}
	if r.is(n-1, "from", "join", "into") || r.at(n+1).kind == dot {
		r.add(clue.SQLSchema, n, n)
	}
}

// comments is for those between words that SQL begins or joins with.
func (r *reader) comments() {
	if r.own || !r.inline && !r.hidden || r.text.Document() || !r.text.Words.Any(lexicon.SQLVerb|lexicon.SQLLogic) {
		return
	}
	before := 0
	for n, t := range r.lexer.tokens {
		if t.kind == word && r.groups(n).Any(lexicon.SQLVerb|lexicon.SQLLogic) && r.commented(before, t.at) {
			r.add(clue.SQLComment, n, n)
			return
		}
		before = t.end
	}
}

// commented tells whether a comment stands between two places.
func (r *reader) commented(from, to int) bool {
	gap := r.s[min(from, to):to]
	for i := 0; i+1 < len(gap); i++ {
		if gap[i] == '/' && gap[i+1] == '*' {
			return true
		}
	}
	return false
}
