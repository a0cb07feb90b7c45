package gate

import (
	"bytes"
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
	tree   *syntax.Regexp
	groups int
	// binary expressions are about bytes, not characters. We read them on ASCII
	// only, where there is no difference.
	binary  bool
	compile func() *regexp.Regexp
}

func newExpression(source string) (*expression, error) {
	e := &expression{binary: namesBytes(source)}
	if !e.binary {
		source = "(?sm)" + source // as the engine does
	}
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("expression: %w", err)
	}
	e.tree, e.groups = tree, tree.MaxCap()
	e.compile = sync.OnceValue(func() *regexp.Regexp {
		re, err := regexp.Compile(source)
		if err != nil {
			return nil // it has been parsed, so only its size can be wrong
		}
		return re
	})
	return e, nil
}

func (e *expression) match(v []byte) answer {
	re := e.ready(v)
	if re == nil {
		return maybe
	}
	return answerOf(re.Match(v))
}

// ready returns what can match a value; nil when nothing can.
func (e *expression) ready(v []byte) *regexp.Regexp {
	if e.binary && bytes.ContainsFunc(v, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return nil
	}
	return e.compile()
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
