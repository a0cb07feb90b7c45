package pattern

import (
	"regexp/syntax"
	"slices"
)

// Caseless tells that an expression matches a value whatever the case of the letters
// of ASCII in it.
func Caseless(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return re.Flags&syntax.FoldCase != 0 || !slices.ContainsFunc(re.Rune, isLetter)
	case syntax.OpCharClass:
		for c := 'a'; c <= 'z'; c++ {
			if inClass(re.Rune, c) != inClass(re.Rune, c-'a'+'A') {
				return false
			}
		}
		return true
	default:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !Caseless(sub) })
	}
}

func isLetter(r rune) bool { return 'a' <= r|0x20 && r|0x20 <= 'z' }

// inClass tells whether a character is in one of some intervals.
func inClass(pairs []rune, r rune) bool {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] <= r && r <= pairs[i+1] {
			return true
		}
	}
	return false
}
