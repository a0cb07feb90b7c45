package gate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/seclang"
)

// A target is a variable of a rule, ready to be compared with.
type target struct {
	variable string
	parts    []part
	key      selector
	except   []selector
	count    bool
	// tx tells that the variable is TX, which has no part.
	tx bool
	// fixed is the value of a constant.
	fixed *string
}

// A selector picks keys of a collection; the zero value picks all.
type selector struct {
	text    string // in lower case
	pattern *regexp.Regexp
}

func newTarget(t seclang.Target) (target, error) {
	c := target{variable: t.Variable, count: t.Count, tx: t.Variable == "TX"}
	if value, ok := constant(t.Variable); ok {
		c.fixed = &value
	} else if !c.tx {
		if c.parts, ok = partsOf(t.Variable); !ok {
			return target{}, fmt.Errorf("variable %s is not known", t.Variable)
		}
	}
	var err error
	if c.key, err = newSelector(t.Key, !caseSensitive(t.Variable)); err != nil {
		return target{}, err
	}
	for _, k := range t.Except {
		s, err := newSelector(k, !caseSensitive(t.Variable))
		if err != nil {
			return target{}, err
		}
		c.except = append(c.except, s)
	}
	if c.key.text != "" && slices.Contains(c.except, c.key) {
		c.parts = nil // it is taken out again
	}
	return c, nil
}

// caseSensitive tells the variables whose patterns the engine takes as they are.
func caseSensitive(variable string) bool { return strings.HasPrefix(variable, "ARGS") }

// newSelector compiles a key. The engine lowers the pattern's own case.
func newSelector(k seclang.Key, fold bool) (selector, error) {
	if k.Pattern == "" {
		return selector{text: strings.ToLower(k.Text)}, nil
	}
	if fold {
		k.Pattern = strings.ToLower(k.Pattern)
	}
	re, err := regexp.Compile(k.Pattern)
	if err != nil {
		return selector{}, fmt.Errorf("pattern of keys: %w", err)
	}
	return selector{pattern: re}, nil
}

// picks compares with a key of any case; the engine lowers keys, too.
func (s selector) picks(key string) bool {
	switch {
	case s.pattern != nil:
		return s.pattern.MatchString(strings.ToLower(key))
	case s.text == "":
		return true
	}
	return equalFold(s.text, key) || !isASCII([]byte(key)) && strings.ToLower(key) == s.text
}

// takesAll tells that no key is left out.
func (t *target) takesAll() bool { return t.key == selector{} && len(t.except) == 0 }

func (t *target) picks(key string) bool {
	return t.key.picks(key) && !slices.ContainsFunc(t.except, func(s selector) bool { return s.picks(key) })
}
