package pattern

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// runeClasses sorts characters into classes that a program cannot tell apart.
type runeClasses struct {
	ascii [utf8.RuneSelf]uint8
	// starts are where intervals beyond ASCII begin, of the classes beside them.
	starts  []rune
	classes []uint8
	// sample is a character of each class.
	sample []rune
}

// of returns a character's class.
func (c *runeClasses) of(r rune) uint8 {
	if r < utf8.RuneSelf {
		return c.ascii[r]
	}
	i, found := slices.BinarySearch(c.starts, r)
	if !found {
		i--
	}
	return c.classes[i]
}

// newRuneClasses evaluates each different instruction on a character of each
// interval between which none of them changes. ok is false for too many classes.
func newRuneClasses(prog *syntax.Prog) (c *runeClasses, ok bool) {
	insts := differentRunes(prog)
	c = &runeClasses{}
	known := map[string]uint8{}
	number := func(r rune) (uint8, bool) {
		s := signature(insts, r)
		n, seen := known[s]
		if !seen {
			if len(c.sample) == 255 {
				return 0, false
			}
			n = uint8(len(c.sample)) //nolint:gosec // G115: checked above
			known[s] = n
			c.sample = append(c.sample, r)
		}
		return n, true
	}
	for r := range rune(utf8.RuneSelf) {
		if c.ascii[r], ok = number(r); !ok {
			return nil, false
		}
	}
	for _, start := range boundaries(insts) {
		n, ok := number(start)
		if !ok {
			return nil, false
		}
		c.starts, c.classes = append(c.starts, start), append(c.classes, n)
	}
	return c, true
}

// differentRunes are instructions that compare characters, each kind once.
func differentRunes(prog *syntax.Prog) []*syntax.Inst {
	seen := map[string]bool{}
	var insts []*syntax.Inst
	for i := range prog.Inst {
		in := &prog.Inst[i]
		switch in.Op {
		case syntax.InstRune, syntax.InstRune1:
			key := fmt.Sprint(in.Arg, in.Rune)
			if !seen[key] {
				seen[key] = true
				insts = append(insts, in)
			}
		default: // the others compare nothing, or line ends only
		}
	}
	return insts
}

// signature tells which instructions take a character, whether it ends a line and
// whether it belongs to a word.
func signature(insts []*syntax.Inst, r rune) string {
	s := make([]byte, 0, len(insts)+1)
	for _, in := range insts {
		s = append(s, bit(in.MatchRune(r)))
	}
	return string(append(s, bit(r == '\n')+2*bit(syntax.IsWordChar(r))))
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// boundaries are characters beyond ASCII where the answer of an instruction may
// change.
func boundaries(insts []*syntax.Inst) []rune {
	all := []rune{utf8.RuneSelf}
	add := func(r rune) {
		all = append(all, max(r, utf8.RuneSelf), max(r+1, utf8.RuneSelf))
	}
	for _, in := range insts {
		for i, r := range in.Rune {
			if len(in.Rune) > 1 && i%2 == 1 {
				all = append(all, max(r+1, utf8.RuneSelf))
				continue
			}
			add(r)
			if len(in.Rune) == 1 {
				for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
					add(f)
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
