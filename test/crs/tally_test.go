package crs

import (
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/outrider-mesh/outrider/internal/testkit/ftw"
)

// A tally counts the cases of a run and holds them against the list.
type tally struct {
	listed  map[string]expected
	answers responseRules
	passed  int
	differ  map[why]int
}

func newTally(t *testing.T, listed map[string]expected) *tally {
	t.Helper()
	return &tally{listed: maps.Clone(listed), answers: readResponseRules(t), differ: map[why]int{}}
}

// add judges a case by how it differs.
func (y *tally) add(t *testing.T, c ftw.Case, got difference) {
	t.Helper()
	want, listed := y.listed[c.ID]
	delete(y.listed, c.ID)
	switch {
	case !listed && got.none():
		y.passed++
	case !listed && y.answers.explain(got):
		y.differ[answer]++
	case !listed:
		t.Errorf("%s: %+v", c.ID, got)
	case got.none():
		t.Errorf("%s is listed (%s) and comes out as the suite has it", c.ID, want.Why)
	default:
		if diff := cmp.Diff(want.difference, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s is listed (%s) and differs otherwise (-listed +got):\n%s", c.ID, want.Why, diff)
		}
		y.differ[want.Why]++
	}
}

// end reports the counts, which can't be fewer than there were cases.
func (y *tally) end(t *testing.T, cases int) {
	t.Helper()
	for id := range y.listed {
		t.Errorf("%s is listed and not in the suite", id)
	}
	all := y.passed
	t.Logf("%5d as the suite has them", y.passed)
	for _, w := range slices.Sorted(maps.Keys(y.differ)) {
		all += y.differ[w]
		t.Logf("%5d %s", y.differ[w], w)
	}
	t.Logf("%5d cases", all)
	t.Attr("cases", strconv.Itoa(all))
	t.Attr("passed", strconv.Itoa(y.passed))
	least := everyCase
	if raceDetector {
		least = everyCase/sampled - 3 // those that are too large
	}
	if all != cases || all < least {
		t.Errorf("%d cases were judged, want all %d and no fewer than %d", all, cases, least)
	}
}

// A list that says less than it could, or blames upstream for what is ours, is wrong.
func TestTheListsAreExact(t *testing.T) {
	entries := 0
	for name, list := range map[string]map[string]expected{"in process": listedInProcess(), "through a sidecar": listedThroughASidecar()} {
		for id, e := range list {
			entries++
			if e.none() {
				t.Errorf("%s, %s: says of nothing how it differs", name, id)
			}
			if known := slices.Contains(ignoredUpstream(), id) || slices.Contains(changedUpstream(), id); e.Why == upstream && !known {
				t.Errorf("%s, %s: Coraza's own lists do not have it", name, id)
			}
		}
	}
	const least = 24
	if entries < least {
		t.Errorf("%d entries, want %d", entries, least)
	}
}
