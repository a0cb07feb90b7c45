package strict

import (
	"slices"
	"strings"
)

// Suggest words the remedy for a name that should be one of the known ones;
// empty when it is.
func Suggest(got string, known []string) string {
	if slices.Contains(known, got) {
		return ""
	}
	if best := nearest(got, known); best != "" {
		return "did you mean " + quote(best) + "?"
	}
	if len(known) == 0 {
		return "none is known"
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(known)))
	return "allowed here: " + strings.Join(sorted, ", ")
}

// nearest returns the known name that a person most likely meant; empty when
// none is near.
func nearest(got string, known []string) string {
	if len(got) > maxQuoted {
		return ""
	}
	best, least := "", 0
	for _, k := range known {
		limit := max(1, max(len(k), len(got))/3)
		d := distance(strings.ToLower(got), strings.ToLower(k))
		if d > limit || (best != "" && (d > least || (d == least && k > best))) {
			continue
		}
		best, least = k, d
	}
	return best
}

// distance is the number of single-byte edits, with the swap of two neighbours
// as one edit since that is what fingers do.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
