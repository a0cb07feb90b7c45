package pattern

import (
	"regexp/syntax"
	"unicode/utf8"
)

// quietBytes are the bytes of ASCII with which no match begins, wherever they stand:
// from an idle state they lead to an idle one. If the expression matches the empty
// text somewhere there are none.
func quietBytes(prog *syntax.Prog) Set {
	w := walk{prog: prog, flags: anywhere, seen: map[uint32]bool{}}
	w.visit(uint32(prog.Start)) //nolint:gosec // G115: an index of the program
	var quiet Set
	for c := range rune(utf8.RuneSelf) {
		quiet[c] = !w.matched && len(w.take(c)) == 0
	}
	return quiet
}

// anywhere are all conditions on a place at once, so that none of them is one.
const anywhere = syntax.EmptyBeginLine | syntax.EmptyEndLine | syntax.EmptyBeginText | syntax.EmptyEndText |
	syntax.EmptyWordBoundary | syntax.EmptyNoWordBoundary

// skip returns where the quiet bytes end that begin at i.
func (m *Matcher) skip(value []byte, i int) int {
	for i < len(value) && m.quiet[value[i]] {
		i++
	}
	return i
}
