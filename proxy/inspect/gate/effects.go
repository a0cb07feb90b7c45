package gate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/seclang"
)

// silent are actions that change nothing of a verdict.
func silent(name string) bool {
	switch name {
	case "id", "phase", "t", "log", "nolog", "auditlog", "noauditlog", "msg", "logdata", "tag", "ver", "rev",
		"severity", "maturity", "accuracy", "capture", "chain", "multimatch", "status",
		"pass", "block", "deny", "drop", "redirect", "skip", "skipafter":
		return true
	}
	return false
}

// addEffects reads what a link's match changes. What is not known makes the match
// count, so that the engine decides then.
func (c *compiler) addEffects(of *rule, l *link, r *seclang.Rule) error {
	for _, a := range r.Actions {
		switch {
		case silent(a.Name):
		case a.Name == "setvar":
			if err := c.addSet(l, a.Value); err != nil {
				return err
			}
		case a.Name == "ctl":
			c.addControl(of, l, a.Value)
		default:
			l.counts = true
		}
	}
	return nil
}

// addSet reads "tx.name=value".
func (c *compiler) addSet(l *link, text string) error {
	if isScore(text) {
		l.counts = l.counts || !strings.HasSuffix(text, "=0")
	}
	name, value, _ := strings.Cut(text, "=")
	collection, key, ok := strings.Cut(name, ".")
	if !ok || !strings.EqualFold(collection, "tx") {
		return fmt.Errorf("setvar %q is not understood", text)
	}
	l.effects = append(l.effects, effect{set: &assign{
		name:  parseText(strings.ToLower(key)).settle(c.vars),
		value: parseText(value).settle(c.vars),
	}})
	return nil
}

// addControl reads "name=value" of ctl.
func (c *compiler) addControl(of *rule, l *link, text string) {
	name, value, _ := strings.Cut(text, "=")
	var e effect
	ok := false
	switch strings.ToLower(name) {
	case "auditengine", "auditlogparts", "debugloglevel":
		return
	case "requestbodyprocessor":
		e.processor, ok = strings.ToUpper(value), of.phase == 1
	case "forcerequestbodyvariable":
		e.force, ok = true, of.phase == 1 && strings.EqualFold(value, "on")
	case "ruleremovebyid":
		e, ok = c.removal(of, byID(value))
	case "ruleremovebytag":
		e, ok = c.removal(of, byTag(value))
	case "ruleremovetargetbyid":
		e, ok = c.exemption(of, value, byID)
	case "ruleremovetargetbytag":
		e, ok = c.exemption(of, value, byTag)
	}
	if !ok {
		l.counts = true
		return
	}
	l.effects = append(l.effects, e)
}

// byID picks rules by an id or a range of ids.
func byID(text string) func(*seclang.Rule) bool {
	first, last, isRange := strings.Cut(text, "-")
	from, err := strconv.Atoi(strings.TrimSpace(first))
	to := from
	if isRange && err == nil {
		to, err = strconv.Atoi(strings.TrimSpace(last))
	}
	if err != nil {
		return func(*seclang.Rule) bool { return false }
	}
	return func(r *seclang.Rule) bool { return from <= r.ID && r.ID <= to }
}

func byTag(tag string) func(*seclang.Rule) bool {
	return func(r *seclang.Rule) bool { return slices.Contains(r.Tags, tag) }
}

// removal takes rules out of a request. Only rules that come later are taken out,
// and only such whose match would count: then it does no harm to look at them too
// early. Anything else is not modelled.
func (c *compiler) removal(of *rule, pick func(*seclang.Rule) bool) (effect, bool) {
	bits, all := c.placesOf(pick)
	return effect{remove: bits}, c.removable(of, all)
}

func (c *compiler) removable(of *rule, rules []*seclang.Rule) bool {
	if of.phase != 1 {
		return false
	}
	early := slices.ContainsFunc(c.rules[:of.place], func(r *seclang.Rule) bool { return slices.Contains(rules, r) })
	return !early && !slices.ContainsFunc(rules, func(r *seclang.Rule) bool { return !countsInTheEnd(r) })
}

// countsInTheEnd tells that a rule's whole match counts, and that others see no more
// of it than variables, which is checked where chains are kept.
func countsInTheEnd(r *seclang.Rule) bool {
	chain := r.Chain()
	controls := slices.ContainsFunc(chain, func(l *seclang.Rule) bool {
		return slices.ContainsFunc(l.Actions[:], func(a seclang.Action) bool {
			return a.Name == "ctl" && l != chain[len(chain)-1]
		})
	})
	return !controls && (r.Disruptive() != "pass" || scores(chain[len(chain)-1]))
}

// exemption reads "942100;ARGS:q".
func (c *compiler) exemption(of *rule, text string, by func(string) func(*seclang.Rule) bool) (effect, bool) {
	of2, target, _ := strings.Cut(text, ";")
	variable, key, _ := strings.Cut(target, ":")
	bits, all := c.placesOf(by(of2))
	x := &exemption{rules: bits, variable: strings.ToUpper(strings.TrimSpace(variable))}
	if strings.HasPrefix(key, "/") {
		// What a pattern would exempt is looked at all the same.
		return effect{exempt: &exemption{variable: "NONE"}}, c.removable(of, all)
	}
	x.key = selector{text: strings.ToLower(strings.TrimSpace(key))}
	return effect{exempt: x}, c.removable(of, all)
}
