package gate

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/outrider-mesh/outrider/proxy/inspect/pattern"
)

// An expression is the argument of @rx. What matches it is compiled at the first
// use: of most expressions their necessary conditions are all that is ever asked
// for, and compiled they would take megabytes.
type expression struct {
	// tree is there while the gate is built.
	tree   *syntax.Regexp
	groups int
	// binary expressions are about bytes, not characters: each byte is taken for
	// the character of that number. legible tells that nothing else differs.
	binary  bool
	legible bool
	// caseless tells that it does not tell letters of ASCII from their other case.
	caseless bool
	compile  func() *regexp.Regexp
	matcher  func() *pattern.Matcher
}

func newExpression(source string, budget *pattern.Budget) (*expression, error) {
	e := &expression{binary: namesBytes(source)}
	if !e.binary {
		source = "(?sm)" + source // as the engine does
	}
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("expression: %w", err)
	}
	e.tree, e.groups, e.caseless = tree, tree.MaxCap(), pattern.Caseless(tree)
	e.legible = !strings.Contains(source, "(?i") && isASCII([]byte(source))
	e.compile = sync.OnceValue(func() *regexp.Regexp {
		re, err := regexp.Compile(source)
		if err != nil {
			return nil // it has been parsed, so only its size can be wrong
		}
		return re
	})
	e.matcher = sync.OnceValue(func() *pattern.Matcher {
		tree, err := syntax.Parse(source, syntax.Perl)
		if err != nil {
			return nil // which cannot be, as above
		}
		return pattern.NewMatcher(tree, budget)
	})
	return e, nil
}

func (e *expression) match(v []byte) answer {
	if e.binary && !isASCII(v) {
		if !e.legible {
			return maybe
		}
		v = asCharacters(v)
	}
	if m := e.matcher(); m != nil {
		if matches, ok := m.Match(v); ok {
			return answerOf(matches)
		}
	}
	re := e.compile()
	if re == nil {
		return maybe
	}
	return answerOf(re.Match(v))
}

func isASCII(v []byte) bool {
	for _, c := range v {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// asCharacters makes a character of each byte.
func asCharacters(v []byte) []byte {
	out := make([]byte, 0, 2*len(v))
	for _, c := range v {
		out = utf8.AppendRune(out, rune(c))
	}
	return out
}

// literals are texts that a match contains. The tree of a binary expression has
// bytes for characters, so that only its ASCII can be trusted.
func (e *expression) literals() []string { return pattern.Literals(e.tree) }

// namesBytes tells whether the engine takes an expression for one about bytes: it
// has escapes like \xbc that make no UTF-8 where they stand.
func namesBytes(source string) bool {
	var decoded []byte
	for i := 0; i < len(source); i++ {
		c, size := escapedByte(source[i:])
		decoded = append(decoded, c)
		i += size - 1
	}
	return !utf8.Valid(decoded)
}

// escapedByte reads \xbc and \x{bc}; anything else is one byte as it stands.
func escapedByte(s string) (c byte, size int) {
	digits, rest := "", ""
	if body, ok := strings.CutPrefix(s, `\x{`); ok {
		digits, rest, _ = strings.Cut(body, "}")
		size = len(s) - len(rest)
	} else if body, ok := strings.CutPrefix(s, `\x`); ok && len(body) >= 2 {
		digits, size = body[:2], 4
	}
	if len(digits) < 2 || !isHex(digits[0]) || !isHex(digits[1]) {
		return s[0], 1
	}
	return hexByte(digits), size
}

func hexByte(digits string) byte {
	var n byte
	for i := range 2 {
		c := digits[i] | 0x20
		if c >= 'a' {
			c = c - 'a' + 10 + '0'
		}
		n = n<<4 | (c - '0')
	}
	return n
}

// caseless tells that the case of ASCII's letters makes no difference to an operator.
func (o *operator) caseless() bool {
	return o.words != nil || o.expression != nil && o.expression.caseless
}
