// Package clue is the vocabulary of the detectors: what can be found in a value, and
// what that is worth.
//
// A kind of clue has an id and a name, by which verdicts, logs and exclusions call
// it, as they call a rule of the Core Rule Set by its number. Ids 7200000 to 7299999
// are the detectors': 72CC NN, with CC the class and NN the kind in it. An id is
// never given to another kind.
package clue

import "slices"

// A Clue is one thing that was found in one form of a value.
type Clue struct {
	Kind Kind
	// At and Len are where it stands in the form, in bytes.
	At, Len int
	// Form is the number of the form, as the decoder counts: 0 is the value itself.
	Form int
}

// Weights. A request is stopped at the policy's threshold, by default 5, which is
// also what the Core Rule Set gives its critical rules. So a Strong clue stops a
// request, two different Suspicious ones in the same value do, and so does one with
// a hit of a rule that is believed only with a second opinion.
const (
	// Strong is what has no use but an attack.
	Strong = 5
	// Suspicious is what has rarely another use.
	Suspicious = 3
	// Hint is what is common, and part of attacks.
	Hint = 2
)

// A List collects the clues to one value.
type List struct {
	// Form is the number of the form that is looked at, and Size its length in bytes:
	// no clue reaches beyond it.
	Form, Size int
	clues      []Clue
}

// most is how many clues to a value are kept: a value that holds more is judged by
// the first ones.
const most = 64

// Add notes a clue; a kind counts once in each form.
func (l *List) Add(k Kind, at, size int) {
	if len(l.clues) >= most || l.has(k) {
		return
	}
	l.clues = append(l.clues, Clue{Kind: k, At: at, Len: min(max(size, 0), l.Size-at), Form: l.Form})
}

func (l *List) has(k Kind) bool {
	return slices.ContainsFunc(l.clues, func(c Clue) bool { return c.Kind == k && c.Form == l.Form })
}

// All are the clues, in the order in which they were found.
func (l *List) All() []Clue { return l.clues }

// Reset empties the list for another value.
func (l *List) Reset() { l.clues, l.Form = l.clues[:0], 0 }

// Weight is that of the kinds together, each once, whatever form it is in.
func Weight(clues []Clue) int {
	sum := 0
	for i, c := range clues {
		if !slices.ContainsFunc(clues[:i], func(before Clue) bool { return before.Kind == c.Kind }) {
			sum += c.Kind.Weight()
		}
	}
	return sum
}
