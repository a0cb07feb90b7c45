package evidence

import (
	"slices"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
)

// A Hit is one rule of the Core Rule Set, or of a policy, that added to the score.
type Hit struct {
	Rule int
	// Points are what the rule adds: 5 for a critical one, 2 for a notice.
	Points int
	// Location is where it matched, and Size the length in bytes of the shortest
	// value that it matched in.
	Location string
	Size     int
}

// A Verdict is what everything amounts to.
type Verdict struct {
	// Score is compared with the policy's threshold.
	Score int
	// Findings are those that count: the ones in the value that weighs most.
	Findings []Finding
}

// Judge puts hits and findings together.
//
// What was found in one value counts together, each kind once, and the value that
// weighs most counts: an attack stands in one place, while oddities in several places
// of a long document are several oddities. Each rule counts once, too: a hundred objects
// of the same shape are not more of an attack than one.
func Judge(hits []Hit, findings []Finding) Verdict {
	return JudgeBy(doubted, hits, findings)
}

// JudgeBy judges with another choice of the rules that are doubted: for tools that compare
// choices.
func JudgeBy(doubts func(rule int) bool, hits []Hit, findings []Finding) Verdict {
	v := Verdict{Findings: heaviest(findings)}
	v.Score = max(weight(v.Findings)+witness(doubts, hits), outOfPlace(v.Findings))
	return v
}

// outOfPlace is what findings weigh by their place: what is only suspicious since people
// write about it is an attack where nobody writes. The rule set looks at few header
// fields, so no second opinion is to be had there.
func outOfPlace(findings []Finding) int {
	sum := 0
	for _, f := range findings {
		if f.bare && f.Kind.Weight() == clue.Suspicious {
			sum = clue.Strong
		}
	}
	return sum
}

// heaviest are the findings in the value that weighs most.
func heaviest(all []Finding) []Finding {
	best, most := []Finding(nil), 0
	for from := 0; from < len(all); {
		to := from
		for to < len(all) && all[to].value == all[from].value {
			to++
		}
		if w := weight(all[from:to]); w > most {
			best, most = all[from:to], w
		}
		from = to
	}
	return best
}

func weight(findings []Finding) int {
	sum := 0
	for i, f := range findings {
		if !slices.ContainsFunc(findings[:i], func(before Finding) bool { return before.Kind == f.Kind }) {
			sum += f.Kind.Weight()
		}
	}
	return sum
}

// witness sums what the rules have to say.
func witness(doubts func(rule int) bool, hits []Hit) int {
	sum, hint := 0, 0
	for i, h := range hits {
		switch {
		case unheard(h.Rule), slices.ContainsFunc(hits[:i], func(before Hit) bool { return before.Rule == h.Rule }):
		case believed(doubts, h):
			sum += h.Points
		default:
			hint = clue.Hint // however many they are
		}
	}
	return sum + hint
}
