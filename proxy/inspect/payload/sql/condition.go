package sql

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// tautology looks at what follows a joint: a comparison of two constants, or a
// constant by itself at the end of the text.
func (r *reader) tautology(n int) {
	if r.far(n) || r.quotedSign(n) {
		return
	}
	end, ok := r.constant(n + 1)
	if ok && r.document(n) {
		r.add(clue.SQLTautology, n, n+2)
		return
	}
	if !ok {
		r.pair(n)
		r.calls(n)
		return
	}
	if then, ok := r.comparison(end); ok {
		last, ok := r.constant(then)
		switch {
		case ok && (r.operandBefore(n) && !r.sum(n) || r.alone(n, last)):
			r.add(clue.SQLTautology, n, last-1)
		case !ok && r.isCall(then) && r.callee(then) && r.operandBefore(n) && r.short():
			r.add(clue.SQLTautology, n, then)
		}
		return
	}
	if r.operandBefore(n) && r.closes(n, end) {
		r.add(clue.SQLTautology, n, end-1)
	}
}

// sum tells whether what is in front of a joint is a comparison of constants as well,
// too: "5 > 3 and 2 < 4" is arithmetic.
func (r *reader) sum(n int) bool {
	if r.at(n-2).kind != compare || r.at(n-1).kind != number {
		return false
	}
	// ">=16 || 14 >=14.17" is a range of versions.
	return r.at(n-3).kind == number || n == 2 && r.reading == asIs
}

// operandBefore tells whether something stands in front of a joint that a condition
// can be: behind a quote the text in front of the quote is.
func (r *reader) operandBefore(n int) bool {
	if n == 0 {
		return r.reading == inQuote
	}
	if r.at(n).kind == logic && r.reading == asIs && n > 2 {
		return false // an expression of a programming language
	}
	switch r.at(n - 1).kind {
	case number, text, closing, variable:
		return true
	case word:
		return r.short() && !r.statement()
	case sign:
		return r.at(n-2).kind == star || r.reading == inQuote && n <= 3 // the end of a comment: "1*/ or 1=1"
	default:
		return r.reading == inQuote && n <= 3
	}
}

// closes tells whether a lone constant that ends at end ends the condition as well:
// "1 or 1", "' or 1#". In plain English numbers follow "or", too, so there must be a
// number in front, or a quote, or a comment behind.
func (r *reader) closes(n, end int) bool {
	if !r.ended(end) || r.reading == asIs && r.text.Document() { // "5.3 and 6.1.", and a heading
		return false
	}
	behindQuote := r.reading == inQuote && n <= 2
	switch before := r.at(n - 1).kind; {
	case r.at(end).kind == tail:
		return behindQuote || before == number
	case r.at(n).kind == logic:
		return behindQuote && r.at(end-1).kind == text
	case before == number && r.is(end-1, "true", "false"):
		return r.from == 0 && n == 1
	default:
		return behindQuote && r.is(n, "or", "xor", "having") ||
			behindQuote && r.at(end-1).kind == text && r.at(end-1).unclosed
	}
}

// pair is for a joint behind a quote and a name that is compared: "' or a='b". The
// first word behind a quote that ends a text is one, hardly ever.
func (r *reader) pair(n int) {
	if r.reading != inQuote || n > 2 || !r.short() {
		return
	}
	for i := range n {
		if k := r.at(i).kind; k != closing && k != sign {
			return
		}
	}
	at := r.skipSigns(n + 1)
	if r.isCall(at) && (r.callee(at) || r.compared(at)) || r.is(at, "exists", "select", "case", "if") && r.at(at+1).kind != none {
		r.add(clue.SQLBreakout, n, at)
		return
	}
	for r.at(at).kind == word && r.at(at+1).kind == dot {
		at += 2
	}
	if r.at(at).kind != word && r.at(at).kind != variable {
		return
	}
	if then, ok := r.comparison(at + 1); ok && r.at(then).kind != none {
		if _, ok := r.constant(then); ok || r.at(then).kind == open {
			r.add(clue.SQLBreakout, n, then)
		}
	}
}

// calls is for a joint and the comparison of what two functions yield:
// "1 and char(65)=char(65)".
func (r *reader) calls(n int) {
	first := r.skipSigns(n + 1)
	if !r.isCall(first) || !r.callee(first) {
		return
	}
	then, ok := r.comparison(r.behindCall(first))
	if !ok {
		return
	}
	last, ok := r.constant(then)
	if !ok && r.isCall(then) {
		last, ok = r.behindCall(then), true
	}
	if ok && (r.operandBefore(n) && r.at(n-1).kind != word || r.alone(n, last)) {
		r.add(clue.SQLTautology, n, then)
	}
}

// behindCall is where the arguments of the function at n end, within some tokens.
func (r *reader) behindCall(n int) int {
	depth := 0
	for i := n + 1; i < n+48; i++ {
		switch r.at(i).kind {
		case open:
			depth++
		case closing:
			if depth--; depth == 0 {
				return i + 1
			}
		default:
		}
	}
	return n
}

// callee tells whether a function is one of SQL.
func (r *reader) callee(n int) bool {
	return r.groups(n).Any(lexicon.SQLBuiltin|lexicon.SQLFunction) || r.is(n, "exists", "not", "case", "select")
}

// beginning looks at what stands right behind a quote, or at a short value's start.
func (r *reader) beginning() {
	n := 0
	for r.at(n).kind == closing {
		n++
	}
	if r.reading == inQuote {
		r.behindQuote(n)
		return
	}
	r.afterNumber()
	r.states()
	r.cut()
}

// behindQuote is for a quote that ends a text: a comment, or a clause, follows.
func (r *reader) behindQuote(n int) {
	first := r.at(n)
	switch {
	case r.quotation() || r.text.Document() && strings.IndexByte(r.s[r.from:first.at], '\n') >= 0:
	case first.kind == tail && r.from <= 64 && r.commentEnds(first):
		r.add(clue.SQLTail, n, n)
	case r.from <= 64 && r.cutOff(n):
		r.add(clue.SQLTail, n, len(r.lexer.tokens)-1)
	case first.kind == semicolon && r.at(n+1).kind == tail && r.from <= 64:
		r.add(clue.SQLTail, n, n+1)
	case r.is(n, "order", "group") && r.is(n+1, "by"), r.is(n, "procedure") && r.is(n+1, "analyse", "analyze"),
		r.is(n, "limit") && r.at(n+1).kind == number:
		r.add(clue.SQLBreakout, n, n+1)
	case first.kind == logic && r.at(n+1).kind == open && r.is(n+2, "select"):
		r.add(clue.SQLBreakout, n, n+2)
	case r.joins(n) && r.short():
		r.sorted(n)
	}
}

// cutOff tells whether what is behind a quote goes on as SQL does and ends in a comment
// soon: "' notnull --".
func (r *reader) cutOff(n int) bool {
	last := len(r.lexer.tokens) - 1
	if last <= n || last > n+6 || r.at(last).kind != tail || !r.commentEnds(r.at(last)) {
		return false
	}
	k := r.at(n).kind
	return k == compare || k == sign || k == logic || r.groups(n).Any(lexicon.SQLLogic) || r.is(n, "notnull", "isnull", "collate")
}

// commentEnds tells whether a comment is one to SQL: # or -- with nothing, or a space
// or a plus, behind it.
func (r *reader) commentEnds(t token) bool {
	rest := r.s[t.at:min(len(r.s), max(t.end, t.at+3))] // of one that a line ends, the token is the mark
	if rest[0] == '#' {
		return len(rest) <= 2 || lexicon.IsSpace(rest[1])
	}
	if rest[0] == '/' {
		return true
	}
	return len(rest) <= 3 || lexicon.IsSpace(rest[2]) && !sentence(rest) || rest[2] == '+' || rest[2] == '-' || strings.HasPrefix(rest[2:], "/*")
}

// sentence tells words of a text behind a dash: "Try 'a' -- it works much better."
func sentence(rest string) bool {
	return strings.Count(rest, " ") > 3 && !strings.ContainsAny(rest, "='\"();")
}

// afterNumber is for a number where a number is expected, and a clause behind it.
func (r *reader) afterNumber() {
	n := 0
	for r.at(n).kind == sign {
		n++
	}
	if r.at(n).kind != number {
		return
	}
	n++
	for r.at(n).kind == closing {
		n++
	}
	switch {
	case r.is(n, "order", "group") && r.is(n+1, "by") && r.at(n+2).kind == number && r.ended(n+3):
		r.add(clue.SQLBreakout, n, n+2)
	case r.is(n, "procedure") && r.is(n+1, "analyse", "analyze"):
		r.add(clue.SQLBreakout, n, n+1)
	case r.at(n).kind == tail && r.at(n).end == len(r.s) && r.commentEnds(r.at(n)) && r.s[r.at(n).at] == '-':
		r.add(clue.SQLProbe, n, n)
	}
}
