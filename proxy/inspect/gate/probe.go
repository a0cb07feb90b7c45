package gate

import (
	"regexp/syntax"

	"github.com/outrider-mesh/outrider/proxy/inspect/decode"
	"github.com/outrider-mesh/outrider/proxy/inspect/pattern"
)

// A probe is a rule's first link with what it needs.
type probe struct {
	rule *rule
	link *link
	need pattern.Need
	// shortest is how long a value must be.
	shortest int
	// texts tells that the automaton knows the probe, text how long the shortest is.
	texts bool
	text  int
	// harmless tells of some values at a glance that they don't match; nil for none.
	harmless func(v []byte) bool
	// chains are its transformations, or all beginnings of them.
	chains []decode.Chain
	// narrow are the same probe for values of fewer classes, where there are texts
	// to look for although in general there are none; narrowest first.
	narrow []narrowed
}

type narrowed struct {
	within pattern.Mask
	probe  int
	// erase tells that the quotes are taken out of a value first.
	erase bool
}

// quotes are what rules against shells allow for between any two letters of a word.
// An expression says of a value without them what it says of the value, if they are
// taken out of the expression, too: what is left of a match is in what is left.
func quotes() pattern.Set { return pattern.SetOf("\"'()[]\\^") }

// calm are the bytes that most values consist of. Rules against shells, for one, allow
// for quotes and backslashes between any two letters of a command; without those, what
// is left are the commands, which can be looked for. Narrowest first.
func calm() []string {
	const inert = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
	return []string{inert, inert + " ,:+", inert + " ,:/@+", inert + " ,:/@+=?%#!~\n\r\t", inert + " ,:/@+=?%#!~\n\r\t;"}
}

// addProbe works out what a rule's first link needs.
func (g *Gate) addProbe(r *rule, texts *[]pattern.Text) {
	l := r.links[0]
	pr := probe{rule: r, link: l, chains: l.stages}
	if pr.chains == nil {
		pr.chains = []decode.Chain{l.chain}
	}
	o := l.operator
	if !o.negated {
		pr.need, pr.shortest = g.needOf(o), shortestOf(o)
		if o.name == "detectsqli" {
			pr.harmless = oneWord
		}
	}
	found := textsOf(o)
	n := len(g.probes)
	g.probes = append(g.probes, pr)
	g.addTexts(n, found, texts)
	if len(found) == 0 && o.expression != nil && !o.negated {
		g.narrow(n, texts)
	}
}

func (g *Gate) addTexts(n int, found []string, texts *[]pattern.Text) {
	for _, t := range found {
		pr := &g.probes[n]
		if !pr.texts || len(t) < pr.text {
			pr.texts, pr.text = true, len(t)
		}
		*texts = append(*texts, pattern.Text{Text: t, Owner: n})
	}
}

// narrow adds probes for calm values.
func (g *Gate) narrow(n int, texts *[]pattern.Text) {
	tree := g.probes[n].link.operator.expression.tree
	for _, bytes := range calm() {
		g.narrowTo(n, tree, narrowed{within: g.classes.Bytes(bytes)}, texts)
	}
	erased := quotes()
	tree = pattern.Erase(tree, &erased)
	dollar := g.classes.Bytes("$")
	g.narrowTo(n, tree, narrowed{within: g.classes.All &^ dollar &^ g.classes.Foreign, erase: true}, texts)
	g.narrowTo(n, tree, narrowed{within: g.classes.All &^ dollar, erase: true}, texts)
}

// narrowTo adds one if there are texts to look for.
func (g *Gate) narrowTo(n int, tree *syntax.Regexp, o narrowed, texts *[]pattern.Text) {
	left := o.within
	if o.erase {
		left &^= g.classes.quotes
	}
	re := g.classes.Restrict(tree, left)
	if re == nil {
		return // nothing matches, which the need says
	}
	found := pattern.Literals(re)
	if len(found) == 0 {
		return
	}
	o.probe = len(g.probes)
	pr := g.probes[n]
	pr.narrow = nil
	pr.need, pr.shortest = g.classes.NeedOf(re), pattern.MinLength(re)
	g.probes[n].narrow = append(g.probes[n].narrow, o)
	g.probes = append(g.probes, pr)
	g.addTexts(o.probe, found, texts)
}

// fitting returns the probe that stands for n where values have these classes.
func (g *Gate) fitting(n int, m pattern.Mask) (probe int, erase bool) {
	for _, o := range g.probes[n].narrow {
		if m&^o.within == 0 {
			return o.probe, o.erase
		}
	}
	return n, false
}

// needOf is what a value needs for an operator to match it.
func (g *Gate) needOf(o *operator) pattern.Need {
	switch {
	case o.expression != nil:
		return g.classes.NeedOf(o.expression.tree)
	case o.words != nil:
		return g.classes.NeedOfTexts(o.words)
	case o.set != nil:
		return pattern.Some(g.classes.Set(o.set))
	}
	arg, constant := o.argument.constant()
	switch {
	case o.name == "detectxss":
		// Every finding of libinjection is a tag, a comment or an attribute with a
		// value: one of these is in all of them.
		return pattern.Some(g.classes.Bytes("<="))
	case o.name == "validateurlencoding":
		return pattern.Some(g.classes.percent)
	case constant && comparesText(o.name):
		return g.classes.NeedOfText(arg)
	}
	return pattern.Need{}
}

// comparesText tells the operators that match only values which contain their
// argument.
func comparesText(name string) bool {
	return name == "streq" || name == "contains" || name == "beginswith" || name == "endswith"
}

// textsOf are the texts of which a value must have one; none where there is no such
// list.
func textsOf(o *operator) []string {
	switch {
	case o.negated:
		return nil
	case o.expression != nil:
		return o.expression.literals()
	case o.words != nil:
		return pattern.Texts(o.words)
	}
	if arg, ok := o.argument.constant(); ok && comparesText(o.name) {
		return pattern.Texts([]string{arg})
	}
	return nil
}

// shortestOf is how long a value is at least that an operator matches.
func shortestOf(o *operator) int {
	switch {
	case o.expression != nil:
		return pattern.MinLength(o.expression.tree)
	case o.words != nil:
		n := len(o.words[0])
		for _, w := range o.words {
			n = min(n, len(w))
		}
		return n
	}
	if arg, ok := o.argument.constant(); ok && comparesText(o.name) {
		return len(arg)
	}
	return 0
}
