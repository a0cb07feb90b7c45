package sql

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// words are those of which a value must have one; a comment behind a quote needs none.
const words = lexicon.SQLVerb | lexicon.SQLLogic | lexicon.SQLFunction | lexicon.SQLSchema

// Find looks for SQL in a value.
func Find(t *lexicon.Text, found *clue.List) {
	quoted := t.Bytes.Any(lexicon.Single | lexicon.Double)
	if !possible(t, quoted) {
		return
	}
	r := reader{text: t, found: found}
	r.read(0, asIs)
	if r.own {
		return // the quotes of a statement are its own
	}
	if i := strings.IndexByte(t.S, '`'); i > 0 && i <= 8 && numeric(t.S[:i]) {
		r.read(i+1, inQuote) // the name of a column is ended: "1`=`1"
	}
	if !quoted {
		return
	}
	for _, q := range []byte{'\'', '"'} {
		if i := strings.IndexByte(t.S, q); i >= 0 {
			r.read(i+1, inQuote)
		}
	}
}

// possible tells whether a value has what SQL needs besides words: something that is
// no letter.
func possible(t *lexicon.Text, quoted bool) bool {
	if t.Words.Any(lexicon.SQLFunction|lexicon.SQLSchema) && t.Bytes.Any(lexicon.Dot) {
		return true
	}
	if t.Words.Any(words) {
		return t.Bytes.Any(lexicon.Digit | lexicon.Quote | lexicon.Paren | lexicon.Star | lexicon.Equals |
			lexicon.Semicolon | lexicon.At | lexicon.Comparison)
	}
	if t.Bytes.All(lexicon.Digit|lexicon.Equals) && t.Bytes.Any(lexicon.Pipe|lexicon.Ampersand) {
		return true
	}
	if t.Words.Any(lexicon.SQLBuiltin) && t.Bytes.Any(lexicon.Paren) && (t.Bytes.All(lexicon.Digit|lexicon.Equals) ||
		t.Bytes.Any(lexicon.At) && strings.Contains(t.S, "@@") || bare(t.S)) {
		return true
	}
	return quoted && (t.Bytes.Any(lexicon.Hash|lexicon.Minus|lexicon.Pipe|lexicon.Ampersand) ||
		t.Bytes.All(lexicon.Slash|lexicon.Star))
}

// A reading is where SQL begins.
type reading uint8

const (
	asIs    reading = iota // with the value
	inQuote                // behind a quote
)

type reader struct {
	text   *lexicon.Text
	found  *clue.List
	tokens []token
	lexer
	from    int
	reading reading
	// own tells that the value is a statement, and nothing else.
	own bool
}

func numeric(s string) bool { return strings.Trim(s, "-0123456789") == "" }

// bare tells whether a value is a call without arguments, or without an end: "version()".
func bare(s string) bool {
	return len(s) < 32 && (strings.HasSuffix(s, "()") || strings.HasSuffix(s, "("))
}

// read looks at one reading of the value.
func (r *reader) read(from int, as reading) {
	r.lexer = tokenize(r.text.S, from, r.tokens)
	r.tokens = r.lexer.tokens
	r.from, r.reading = from, as
	r.own = as == asIs && r.sound()
	r.beginning()
	for n := range r.lexer.tokens {
		r.token(n)
	}
	r.comments()
}

// token looks for shapes that begin at token n.
func (r *reader) token(n int) {
	switch r.at(n).kind {
	case semicolon:
		r.stacked(n)
	case logic:
		if !r.own {
			r.tautology(n)
		}
	case word:
		if r.joins(n) && !r.own {
			r.tautology(n)
		}
		r.word(n)
	case variable:
		r.variable(n)
	default:
	}
}

func (r *reader) word(n int) {
	g := r.groups(n)
	switch {
	case r.is(n, "union", "intersect", "except"):
		if !r.own {
			r.union(n)
		}
	case r.is(n, "select"):
		r.subquery(n)
	}
	if g.Any(lexicon.SQLFunction) {
		r.function(n)
	}
	if g.Any(lexicon.SQLBuiltin) {
		r.chooses(n)
	}
	if g.Any(lexicon.SQLSchema) && r.at(n-1).kind != none {
		r.schema(n)
	}
}

func (r *reader) add(k clue.Kind, n, m int) {
	at, size := r.span(n, m)
	r.found.Add(k, at, size)
}

// short tells whether the value is one that is entered into a field.
func (r *reader) short() bool { return len(r.text.S) < 200 && !r.text.Document() }

// statement tells whether the value itself is a statement, or several: that is what
// services for reports take, and no value within one.
func (r *reader) statement() bool { return r.reading == asIs && r.opens(r.start()) }
