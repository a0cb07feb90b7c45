package gate

import (
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/pattern"
	"github.com/outrider-mesh/outrider/proxy/inspect/seclang"
)

// A compiler sorts the rules of a set. What it does follows the order in which the
// engine would run them, for a rule's place decides what it can know.
type compiler struct {
	options Options
	vars    *variables
	budget  *pattern.Budget
	// expressions are parsed once, however often a rule is compiled.
	expressions map[string]*expression
	// idle are rules that never run, as a first run has found.
	idle map[*seclang.Rule]bool
	// rules are in order of evaluation, both phases; marks included.
	rules []*seclang.Rule

	probes   []*rule
	fields   []*rule
	kept     map[*seclang.Rule]bool
	programs [3][]*rule // by phase
	refused  []Refusal
}

// stateBytes bounds the states of all expressions of a gate. Those of typical traffic
// take some hundred KiB.
const stateBytes = 4 << 20

// A Refusal is a rule that is not understood, and why.
type Refusal struct {
	Rule   int
	Reason string
}

func newCompiler(set *seclang.Set, options Options) *compiler {
	c := &compiler{
		options: options,
		budget:  pattern.NewBudget(stateBytes),
		vars:    &variables{fixed: map[string]string{}, dynamic: map[string]bool{}},
		idle:    map[*seclang.Rule]bool{},
		kept:    map[*seclang.Rule]bool{},

		expressions: map[string]*expression{},
	}
	for _, name := range options.Variables {
		c.vars.dynamic[strings.ToLower(name)] = true
	}
	for phase := 1; phase <= 2; phase++ {
		for _, r := range set.Rules {
			if r.Phase == phase || r.Mark != "" {
				c.rules = append(c.rules, r)
			}
		}
	}
	return c
}

// compile sorts the rules of a set, twice: the second time it is known which of them
// never run and need not be minded.
func compile(set *seclang.Set, options Options) *compiler {
	first := newCompiler(set, options)
	first.run()
	c := newCompiler(set, options)
	c.expressions, c.budget = first.expressions, first.budget
	for _, r := range c.rules {
		c.idle[r] = !first.kept[r]
	}
	c.run()
	return c
}

// expression parses the argument of @rx.
func (c *compiler) expression(source string) (*expression, error) {
	if e, ok := c.expressions[source]; ok {
		return e, nil
	}
	e, err := newExpression(source, c.budget)
	if err == nil {
		c.expressions[source] = e
	}
	return e, err
}

// run sorts all rules.
func (c *compiler) run() {
	boundary := 0 // marks stand in both phases, so the second begins at its first rule
	for i, r := range c.rules {
		if r.Mark == "" && r.Phase == 1 {
			boundary = i + 1
		}
	}
	skip := ""
	for place, r := range c.rules {
		if place == boundary {
			skip = ""
		}
		switch {
		case skip != "":
			if r.Mark == skip {
				skip = ""
			}
		case r.Mark != "":
		default:
			skip = c.sort(r, place)
		}
	}
}

// sort decides what becomes of one rule. It returns the mark up to which rules
// are left out in every request.
func (c *compiler) sort(r *seclang.Rule, place int) (skip string) {
	compiled, err := c.newRule(r, place)
	if err != nil {
		// What a first link never lets happen need not be understood.
		if l, first := c.newLink(r); first != nil || c.settledLink(l) != no {
			c.refuse(r, err)
		}
		return ""
	}
	switch c.settled(compiled) {
	case no:
	case yes:
		c.kept[r] = true
		skip, err = c.always(r, compiled)
	case maybe:
		c.kept[r] = true
		err = c.keep(r, place)
	}
	if err != nil {
		c.refuse(r, err)
	}
	return skip
}

func (c *compiler) refuse(r *seclang.Rule, err error) {
	c.refused = append(c.refused, Refusal{r.ID, err.Error()})
}

// newRule compiles a rule and its links.
func (c *compiler) newRule(r *seclang.Rule, place int) (*rule, error) {
	compiled := &rule{id: r.ID, phase: r.Phase, place: place}
	for n, part := range r.Chain() {
		l, err := c.newLink(part)
		switch {
		case err != nil && n == 0:
			return nil, err
		case err != nil:
			l = &link{opaque: true}
		}
		compiled.links = append(compiled.links, l)
		if err := c.addEffects(compiled, l, part); err != nil {
			return nil, err
		}
	}
	c.addFlow(compiled, r)
	compiled.captures = readsCaptures(r)
	return compiled, nil
}

// addFlow notes what a match of the whole chain does.
func (c *compiler) addFlow(compiled *rule, r *seclang.Rule) {
	last := compiled.links[len(compiled.links)-1]
	compiled.counts = r.Disruptive() != "pass" || last.counts
	for _, a := range r.Actions {
		if a.Name != "skip" {
			continue
		}
		// Looking at rules that would be skipped errs towards a match if they count.
		n := number(a.Value)
		if !c.allCount(c.following(compiled.place, n, compiled.phase)) {
			compiled.counts = true
		}
	}
	// A mark is skipped to in every request or in none, see always.
	compiled.counts = compiled.counts || r.Has("skipafter") && c.settled(compiled) == maybe
}

// following are the next n rules of a phase.
func (c *compiler) following(place, n, phase int) []*seclang.Rule {
	var all []*seclang.Rule
	for _, r := range c.rules[place+1:] {
		if n == 0 || r.Mark == "" && r.Phase != phase {
			break
		}
		n--
		if r.Mark == "" {
			all = append(all, r)
		}
	}
	return all
}

// allCount tells whether the match of each would count, and before that changes
// nothing that others see.
func (c *compiler) allCount(rules []*seclang.Rule) bool {
	return !slices.ContainsFunc(rules, func(r *seclang.Rule) bool { return !countsAlone(r) })
}

// countsAlone tells that nothing follows from a rule but that it counts.
func countsAlone(r *seclang.Rule) bool {
	chain := r.Chain()
	for n, l := range chain {
		for _, a := range l.Actions {
			if n < len(chain)-1 && (a.Name == "setvar" || a.Name == "ctl") {
				return false
			}
			if a.Name == "ctl" || a.Name == "skip" || a.Name == "skipafter" {
				return false
			}
		}
	}
	return r.Disruptive() != "pass" || scores(chain[len(chain)-1])
}

// scores tells whether a link adds to a score that verdicts are made of.
func scores(r *seclang.Rule) bool {
	return slices.ContainsFunc(r.Actions, func(a seclang.Action) bool {
		return a.Name == "setvar" && isScore(a.Value)
	})
}

func isScore(setvar string) bool {
	return strings.HasPrefix(strings.ToLower(setvar), "tx.inbound_anomaly_score_pl")
}

// placesOf returns the rules that come later and that a condition picks.
func (c *compiler) placesOf(pick func(*seclang.Rule) bool) (pattern.Bits, []*seclang.Rule) {
	bits := pattern.NewBits(len(c.rules))
	var all []*seclang.Rule
	for place, r := range c.rules {
		if r.Mark == "" && pick(r) {
			bits.Set(place)
			all = append(all, r)
		}
	}
	return bits, all
}
