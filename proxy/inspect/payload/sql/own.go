package sql

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
// begin, and a comment hides the rest.
func (r *reader) sound() bool {
	first := r.start()
	if !r.whole(first) {
		return false
	}
	depth := 0
	for n := first; n < len(r.tokens); n++ {
		switch t := r.at(n); {
		case t.unclosed, t.kind == semicolon && r.at(n+1).kind != none, t.kind == tail && r.at(n+1).kind == none, r.adjoin(n):
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
