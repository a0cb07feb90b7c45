package gate

import (
	"errors"
	"slices"
	"strconv"

	"github.com/outrider-mesh/outrider/proxy/inspect/decode"
	"github.com/outrider-mesh/outrider/proxy/inspect/seclang"
)

// settled tells whether a rule matches in every request, in none, or depends.
func (c *compiler) settled(r *rule) answer {
	result := yes
	for n, l := range r.links {
		a := c.settledLink(l)
		if n > 0 && len(r.links[0].effects) > 0 || l.capture && len(l.targets) == 0 {
			a = maybe // what the first has set is not set yet
		}
		switch {
		case a == no && result == yes:
			return no
		case a == no && !changesAnything(r.links[:n]):
			return no
		case a != yes:
			result = maybe
		}
	}
	return result
}

func changesAnything(links []*link) bool {
	return slices.ContainsFunc(links, func(l *link) bool { return len(l.effects) > 0 || l.counts })
}

// settledLink evaluates a link whose targets never change.
func (c *compiler) settledLink(l *link) answer {
	switch {
	case l.opaque:
		return maybe
	case l.operator == nil:
		return yes
	}
	var buf decode.Buffer
	env := environment{fixed: c.vars.fixed}
	result := no
	for i := range l.targets {
		values, ok := c.fixedValues(&l.targets[i])
		if !ok || l.capture && result == no && len(values) > 0 {
			return maybe
		}
		for _, v := range values {
			a := l.test([]byte(v), &env, &buf, false)
			if a == maybe {
				return maybe
			}
			result = max(result, a)
		}
	}
	return result
}

// fixedValues lists the values of a target that are the same in every request.
func (c *compiler) fixedValues(t *target) (values []string, ok bool) {
	switch {
	case t.fixed != nil:
		values = []string{*t.fixed}
	case t.tx:
		if values, ok = c.fixedVariables(t); !ok {
			return nil, false
		}
	case len(t.parts) > 0:
		return nil, false
	}
	if t.count {
		return []string{strconv.Itoa(len(values))}, true
	}
	return values, true
}

// fixedVariables lists what a target picks of TX.
func (c *compiler) fixedVariables(t *target) (values []string, ok bool) {
	if name := t.key.text; name != "" {
		if c.vars.changes(name) {
			return nil, false
		}
		if v, exists := c.vars.fixed[name]; exists {
			values = append(values, v)
		}
		return values, true
	}
	if t.key.pattern == nil || c.vars.mayPick(t.key.pattern) {
		return nil, false
	}
	for name, v := range c.vars.fixed {
		if t.picks(name) {
			values = append(values, v)
		}
	}
	return values, true
}

var errAlways = errors.New("it matches every request")

// always applies a rule that matches in every request.
func (c *compiler) always(r *seclang.Rule, compiled *rule) (skip string, err error) {
	if compiled.counts || r.Has("skip") {
		return "", errAlways
	}
	for _, l := range compiled.links {
		for _, e := range l.effects {
			if e.set == nil || !c.assign(e.set) {
				c.programs[compiled.phase] = append(c.programs[compiled.phase], compiled)
				break
			}
		}
	}
	skip, _ = r.Action("skipafter")
	return skip, nil
}

// assign sets a variable once and for all; ok is false when it cannot be told.
func (c *compiler) assign(a *assign) (ok bool) {
	name, known := a.name.constant()
	v, fixed := a.value.constant()
	if !known || !fixed || c.vars.changes(name) {
		return false
	}
	if v != "" && (v[0] == '+' || v[0] == '-') {
		n, err := strconv.Atoi(v[1:])
		if err != nil {
			return false
		}
		if v[0] == '-' {
			n = -n
		}
		v = strconv.Itoa(number(c.vars.fixed[name]) + n)
	}
	c.vars.fixed[name] = v
	return true
}
