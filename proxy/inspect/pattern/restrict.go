package pattern

import (
	"regexp/syntax"
	"unicode"
)

// Restrict returns what is left of an expression where values have no other classes
// of bytes than these: it matches the same of them. Nil says that it matches none.
func (a *Alphabet) Restrict(re *syntax.Regexp, m Mask) *syntax.Regexp {
	switch re.Op {
	case syntax.OpNoMatch:
		return nil
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			n := a.needOfRune(r, re.Flags&syntax.FoldCase != 0)
			if !n.Met(m) {
				return nil
			}
		}
		return re
	case syntax.OpCharClass:
		return a.restrictClass(re, m)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		if m == 0 {
			return nil
		}
		return re
	case syntax.OpStar, syntax.OpQuest:
		return a.restrictOptional(re, m)
	case syntax.OpRepeat:
		if re.Min == 0 {
			return a.restrictOptional(re, m)
		}
		return a.restrictAll(re, m)
	case syntax.OpCapture, syntax.OpPlus, syntax.OpConcat:
		return a.restrictAll(re, m)
	case syntax.OpAlternate:
		return a.restrictAny(re, m)
	default: // anchors and the empty text
		return re
	}
}

// restrictClass keeps the members that a value may have.
func (a *Alphabet) restrictClass(re *syntax.Regexp, m Mask) *syntax.Regexp {
	var pairs []rune
	for i := 0; i+1 < len(re.Rune); i += 2 {
		for r := re.Rune[i]; r <= min(re.Rune[i+1], unicode.MaxASCII); r++ {
			if a.bits[r]&m != 0 {
				pairs = append(pairs, r, r)
			}
		}
		if re.Rune[i+1] > unicode.MaxASCII && m&a.Foreign != 0 {
			pairs = append(pairs, max(re.Rune[i], unicode.MaxASCII+1), re.Rune[i+1])
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	return with(re, nil, pairs)
}

func (a *Alphabet) restrictOptional(re *syntax.Regexp, m Mask) *syntax.Regexp {
	sub := a.Restrict(re.Sub[0], m)
	if sub == nil {
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}
	}
	return with(re, []*syntax.Regexp{sub}, nil)
}

// restrictAll is for what needs all of its parts.
func (a *Alphabet) restrictAll(re *syntax.Regexp, m Mask) *syntax.Regexp {
	subs := make([]*syntax.Regexp, len(re.Sub))
	for i, sub := range re.Sub {
		if subs[i] = a.Restrict(sub, m); subs[i] == nil {
			return nil
		}
	}
	return with(re, subs, nil)
}

// restrictAny is for what needs one of them.
func (a *Alphabet) restrictAny(re *syntax.Regexp, m Mask) *syntax.Regexp {
	var subs []*syntax.Regexp
	for _, sub := range re.Sub {
		if one := a.Restrict(sub, m); one != nil {
			subs = append(subs, one)
		}
	}
	switch len(subs) {
	case 0:
		return nil
	case 1:
		return subs[0]
	}
	return with(re, subs, nil)
}

// Erase returns an expression that matches what is left of each match of re when
// the bytes of a set, which are no letters, are taken out of it, and perhaps more.
func Erase(re *syntax.Regexp, set *Set) *syntax.Regexp {
	in := func(r rune) bool { return r <= unicode.MaxASCII && set[r] }
	switch re.Op {
	case syntax.OpLiteral:
		var kept []rune
		for _, r := range re.Rune {
			if !in(r) {
				kept = append(kept, r)
			}
		}
		if len(kept) == 0 {
			return &syntax.Regexp{Op: syntax.OpEmptyMatch}
		}
		return with(re, nil, kept)
	case syntax.OpCharClass:
		return eraseClass(re, in)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return optional(re)
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}
	default:
		if len(re.Sub) == 0 {
			return re
		}
		subs := make([]*syntax.Regexp, len(re.Sub))
		for i, sub := range re.Sub {
			subs[i] = Erase(sub, set)
		}
		return with(re, subs, nil)
	}
}

// eraseClass makes a class that has members of a set one of the others, or nothing.
func eraseClass(re *syntax.Regexp, in func(rune) bool) *syntax.Regexp {
	var pairs []rune
	erased := false
	for i := 0; i+1 < len(re.Rune); i += 2 {
		first := re.Rune[i]
		for r := first; r <= min(re.Rune[i+1], unicode.MaxASCII); r++ {
			if !in(r) {
				continue
			}
			erased = true
			if first < r {
				pairs = append(pairs, first, r-1)
			}
			first = r + 1
		}
		if first <= re.Rune[i+1] {
			pairs = append(pairs, first, re.Rune[i+1])
		}
	}
	switch {
	case !erased:
		return re
	case len(pairs) == 0:
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}
	}
	return optional(with(re, nil, pairs))
}

func optional(re *syntax.Regexp) *syntax.Regexp {
	return &syntax.Regexp{Op: syntax.OpQuest, Flags: re.Flags, Sub: []*syntax.Regexp{re}}
}

// with is an expression of the same kind with other parts.
func with(re *syntax.Regexp, subs []*syntax.Regexp, runes []rune) *syntax.Regexp {
	return &syntax.Regexp{Op: re.Op, Flags: re.Flags, Sub: subs, Rune: runes, Min: re.Min, Max: re.Max, Cap: re.Cap, Name: re.Name}
}

// MinLength is how many bytes a value has at least that an expression matches.
func MinLength(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune) // a character that is no UTF-8 is one byte
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	case syntax.OpCapture, syntax.OpPlus:
		return MinLength(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min * MinLength(re.Sub[0])
	case syntax.OpConcat:
		n := 0
		for _, sub := range re.Sub {
			n += MinLength(sub)
		}
		return n
	case syntax.OpAlternate:
		n := MinLength(re.Sub[0])
		for _, sub := range re.Sub[1:] {
			n = min(n, MinLength(sub))
		}
		return n
	default: // what matches the empty text
		return 0
	}
}
