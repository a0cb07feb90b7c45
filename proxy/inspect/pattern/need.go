package pattern

import (
	"regexp/syntax"
	"slices"
	"unicode"
)

// A Need says which classes of bytes a value must have. The zero value needs
// nothing.
type Need struct {
	// never is for what no value can meet.
	never bool
	// all classes must be there.
	all Mask
	// some holds masks of each of which one class must be there.
	some []Mask
	// either holds lists of each of which one entry must be met.
	either [][]Need
}

// Met tells whether a value that has these classes can match.
func (n *Need) Met(m Mask) bool {
	if n.never || n.all&^m != 0 {
		return false
	}
	for _, s := range n.some {
		if s&m == 0 {
			return false
		}
	}
	for _, list := range n.either {
		if !anyMet(list, m) {
			return false
		}
	}
	return true
}

func anyMet(list []Need, m Mask) bool {
	for i := range list {
		if list[i].Met(m) {
			return true
		}
	}
	return false
}

func (n *Need) trivial() bool {
	return !n.never && n.all == 0 && len(n.some) == 0 && len(n.either) == 0
}

// simple tells that there are no lists.
func (n *Need) simple() bool { return len(n.either) == 0 }

// Some returns the need for one class of a mask.
func Some(m Mask) Need {
	switch {
	case m == 0:
		return Need{never: true}
	case m&(m-1) == 0:
		return Need{all: m}
	}
	return Need{some: []Mask{m}}
}

// NeedOfText is what a value needs to contain a text, whatever the case of its
// letters of ASCII.
func (a *Alphabet) NeedOfText(text string) Need {
	var n Need
	for i := range len(text) {
		m := a.bits[text[i]]
		if c := text[i] | 0x20; 'a' <= c && c <= 'z' {
			m |= a.bits[c] | a.bits[c-0x20]
		}
		n.and(Some(m))
	}
	return n
}

// NeedOfTexts is what a value needs to contain one of these.
func (a *Alphabet) NeedOfTexts(texts []string) Need {
	var list []Need
	seen := map[Mask]bool{}
	for _, text := range texts {
		n := a.NeedOfText(text)
		if n.trivial() {
			return Need{}
		}
		if m := n.all; len(n.some) > 0 || !seen[m] {
			seen[m] = len(n.some) == 0
			list = append(list, n)
		}
	}
	return oneOf(list)
}

// NeedOf is what a value needs to be matched by an expression.
func (a *Alphabet) NeedOf(re *syntax.Regexp) Need {
	switch re.Op {
	case syntax.OpNoMatch:
		return Need{never: true}
	case syntax.OpLiteral:
		var n Need
		for _, r := range re.Rune {
			n.and(a.needOfRune(r, re.Flags&syntax.FoldCase != 0))
		}
		return n
	case syntax.OpCharClass:
		return a.needOfClass(re.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return Some(a.All)
	case syntax.OpCapture, syntax.OpPlus:
		return a.NeedOf(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min == 0 {
			return Need{}
		}
		return a.NeedOf(re.Sub[0])
	case syntax.OpConcat:
		var n Need
		for _, sub := range re.Sub {
			n.and(a.NeedOf(sub))
		}
		return n
	case syntax.OpAlternate:
		list := make([]Need, len(re.Sub))
		for i, sub := range re.Sub {
			list[i] = a.NeedOf(sub)
		}
		return oneOf(list)
	default: // what matches the empty text: anchors, stars, question marks
		return Need{}
	}
}

func (a *Alphabet) needOfRune(r rune, fold bool) Need {
	m := a.ofRune(r)
	if fold {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			m |= a.ofRune(f)
		}
	}
	return Some(m)
}

func (a *Alphabet) ofRune(r rune) Mask {
	if r < 0x80 {
		return a.bits[r]
	}
	return a.Foreign
}

// needOfClass takes pairs of first and last characters.
func (a *Alphabet) needOfClass(pairs []rune) Need {
	var m Mask
	for i := 0; i+1 < len(pairs); i += 2 {
		for r := pairs[i]; r <= min(pairs[i+1], 0x7f); r++ {
			m |= a.bits[r]
		}
		if pairs[i+1] >= 0x80 {
			m |= a.Foreign
		}
	}
	return Some(m)
}

// and adds what else is needed.
func (n *Need) and(o Need) {
	n.never = n.never || o.never
	n.all |= o.all
	n.either = append(n.either, o.either...)
	n.some = append(n.some, o.some...)
	n.some = slices.DeleteFunc(n.some, func(s Mask) bool { return s&n.all != 0 })
	slices.Sort(n.some)
	n.some = slices.Compact(n.some)
}

// oneOf is the need for one of a list. What all entries need is taken out.
func oneOf(list []Need) Need {
	list = slices.DeleteFunc(list, func(n Need) bool { return n.never })
	list = withoutHarder(list)
	switch {
	case len(list) == 0:
		return Need{never: true}
	case len(list) == 1:
		return list[0]
	case slices.ContainsFunc(list, func(n Need) bool { return n.trivial() }):
		return Need{}
	}
	shared := ^Mask(0)
	for i := range list {
		shared &= list[i].all
	}
	if m, ok := singles(list); ok {
		return Some(m)
	}
	for i := range list {
		list[i].all &^= shared
	}
	return Need{all: shared, either: [][]Need{list}}
}

// singles tells that each entry is a need for one class of some.
func singles(list []Need) (m Mask, ok bool) {
	for _, n := range list {
		switch {
		case n.simple() && n.all == 0 && len(n.some) == 1:
			m |= n.some[0]
		case n.simple() && len(n.some) == 0 && n.all&(n.all-1) == 0:
			m |= n.all
		default:
			return 0, false
		}
	}
	return m, true
}

// withoutHarder drops entries that need all that another needs, and more.
func withoutHarder(list []Need) []Need {
	var kept []Need
	for i, n := range list {
		if !slices.ContainsFunc(list[:i], func(o Need) bool { return o.easier(n) }) &&
			!slices.ContainsFunc(list[i+1:], func(o Need) bool { return o.easier(n) && !n.easier(o) }) {
			kept = append(kept, n)
		}
	}
	return kept
}

// easier tells of simple needs that whoever meets the other meets this one.
func (n *Need) easier(than Need) bool {
	if !n.simple() || n.all&^than.all != 0 {
		return false
	}
	for _, s := range n.some {
		if s&than.all == 0 && !slices.ContainsFunc(than.some, func(t Mask) bool { return t&^s == 0 }) {
			return false
		}
	}
	return true
}
