package pattern

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

const (
	// maxTexts bounds the texts of one expression. Beyond it the automaton grows
	// more than it saves.
	maxTexts = 1000
	// maxExact bounds the texts that are multiplied with each other.
	maxExact = 64
	// maxLength is how much of a text is looked for, in bytes: longer ones hardly
	// stop more, and cost states.
	maxLength = 8
)

// Literals returns texts in lower case of which every match contains at least
// one, whatever its case; none when there is nothing worth looking for.
func Literals(re *syntax.Regexp) []string {
	f := find(re)
	best := better(f.needed, f.exact)
	if len(best) == 0 || shortest(best) < 2 {
		return nil
	}
	return trimmed(best)
}

// Texts prepares given texts as [Literals] would.
func Texts(texts []string) []string {
	if len(texts) == 0 || shortest(texts) < 2 {
		return nil
	}
	lower := make([]string, len(texts))
	for i, t := range texts {
		lower[i] = asciiLower(t)
	}
	return trimmed(lower)
}

// trimmed shortens texts and drops those that contain another.
func trimmed(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = t[:min(len(t), maxLength)]
	}
	return unique(out)
}

// found is what is known of the matches of an expression.
type found struct {
	// exact are all matches, if they are few; nil when they are not known.
	exact []string
	// needed are texts of which each match contains one.
	needed []string
}

// empty is the finding of what matches the empty text alone.
func empty() found { return found{exact: []string{""}} }

func find(re *syntax.Regexp) found {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return empty()
	case syntax.OpLiteral:
		return findLiteral(re.Rune)
	case syntax.OpCharClass:
		return findClass(re.Rune)
	case syntax.OpCapture:
		return find(re.Sub[0])
	case syntax.OpPlus, syntax.OpStar, syntax.OpRepeat:
		return findRepeated(re, find(re.Sub[0]))
	case syntax.OpQuest:
		if f := find(re.Sub[0]); f.exact != nil {
			return found{exact: unique(append(slices.Clone(f.exact), ""))}
		}
	case syntax.OpConcat:
		return findConcat(re.Sub)
	case syntax.OpAlternate:
		return findAlternate(re.Sub)
	default: // any character, or anything repeated
	}
	return found{}
}

func findLiteral(runes []rune) found {
	text := asciiLower(string(runes))
	if strings.IndexFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) >= 0 {
		return found{}
	}
	return found{exact: []string{text}}
}

// findClass takes a small class for its members, in lower case.
func findClass(pairs []rune) found {
	var members []string
	for i := 0; i+1 < len(pairs); i += 2 {
		for r := pairs[i]; r <= pairs[i+1]; r++ {
			if r == '\u212a' || r == '\u017f' {
				continue // see Folds
			}
			if r > unicode.MaxASCII || len(members) > maxExact/2 {
				return found{}
			}
			members = append(members, asciiLower(string(r)))
		}
	}
	members = unique(members)
	if len(members) == 0 || len(members) > 16 {
		return found{}
	}
	return found{exact: members}
}

func findRepeated(re *syntax.Regexp, f found) found {
	switch {
	case len(f.exact) == 1 && f.exact[0] == "":
		return f
	case re.Op == syntax.OpStar || re.Op == syntax.OpRepeat && re.Min == 0:
		return found{}
	}
	return found{needed: better(f.needed, f.exact)}
}

func unique(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}

// findConcat multiplies neighbours while they are few and keeps the best that is
// found on the way.
func findConcat(subs []*syntax.Regexp) found {
	result, run, whole := found{}, []string{""}, true
	for _, sub := range subs {
		f := find(sub)
		if f.exact != nil && len(f.exact)*len(run) <= maxExact {
			run = product(run, f.exact)
			continue
		}
		whole = false
		result.needed = better(result.needed, run)
		result.needed = better(result.needed, f.needed)
		run = []string{""}
		if f.exact != nil {
			run = f.exact
		}
	}
	if whole {
		return found{exact: run}
	}
	result.needed = better(result.needed, run)
	return result
}

func product(a, b []string) []string {
	out := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			out = append(out, x+y)
		}
	}
	return unique(out)
}

func findAlternate(subs []*syntax.Regexp) found {
	exact, needed, ok := []string{}, []string{}, true
	for _, sub := range subs {
		f := find(sub)
		if exact != nil && f.exact != nil && len(exact)+len(f.exact) <= maxTexts {
			exact = append(exact, f.exact...)
		} else {
			exact = nil
		}
		one := better(f.needed, f.exact)
		ok = ok && len(one) > 0
		needed = append(needed, one...)
	}
	if exact != nil {
		return found{exact: exact}
	}
	if !ok || len(needed) > maxTexts {
		return found{}
	}
	return found{needed: needed}
}

// better chooses the list that stops more: longer texts, then fewer. A list with
// the empty text stops nothing.
func better(a, b []string) []string {
	la, lb := worth(a), worth(b)
	if lb > la || lb == la && len(b) < len(a) {
		a, la = b, lb
	}
	if la == 0 {
		return nil
	}
	return a
}

func worth(texts []string) int {
	if len(texts) == 0 || len(texts) > maxTexts {
		return 0
	}
	return min(shortest(texts), maxLength)
}

func shortest(texts []string) int {
	n := len(texts[0])
	for _, t := range texts {
		n = min(n, len(t))
	}
	return n
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		if r == '\u212a' {
			return 'k'
		}
		if r == '\u017f' {
			return 's'
		}
		return r
	}, s)
}
