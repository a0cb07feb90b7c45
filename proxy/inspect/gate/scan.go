package gate

import (
	"bytes"
	"slices"

	"github.com/outrider-mesh/outrider/proxy/inspect/decode"
	"github.com/outrider-mesh/outrider/proxy/inspect/pattern"
)

// An evaluation is the memory of one request's proof. It is used again.
type evaluation struct {
	gate *Gate
	view view
	poll poll
	env  environment
	// local is the environment of a chain on one field.
	local environment

	removed pattern.Bits // rules, by place
	exempt  []*exemption
	// forgiven tells that a match did not count because of those.
	forgiven bool

	// buffers of bytes: what is compared, the pair at hand, the place in JSON.
	raw, key, value, path, number []byte
	buf, confirm                  decode.Buffer
	hits, found                   pattern.Bits
	// searched is the value of which found tells the texts.
	searched []byte
	// results are what the variants of a plan make of a value.
	results  [][]byte
	names    []string
	addField func(name, value string) bool
	sink     Arguments
}

// clean tells that no probe matches a value of a part.
func (e *evaluation) clean(k kind, p part, key, v []byte) bool {
	m := e.gate.classes.Of(v)
	pl := e.gate.plan(k, m)
	e.searched = e.searched[:0]
	for len(e.results) < len(pl.variants) {
		e.results = append(e.results, nil)
	}
	for i := range pl.variants {
		if !e.variant(&pl.variants[i], i, p, key, v) {
			return false
		}
	}
	return true
}

// variant tells that no probe matches what one chain makes of a value.
func (e *evaluation) variant(one *variant, i int, p part, key, v []byte) bool {
	w := v
	if one.from >= 0 {
		w = e.results[one.from]
	}
	if len(w) < one.least {
		e.results[i] = e.results[i][:0] // who goes on from it needs no less
		return true
	}
	w = one.chain.Apply(w, &e.buf)
	whole := w
	if one.kept || one.erase {
		e.results[i] = append(e.results[i][:0], w...)
	}
	if one.erase {
		w = e.gate.erase(e.results[i])
	}
	if len(w) < one.shortest {
		return true
	}
	clear(e.hits)
	if one.hasTexts {
		e.search(w, one.foreign)
		e.hits.And(one.texts)
	}
	if one.hasPlain {
		e.hits.Or(one.plain)
	}
	return e.hits.Empty() || e.noneMatches(one, p, key, v, w, whole)
}

// erase takes the quotes out of a value, in its place.
func (g *Gate) erase(v []byte) []byte {
	kept := v[:0]
	for _, c := range v {
		if !g.erased[c] {
			kept = append(kept, c)
		}
	}
	return kept
}

// search looks for all texts, unless the same value was searched just before.
func (e *evaluation) search(w []byte, foreign bool) {
	if len(e.searched) == 0 || !bytes.Equal(w, e.searched) {
		clear(e.found)
		e.find(w, foreign)
		e.searched = append(e.searched[:0], w...)
	}
	copy(e.hits, e.found)
}

// find looks for all texts.
func (e *evaluation) find(w []byte, foreign bool) {
	if foreign && pattern.Folds(w) {
		for n := range e.gate.probes {
			e.found.Set(n)
		}
		return
	}
	e.gate.automaton.Find(w, e.found)
}

// noneMatches asks the probes that are left in earnest, about the whole result of the
// variant's chain where that is enough, or else about the value.
func (e *evaluation) noneMatches(one *variant, p part, key, v, w, whole []byte) bool {
	m := e.gate.classes.Of(w)
	for n := range e.hits.Each {
		pr := &e.gate.probes[n]
		if len(w) < pr.shortest || !pr.need.Met(m) || pr.harmless != nil && pr.harmless(w) {
			continue
		}
		if one.whole.Has(n) && pr.link.operator.match(whole, nil) == no {
			continue
		}
		if e.matches(pr, p, key, v) {
			return false
		}
	}
	return true
}

// matches tells whether a probe's rule may match a value, by the whole of its
// transformations.
func (e *evaluation) matches(pr *probe, p part, key, v []byte) bool {
	looks, exempted := false, false
	for i := range pr.link.targets {
		t := &pr.link.targets[i]
		if !slices.Contains(t.parts, p) || !t.takesAll() && !t.picks(string(key)) {
			continue
		}
		if len(e.exempt) > 0 && e.exempted(pr.rule, t, string(key)) {
			exempted = true
			continue
		}
		looks = true
	}
	if !looks && !exempted || pr.link.test(v, nil, &e.confirm, false) == no {
		return false
	}
	if !looks || e.removed.Has(pr.rule.place) {
		e.forgiven = true
		return false
	}
	return true
}

// A kind is a part, or the header fields of one name.
type kind uint8

// kindOfField returns the kind of a header field.
func (g *Gate) kindOfField(name string) kind {
	for i, known := range g.fieldNames {
		if equalFold(known, name) {
			return kind(int(partCount) + i)
		}
	}
	return kind(header)
}

// equalFold compares with a name in lower case.
func equalFold(lower, name string) bool {
	if len(lower) != len(name) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// namedFields lists the names of header fields that probes treat in their own way.
func namedFields(rules []*rule) []string {
	var names []string
	for _, r := range rules {
		for _, t := range r.links[0].targets {
			if !slices.Contains(t.parts, header) {
				continue
			}
			for _, s := range append(slices.Clone(t.except), t.key) {
				if s.text != "" && !slices.Contains(names, s.text) {
					names = append(names, s.text)
				}
			}
		}
	}
	return names
}
