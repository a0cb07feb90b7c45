package pattern

import (
	"regexp/syntax"
	"slices"
)

// A walk follows the instructions that take no character.
type walk struct {
	prog    *syntax.Prog
	flags   syntax.EmptyOp
	seen    map[uint32]bool
	runes   []uint32
	matched bool
}

func (w *walk) visit(pc uint32) {
	for !w.matched && !w.seen[pc] {
		w.seen[pc] = true
		switch in := &w.prog.Inst[pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			w.visit(in.Out)
			pc = in.Arg
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(in.Arg)&^w.flags != 0 { //nolint:gosec // G115: the flags of package syntax fit in a byte
				return
			}
			pc = in.Out
		case syntax.InstCapture, syntax.InstNop:
			pc = in.Out
		case syntax.InstMatch:
			w.matched = true
		case syntax.InstFail:
			return
		default:
			w.runes = append(w.runes, pc)
			return
		}
	}
}

// take returns where a character leads.
func (w *walk) take(r rune) []uint32 {
	var next []uint32
	for _, pc := range w.runes {
		if in := &w.prog.Inst[pc]; in.MatchRune(r) {
			next = append(next, in.Out)
		}
	}
	slices.Sort(next)
	return slices.Compact(next)
}
