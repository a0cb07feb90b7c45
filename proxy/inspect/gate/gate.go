package gate

import (
	"slices"
	"strconv"
	"sync"

	"github.com/outrider-mesh/outrider/proxy/inspect/pattern"
	"github.com/outrider-mesh/outrider/proxy/inspect/seclang"
)

// Options are what a [Gate] needs besides its rules.
type Options struct {
	// ReadFile reads a file that a rule names.
	ReadFile func(name string) ([]byte, error)
	// Variables are names of TX that are set from outside before the rules run;
	// see [Request].
	Variables []string
	// Bodies read bodies by the processor's name in upper case. What is not here
	// is not decided.
	Bodies map[string]Body
}

// A Body hands the arguments of a body over. It returns false where the engine
// would find an error, or might; then the request is not provable.
type Body func(body []byte, to *Arguments) bool

// Gate proves requests clean.
type Gate struct {
	options    Options
	classes    classes
	probes     []probe
	kinds      []pattern.Bits
	fieldNames []string
	automaton  *pattern.Automaton
	erased     pattern.Set
	fields     []*rule
	programs   [3][]*rule
	variables  map[string]string
	refused    []Refusal
	places     int
	arguments  int
	depth      int

	plans   *plans
	general []*plan
	memo    *memo
	pool    sync.Pool
}

// New builds the gate of a set. An error says that nothing can be reasoned about it.
func New(set *seclang.Set, options Options) (*Gate, error) {
	c := compile(set, options)
	g := &Gate{
		options: options, fields: c.fields, programs: c.programs, refused: c.refused,
		variables: c.vars.fixed, places: len(c.rules), plans: &plans{}, memo: newMemo(),
	}
	g.arguments, _ = strconv.Atoi(set.Settings["secargumentslimit"])
	g.depth, _ = strconv.Atoi(set.Settings["secrequestbodyjsondepthlimit"])
	if err := g.build(c.probes); err != nil {
		return nil, err
	}
	for _, e := range c.expressions {
		e.tree = nil // some MiB, of which no value is left to be reasoned about
	}
	g.pool.New = func() any { return g.newEvaluation() }
	return g, nil
}

// build prepares the probes.
func (g *Gate) build(rules []*rule) error {
	var sets []pattern.Set
	for _, r := range rules {
		if s := r.links[0].operator.set; s != nil {
			sets = append(sets, *s)
		}
	}
	alphabet, err := pattern.NewAlphabet(sets...)
	if err != nil {
		return err
	}
	g.classes = newClasses(alphabet)
	g.erased = quotes()
	var texts []pattern.Text
	for _, r := range rules {
		g.addProbe(r, &texts)
	}
	if g.automaton, err = pattern.NewAutomaton(texts, len(g.probes)); err != nil {
		return err
	}
	g.sortKinds(rules)
	return nil
}

// sortKinds notes which probes look at which kinds of values.
func (g *Gate) sortKinds(rules []*rule) {
	g.fieldNames = namedFields(rules)
	g.fieldNames = g.fieldNames[:min(len(g.fieldNames), 255-int(partCount))]
	g.kinds = make([]pattern.Bits, int(partCount)+len(g.fieldNames))
	for k := range g.kinds {
		g.kinds[k] = pattern.NewBits(len(g.probes))
		for n := range g.probes {
			if !g.narrowing(n) && g.looks(g.probes[n].link, k) {
				g.kinds[k].Set(n)
			}
		}
		g.general = append(g.general, nil)
		g.general[k] = g.newPlan(kind(k), g.classes.All)
	}
}

// narrowing tells the probes that stand for another one; they follow it.
func (g *Gate) narrowing(n int) bool { return n > 0 && g.probes[n].rule == g.probes[n-1].rule }

// looks tells whether a link may look at a kind of values.
func (g *Gate) looks(l *link, k int) bool {
	return slices.ContainsFunc(l.targets, func(t target) bool {
		switch {
		case k >= int(partCount):
			return slices.Contains(t.parts, header) && t.picks(g.fieldNames[k-int(partCount)])
		case part(k) == header: //nolint:gosec // G115: below partCount
			return slices.Contains(t.parts, header) && t.key.text == ""
		}
		return slices.Contains(t.parts, part(k)) //nolint:gosec // G115: below partCount
	})
}

// Refused lists rules that are not understood. While there is one, nothing is proved.
func (g *Gate) Refused() []Refusal { return g.refused }

func (g *Gate) newEvaluation() *evaluation {
	e := &evaluation{
		gate: g, removed: pattern.NewBits(g.places),
		hits: pattern.NewBits(len(g.probes)), found: pattern.NewBits(len(g.probes)),
	}
	e.env.fixed, e.local.fixed = g.variables, g.variables
	e.view.only = -1
	e.addField = func(name, value string) bool {
		e.view.fields = append(e.view.fields, field{name, value})
		return true
	}
	return e
}
