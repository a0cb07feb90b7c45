package gate

import (
	"errors"
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/seclang"
)

var errName = errors.New("it sets a variable whose name is not known")

// keep finds the place of a rule that depends on the request. It is compiled once
// more, now that the variables are known to change which it sets on its way.
func (c *compiler) keep(r *seclang.Rule, place int) error {
	strangers, private := c.strangers(r)
	if err := c.announce(r); err != nil {
		return err
	}
	compiled, err := c.newRule(r, place)
	if err != nil {
		return err
	}
	c.shorten(compiled)
	promote(compiled)
	first := compiled.links[0]
	switch {
	case isProbe(compiled):
		c.probes = append(c.probes, compiled)
	case compiled.counts && onlyFields(partsOfLink(first)) && !counting(first) && private && ownVariables(compiled):
		compiled.strangers = strangers
		c.fields = append(c.fields, compiled)
	case hasBulk(first) && !counting(first) && !hasVariables(first):
		// Without a match nothing follows from it. A match is left to the engine.
		compiled.counts = true
		c.probes = append(c.probes, compiled)
	default:
		c.programs[compiled.phase] = append(c.programs[compiled.phase], compiled)
	}
	return nil
}

// shorten drops links at the beginning that match in every request and do nothing.
func (c *compiler) shorten(r *rule) {
	for len(r.links) > 1 {
		l := r.links[0]
		if l.capture || changesAnything(r.links[:1]) || c.settledLink(l) != yes {
			return
		}
		r.links = r.links[1:]
	}
}

// promote reduces a chain that counts to the one of its links that looks at arguments,
// if a match of the others changes nothing by itself: the chain cannot match unless
// that link does, and its values are looked at anyway.
func promote(r *rule) {
	last := len(r.links) - 1
	if !r.counts || hasBulk(r.links[0]) || changesAnything(r.links[:last]) {
		return
	}
	for _, l := range r.links {
		if !l.opaque && hasBulk(l) && !counting(l) && !hasVariables(l) {
			r.links = []*link{l}
			return
		}
	}
}

// isProbe tells rules that look at values one by one. Of a chain on arguments only
// the first link is looked at.
func isProbe(r *rule) bool {
	first := r.links[0]
	if !r.counts && !first.counts || first.opaque || first.operator == nil || counting(first) || hasVariables(first) || fixedOnly(first) {
		return false
	}
	parts := partsOfLink(first)
	if len(r.links) > 1 {
		return slices.ContainsFunc(parts, isBulk)
	}
	return !slices.ContainsFunc(parts, isState)
}

// isBulk tells the parts of which there may be many, or large ones.
func isBulk(p part) bool {
	return p <= cookieName || p == body || p == query || p == uri || p == uriRaw || p == filename
}

// isState tells the parts that are known only when a phase begins.
func isState(p part) bool {
	switch p {
	case bodyLength, bodyError, filesSize, partial, processor, limitReached, parseError:
		return true
	default:
		return false
	}
}

func partsOfLink(l *link) []part {
	var all []part
	for _, t := range l.targets {
		all = append(all, t.parts...)
	}
	return all
}

func counting(l *link) bool {
	return slices.ContainsFunc(l.targets, func(t target) bool { return t.count })
}

func hasVariables(l *link) bool {
	return slices.ContainsFunc(l.targets, func(t target) bool { return t.tx })
}

func fixedOnly(l *link) bool {
	return !slices.ContainsFunc(l.targets, func(t target) bool { return len(t.parts) > 0 })
}

func hasBulk(l *link) bool {
	return slices.ContainsFunc(partsOfLink(l), func(p part) bool { return p <= cookieName || p == body })
}

// ownVariables tells that all links but the first look at variables only.
func ownVariables(r *rule) bool {
	return !slices.ContainsFunc(r.links[1:], func(l *link) bool {
		return counting(l) || slices.ContainsFunc(l.targets, func(t target) bool { return !t.tx })
	})
}

// setNames lists the variables that a rule may set without counting.
func setNames(r *seclang.Rule) (names []string) {
	chain := r.Chain()
	countsLast := r.Disruptive() != "pass" || scores(chain[len(chain)-1])
	for n, l := range chain {
		if n == len(chain)-1 && countsLast {
			break
		}
		for _, a := range l.Actions {
			if a.Name == "setvar" {
				name, _, _ := strings.Cut(strings.ToLower(a.Value), "=")
				names = append(names, strings.TrimPrefix(name, "tx."))
			}
		}
	}
	return names
}

// announce marks the variables that a rule may set as changing.
func (c *compiler) announce(r *seclang.Rule) error {
	for _, name := range setNames(r) {
		prefix, _, open := strings.Cut(name, "%{")
		switch {
		case !open:
			c.vars.dynamic[name] = true
		case prefix == "":
			return errName
		default:
			c.vars.prefixes = append(c.vars.prefixes, prefix)
		}
	}
	return nil
}

// strangers are what other rules read of TX by patterns that may meet what a rule
// sets. Private is false where another names it.
func (c *compiler) strangers(r *seclang.Rule) (patterns []selector, private bool) {
	for _, name := range setNames(r) {
		prefix, _, open := strings.Cut(name, "%{")
		for _, other := range c.rules {
			if other == r || other.Mark != "" || c.idle[other] {
				continue
			}
			met, named := readers(other, prefix, open)
			if named {
				return nil, false
			}
			patterns = append(patterns, met...)
		}
	}
	return patterns, true
}

// readers tells whether a rule names a variable, whose name may have a beginning
// only, and lists its patterns that may pick it.
func readers(r *seclang.Rule, prefix string, open bool) (patterns []selector, named bool) {
	for _, l := range r.Chain() {
		if mentions(l, prefix) {
			return nil, true
		}
		for _, t := range l.Targets {
			if t.Variable != "TX" {
				continue
			}
			if t.Key.Pattern == "" {
				text := strings.ToLower(t.Key.Text)
				named = named || text == "" || text == prefix || open && strings.HasPrefix(text, prefix)
				continue
			}
			s, err := newSelector(t.Key, true)
			if err != nil {
				return nil, true
			}
			if mayMeet(s.pattern, prefix) {
				patterns = append(patterns, s)
			}
		}
	}
	return patterns, named
}

// mentions tells whether a rule's texts have a variable.
func mentions(l *seclang.Rule, name string) bool {
	needle := "%{tx." + name
	if strings.Contains(strings.ToLower(l.Operator.Argument), needle) {
		return true
	}
	return slices.ContainsFunc(l.Actions, func(a seclang.Action) bool {
		return (a.Name == "setvar" || a.Name == "ctl") && strings.Contains(strings.ToLower(a.Value), needle)
	})
}

// readsCaptures tells whether a chain reads what its expressions capture.
func readsCaptures(r *seclang.Rule) bool {
	for n := range 10 {
		for _, l := range r.Chain() {
			if mentions(l, captured(n)+"}") {
				return true
			}
			if slices.ContainsFunc(l.Targets, func(t seclang.Target) bool { return t.Variable == "TX" && t.Key.Text == captured(n) }) {
				return true
			}
		}
	}
	return false
}
