package sql

import (
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// alone tells whether a condition of constants from a joint to last is all there is, but
// for a comment: "or 1=1", ", or 1=1 -- x". Nobody writes down that one equals one.
func (r *reader) alone(n, last int) bool {
	return r.short() && !r.statement() && (n == 0 || r.at(last).kind == tail) && r.ended(last)
}

// compared tells whether what the function at n yields is compared with a constant, and
// that is the end: "' and f(x)=1--".
func (r *reader) compared(n int) bool {
	then, ok := r.comparison(r.behindCall(n))
	if !ok {
		return false
	}
	last, ok := r.constant(then)
	return ok && r.ended(last)
}

// chooses is for a function or CASE that decides by a comparison of constants, as those
// write who ask a database yes or no: "if(1=1,…", "elt(3=4,5)", "case when 1=2 then".
func (r *reader) chooses(n int) {
	first := n + 2
	switch {
	case r.is(n, "case") && r.is(n+1, "when"):
	case r.is(n, "if", "iif", "elt", "ifnull", "nullif", "decode") && r.at(n+1).kind == open:
	default:
		r.asks(n)
		return
	}
	end, ok := r.constant(first)
	if !ok || r.at(end).kind != compare || r.at(end).end-r.at(end).at != 1 || !r.short() {
		return
	}
	if last, ok := r.constant(end + 1); ok {
		r.add(clue.SQLTautology, n, last-1)
	} else if r.at(end+1).kind == none {
		r.add(clue.SQLProbe, n, end)
	}
}

// cut is for a value that ends where SQL goes on: "concat(", "' union select", "from
// information_schema.". Whoever tries what passes sends such pieces.
func (r *reader) cut() {
	last := len(r.lexer.tokens) - 1
	if last < 1 || last > 8 || len(r.text.S) > 48 || r.text.Document() {
		return
	}
	switch before := last - 1; r.at(last).kind {
	case open:
		if r.groups(before).Any(lexicon.SQLBuiltin|lexicon.SQLFunction) && (before == 0 || r.at(before-1).kind != word || r.is(before-1, "select")) {
			r.add(clue.SQLProbe, before, last)
		}
	case dot:
		if r.groups(before).Any(lexicon.SQLSchema) && r.is(before-1, "from", "join", "into") {
			r.add(clue.SQLProbe, before, last)
		}
	default:
	}
}

// document is for a joint and a document in JSON as a text that an operator of SQL looks
// into, as databases have them: "or '{"a":1}'::jsonb <@ '{}'".
func (r *reader) document(n int) bool {
	t, next := r.at(n+1), r.at(n+2)
	if t.kind != text || t.unclosed || t.end-t.at < 4 || !r.short() {
		return false
	}
	if c := r.s[t.at+1]; c != '{' && c != '[' {
		return false
	}
	switch next.kind {
	case compare, sign, variable, star, other, tail, logic:
		return n == 0 || r.operandBefore(n)
	default:
		return false
	}
}

// asks is for a value that is nothing but the name of what tells something of a database.
func (r *reader) asks(n int) {
	if n == 0 && len(r.lexer.tokens) == 3 && r.isCall(0) && r.at(2).kind == closing &&
		r.is(0, "database", "db_name", "version", "sqlite_version", "system_user", "user", "current_user", "session_user",
			"host_name", "user_name", "current_database", "schema") {
		r.add(clue.SQLProbe, 0, 2)
	}
}

// sorted is for a joint behind a quote that a clause follows: "' and mod(2,9) order by 1".
func (r *reader) sorted(n int) {
	for i := n + 2; i < n+16; i++ {
		if r.is(i, "order", "group") && r.is(i+1, "by") && (r.at(i+2).kind == number || r.isCall(i+2)) {
			r.add(clue.SQLBreakout, n, i+1)
			return
		}
	}
}
