package bodies

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	errGraphQL      = errors.New("the document has a token that GraphQL does not")
	errGraphQLDepth = errors.New("the document is nested too deep, or not closed")
)

// GraphQL reads a document of GraphQL: each text in it is named by its place,
// "graphql.user.name" in {user(name: "…")}. Names and numbers hold no attack, and as one
// value a document looks like code to rules. What does not consist of the tokens of
// GraphQL is an error.
func GraphQL(document string, to *Sink) error {
	w := graphql{Sink: to, rest: document}
	return w.document()
}

// graphql goes through the tokens of a document (GraphQL §2.1, October 2021).
type graphql struct {
	*Sink
	rest  string
	stack []string // what stands before each open bracket
	name  string   // what stood last
	path  []byte   // for place
}

func (w *graphql) document() error {
	for !w.Ended() {
		w.rest = strings.TrimLeft(w.rest, " \t\r\n,\ufeff")
		if w.rest == "" {
			break
		}
		if err := w.token(w.rest[0]); err != nil {
			return err
		}
	}
	if len(w.stack) > 0 && !w.Ended() {
		return errGraphQLDepth
	}
	return nil
}

func (w *graphql) token(c byte) error {
	switch {
	case c == '#':
		_, w.rest, _ = strings.Cut(w.rest, "\n")
	case c == '"':
		return w.text()
	case strings.IndexByte("({[", c) >= 0:
		w.stack = append(w.stack, w.name)
		w.name, w.rest = "", w.rest[1:]
		if len(w.stack) > maxDepth {
			return errGraphQLDepth
		}
	case strings.IndexByte(")}]", c) >= 0:
		if len(w.stack) == 0 {
			return errGraphQLDepth
		}
		last := len(w.stack) - 1
		w.name, w.stack, w.rest = w.stack[last], w.stack[:last], w.rest[1:]
	case strings.IndexByte("!$&:=@|.-", c) >= 0:
		w.rest = w.rest[1:]
	case isNameByte(c):
		n := 1
		for n < len(w.rest) && (isNameByte(w.rest[n]) || strings.IndexByte("+-.", w.rest[n]) >= 0 && isDigit(c)) {
			n++
		}
		w.name, w.rest = w.rest[:n], w.rest[n:]
	default:
		return errGraphQL
	}
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isNameByte(c byte) bool {
	return c == '_' || isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// place names where the walk is, until it is called again.
func (w *graphql) place() []byte {
	w.path = append(w.path[:0], "graphql"...)
	for _, name := range w.stack {
		w.step(name)
	}
	w.step(w.name)
	return w.path
}

func (w *graphql) step(name string) {
	if name != "" {
		w.path = append(append(w.path, '.'), name...)
	}
}

// text takes a string or a block of text, in three quotes.
func (w *graphql) text() error {
	if w.Left <= 0 {
		w.Full = true
		return nil
	}
	if block, ok := strings.CutPrefix(w.rest, `"""`); ok {
		for end := 0; ; end += 3 {
			i := strings.Index(block[end:], `"""`)
			if i < 0 {
				return errGraphQL
			}
			if end += i; end > 0 && block[end-1] == '\\' {
				continue
			}
			w.put(w.place(), strings.ReplaceAll(block[:end], `\"""`, `"""`))
			w.rest = block[end+3:]
			return nil
		}
	}
	value, rest, ok := unquoteGraphQL(w.rest[1:])
	if !ok {
		return errGraphQL
	}
	w.put(w.place(), value)
	w.rest = rest
	return nil
}

// unquoteGraphQL reads up to the closing quote.
func unquoteGraphQL(s string) (value, rest string, ok bool) {
	var b []byte
	for len(s) > 0 && s[0] != '\n' && s[0] != '\r' {
		switch {
		case s[0] == '"':
			return string(b), s[1:], true
		case s[0] != '\\':
			b, s = append(b, s[0]), s[1:]
			continue
		case len(s) < 2:
			return "", "", false
		}
		if s[1] == 'u' {
			r, after, ok := unicodeEscape(s[2:])
			if !ok {
				return "", "", false
			}
			b, s = utf8.AppendRune(b, r), after
			continue
		}
		i := strings.IndexByte(`"\/bfnrt`, s[1])
		if i < 0 {
			return "", "", false
		}
		b, s = append(b, "\"\\/\b\f\n\r\t"[i]), s[2:]
	}
	return "", "", false
}

// unicodeEscape reads what follows \u: four digits, or any number in braces.
func unicodeEscape(s string) (r rune, rest string, ok bool) {
	digits, rest := "", s
	if braced, found := strings.CutPrefix(s, "{"); found {
		digits, rest, ok = strings.Cut(braced, "}")
		if !ok {
			return 0, "", false
		}
	} else if len(s) >= 4 {
		digits, rest = s[:4], s[4:]
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || n > utf8.MaxRune {
		return 0, "", false
	}
	return rune(n), rest, true
}
