package main

import (
	"slices"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
)

const (
	// noisyShare is from which share of benign requests on a rule is taken for noisy: 3
	// of the 16,557 of the corpus that docs/waf-detection.md reports about.
	noisyShare = 3.0 / 16557
	// folds of the cross-validation.
	folds = 5
)

// learnNoisy lists the rules that took too many benign requests for attacks.
func learnNoisy(results []result, of func(i int) bool) []int {
	count, benign := map[int]int{}, 0
	for i := range results {
		if results[i].attack() || !of(i) {
			continue
		}
		benign++
		seen := map[int]bool{}
		for _, h := range results[i].known.Heard {
			if !seen[h.Rule] && h.Rule >= 930000 && h.Rule/1000 != 943 {
				count[h.Rule]++
			}
			seen[h.Rule] = true
		}
	}
	var rules []int
	for rule, n := range count {
		if float64(n) >= noisyShare*float64(benign) {
			rules = append(rules, rule)
		}
	}
	slices.Sort(rules)
	return rules
}

// crossValidate judges each fold by a list of doubted rules that was learned from the
// others, to compare the profile's, which is hand-set, with. A family is in one fold as a
// whole; the detectors, which are hand-written, are the same in all.
func crossValidate(results []result, family []int) []bool {
	stopped := make([]bool, len(results))
	for fold := range folds {
		held := func(i int) bool { return mixed(family[i])%folds == fold }
		noisy := learnNoisy(results, func(i int) bool { return !held(i) })
		for i := range results {
			if held(i) {
				r := &results[i]
				doubts := func(rule int) bool { _, found := slices.BinarySearch(noisy, rule); return found }
				v := evidence.JudgeBy(doubts, r.known.Heard, r.findings)
				stopped[i] = r.known.Refused || v.Score >= threshold
			}
		}
	}
	return stopped
}

// mixed spreads the numbers of families over the folds, the same way each time.
func mixed(family int) int {
	h := uint32(family) * 2654435761
	return int(h >> 8)
}

// labelled counts samples of a label.
func labelled(results []result, label corpus.Label) int {
	n := 0
	for i := range results {
		if results[i].sample.Label == label {
			n++
		}
	}
	return n
}
