package gate

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/outrider-mesh/outrider/proxy/inspect/decode"
	"github.com/outrider-mesh/outrider/proxy/inspect/pattern"
)

// A plan says which probes may match a value of some kind that has some classes of
// bytes. Of most values it says that none may. It is immutable.
type plan struct {
	mask     pattern.Mask
	kind     kind
	variants []variant
}

// A variant is what some transformations make of a value, and the probes that look
// at it.
type variant struct {
	names []string
	// from is the variant whose result the chain goes on from; -1 for the value.
	from  int
	chain decode.Chain
	// erase takes the quotes out at the end.
	erase bool
	// shortest is the least length that any of the probes can match. What the chain
	// begins with is of no use if it is shorter than least, neither to this variant nor
	// to those that go on from it.
	shortest, least int
	// text is the length of the shortest text that is looked for, where each probe has
	// some; nought elsewhere.
	text int
	// foreign tells that the result may have bytes beyond ASCII.
	foreign bool
	// texts are probes that need a text; plain are those that need none.
	texts, plain       pattern.Bits
	hasTexts, hasPlain bool
	// whole are probes whose operator can be asked about what the chain makes, before
	// the quotes are taken out: see wholeChains.
	whole pattern.Bits
	// kept tells that other variants go on from the result.
	kept bool
}

// planSlots bounds the plans that are kept: values of services have a few hundred
// kinds and masks. A plan takes 100 bytes to 1 KiB.
const planSlots = 1 << 12

// planProbes is how many slots are tried for one.
const planProbes = 4

// eraseName stands in a variant's names for taking the quotes out; it is no
// transformation of the rules.
const eraseName = "erase"

// plans keeps plans by mask and kind. A slot is written once.
type plans struct {
	slots [planSlots]atomic.Pointer[plan]
}

// plan returns a plan or makes one. When there is no room the plan is for all masks,
// since an attacker could otherwise make us compute at each request.
func (g *Gate) plan(k kind, m pattern.Mask) *plan {
	h := (uint64(m) ^ uint64(k)<<57 ^ uint64(k)) * 0x9e3779b97f4a7c15
	at := h >> 52
	for i := range uint64(planProbes) {
		slot := &g.plans.slots[(at+i)%planSlots]
		p := slot.Load()
		if p == nil {
			p = g.newPlan(k, m)
			if !slot.CompareAndSwap(nil, p) {
				p = slot.Load()
			}
		}
		if p.mask == m && p.kind == k {
			return p
		}
	}
	return g.general[k]
}

// newPlan reasons about every probe of a kind.
func (g *Gate) newPlan(k kind, m pattern.Mask) *plan {
	p := &plan{mask: m, kind: k}
	for n := range g.kinds[k].Each {
		var seen []string
		whole := g.probes[n].wholeChains()
		for _, chain := range g.probes[n].chains {
			names, out := g.classes.reduce(chain, m)
			key := strings.Join(names, " ")
			fit, erase := g.fitting(n, out)
			if erase {
				names, out = append(names, eraseName), out&^g.classes.quotes
			}
			if slices.Contains(seen, key) || !g.probes[fit].need.Met(out) {
				continue
			}
			seen = append(seen, key)
			v := p.variant(g, names)
			v.foreign = v.foreign || out&g.classes.Foreign != 0
			v.add(fit, &g.probes[fit], whole)
		}
	}
	slices.SortStableFunc(p.variants, func(a, b variant) int { return len(a.names) - len(b.names) })
	for i := range p.variants {
		p.variants[i].link(p.variants[:i])
	}
	p.setLeast()
	return p
}

// variant returns the one of a chain.
func (p *plan) variant(g *Gate, names []string) *variant {
	for i := range p.variants {
		if slices.Equal(p.variants[i].names, names) {
			return &p.variants[i]
		}
	}
	p.variants = append(p.variants, variant{
		names: names, shortest: -1,
		texts: pattern.NewBits(len(g.probes)), plain: pattern.NewBits(len(g.probes)), whole: pattern.NewBits(len(g.probes)),
	})
	return &p.variants[len(p.variants)-1]
}

func (v *variant) add(n int, pr *probe, whole bool) {
	if whole {
		v.whole.Set(n)
	}
	if v.shortest < 0 || pr.shortest < v.shortest {
		v.shortest = pr.shortest
	}
	if pr.texts {
		if v.text == 0 || pr.text < v.text {
			v.text = pr.text
		}
		v.texts.Set(n)
		v.hasTexts = true
		return
	}
	v.plain.Set(n)
	v.hasPlain = true
}

// link makes a chain go on from the longest that is its beginning.
func (v *variant) link(before []variant) {
	v.from = -1
	for i := range before {
		n := len(before[i].names)
		if n < len(v.names) && n > 0 && slices.Equal(before[i].names, v.names[:n]) {
			v.from = i
		}
	}
	rest := v.names
	if v.from >= 0 {
		before[v.from].kept = true
		rest = rest[len(before[v.from].names):]
	}
	if n := len(rest); n > 0 && rest[n-1] == eraseName {
		v.erase, rest = true, rest[:n-1]
	}
	v.chain, _ = decode.New(rest)
}

// wholeChains tells whether the operator says of what is left of the chains after
// [classes.reduce] what it says of the results of all of them. The two may differ in
// the case of letters, which not every chain touches and not every operator sees. After
// entities the engine may go on from another value, see [link.testStages].
func (pr *probe) wholeChains() bool {
	names := pr.link.chain.Names()
	if pr.link.stages != nil && slices.Contains(names, "htmlentitydecode") {
		return false
	}
	return pr.link.operator.caseless() || !slices.ContainsFunc(names, lowers)
}
