package gate

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/corazawaf/libinjection-go"

	"github.com/outrider-mesh/outrider/proxy/inspect/pattern"
	"github.com/outrider-mesh/outrider/proxy/inspect/seclang"
)

// An answer is whether something matches.
type answer uint8

const (
	no answer = iota
	yes
	// maybe is for what cannot be told; whoever asks takes it for the worse.
	maybe
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return no
}

func (a answer) negate(do bool) answer {
	if !do || a == maybe {
		return a
	}
	return yes - a
}

// An operator compares values as a rule says.
type operator struct {
	name    string
	negated bool
	// argument is filled in for each evaluation, unless it is constant.
	argument text
	// static compares with a constant argument; nil when the argument changes.
	static func(value []byte) answer
	// expression is what @rx compares with.
	expression *expression
	// words are what @pm looks for, in lower case.
	words []string
	// set holds the bytes that @validateByteRange objects to.
	set *pattern.Set
}

// newOperator compiles one; vars are what is known of TX where the rule stands.
func (c *compiler) newOperator(o seclang.Operator) (*operator, error) {
	op := &operator{name: o.Name, negated: o.Negated, argument: parseText(o.Argument).settle(c.vars)}
	var err error
	switch o.Name {
	case "rx":
		if op.expression, err = c.expression(o.Argument); err == nil {
			op.static = op.expression.match
		}
	case "pm":
		op.setWords(strings.Split(strings.ToLower(o.Argument), " "))
	case "pmfromfile", "pmf":
		err = op.readWords(o.Argument, c.options.ReadFile)
	case "validatebyterange":
		op.set, err = bytesOutside(o.Argument)
		op.static = op.outside
	case "validateurlencoding":
		op.static = func(v []byte) answer { return answerOf(!validEscapes(v)) }
	case "detectsqli":
		op.static = detectSQL
	case "detectxss":
		op.static = func(v []byte) answer { return answerOf(libinjection.IsXSS(string(v))) }
	case "ipmatch":
		op.static = ipMatcher(o.Argument)
	case "unconditionalmatch":
		op.static = func([]byte) answer { return yes }
	case "nomatch", "outriderdistinctarguments":
		op.static = func([]byte) answer { return no }
	default:
		err = op.compare()
	}
	if err == nil && slices.Contains(op.words, "") {
		err = errors.New("there is an empty word")
	}
	return op, err
}

// compare prepares the operators whose argument may have variables.
func (o *operator) compare() error {
	test := comparison(o.name)
	if test == nil {
		return fmt.Errorf("operator @%s is not known", o.name)
	}
	if arg, ok := o.argument.constant(); ok {
		o.static = func(v []byte) answer { return answerOf(test(v, arg)) }
	}
	return nil
}

// match compares a value that has gone through the transformations.
func (o *operator) match(v []byte, env *environment) answer {
	if o.static != nil {
		return o.static(v).negate(o.negated)
	}
	if env == nil {
		return maybe
	}
	arg, ok := o.argument.expand(env)
	if !ok {
		return maybe
	}
	return answerOf(comparison(o.name)(v, arg)).negate(o.negated)
}

func comparison(name string) func(v []byte, arg string) bool {
	switch name {
	case "streq":
		return func(v []byte, arg string) bool { return string(v) == arg }
	case "contains":
		return func(v []byte, arg string) bool { return bytes.Contains(v, []byte(arg)) }
	case "within":
		return func(v []byte, arg string) bool { return strings.Contains(arg, string(v)) }
	case "beginswith":
		return func(v []byte, arg string) bool { return bytes.HasPrefix(v, []byte(arg)) }
	case "endswith":
		return func(v []byte, arg string) bool { return bytes.HasSuffix(v, []byte(arg)) }
	case "eq":
		return func(v []byte, arg string) bool { return number(string(v)) == number(arg) }
	case "ge":
		return func(v []byte, arg string) bool { return number(string(v)) >= number(arg) }
	case "gt":
		return func(v []byte, arg string) bool { return number(string(v)) > number(arg) }
	case "le":
		return func(v []byte, arg string) bool { return number(string(v)) <= number(arg) }
	case "lt":
		return func(v []byte, arg string) bool { return number(string(v)) < number(arg) }
	}
	return nil
}

// number is what the engine reads, an error included: nought for what is none,
// the greatest for what is too large.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func (o *operator) setWords(words []string) {
	o.words = words
	o.static = func(v []byte) answer {
		lower := asciiLower(v)
		for _, w := range words {
			if bytes.Contains(lower, []byte(w)) {
				return yes
			}
		}
		return no
	}
}

func asciiLower(v []byte) []byte {
	lower := bytes.Clone(v)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return lower
}

// readWords reads a file of the rule set: a word a line, comments aside.
func (o *operator) readWords(name string, read func(string) ([]byte, error)) error {
	data, err := read(name)
	if err != nil {
		return fmt.Errorf("words of @pmFromFile: %w", err)
	}
	var words []string
	for l := range strings.Lines(string(data)) {
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' {
			words = append(words, strings.ToLower(l))
		}
	}
	o.setWords(words)
	return nil
}

// bytesOutside reads the ranges that are allowed: "9,10,32-126".
func bytesOutside(text string) (*pattern.Set, error) {
	var set pattern.Set
	for i := range set {
		set[i] = true
	}
	for one := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(one), "-")
		if !isRange {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err != nil || err2 != nil || from < 0 || to > 255 {
			return nil, fmt.Errorf("range of bytes %q is not understood", one)
		}
		for b := from; b <= to; b++ {
			set[b] = false
		}
	}
	return &set, nil
}

func (o *operator) outside(v []byte) answer {
	for _, c := range v {
		if o.set[c] {
			return yes
		}
	}
	return no
}

// validEscapes tells whether each % has two digits behind it.
func validEscapes(v []byte) bool {
	for i := 0; i < len(v); i++ {
		if v[i] != '%' {
			continue
		}
		if i+2 >= len(v) || !isHex(v[i+1]) || !isHex(v[i+2]) {
			return false
		}
		i += 2
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// ipMatcher compares with addresses and networks; what is neither is left out.
func ipMatcher(list string) func(v []byte) answer {
	var networks []*net.IPNet
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		switch {
		case strings.Contains(one, "/"):
		case strings.Contains(one, ":"):
			one += "/128"
		case strings.Contains(one, "."):
			one += "/32"
		}
		if _, n, err := net.ParseCIDR(one); err == nil {
			networks = append(networks, n)
		}
	}
	return func(v []byte) answer {
		ip := net.ParseIP(string(v))
		for _, n := range networks {
			if n.Contains(ip) {
				return yes
			}
		}
		return no
	}
}
