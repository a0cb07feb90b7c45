package accesslog

import (
	"regexp"
	"slices"
	"sync"
	"testing"
)

func TestIDsAreUniqueAndSortByWhenTheyWereMade(t *testing.T) {
	ids := NewIDs()
	form := regexp.MustCompile(`^[0-9a-v]{20}$`)
	var made []string
	for range 3000 { // past two carries of base 32
		made = append(made, ids.Next())
	}
	if !form.MatchString(made[0]) {
		t.Errorf("id %q does not match %v", made[0], form)
	}
	if !slices.IsSorted(made) {
		t.Error("ids are not in order")
	}
	if distinct := len(slices.Compact(made)); distinct != 3000 {
		t.Errorf("%d distinct ids, want 3000", distinct)
	}
}

func TestIDsOfTwoGeneratorsDiffer(t *testing.T) {
	if a, b := NewIDs().Next(), NewIDs().Next(); a == b {
		t.Errorf("two generators both made %q", a)
	}
}

func TestConcurrentIDsAreUnique(t *testing.T) {
	ids := NewIDs()
	var all sync.WaitGroup
	made := make([][]string, 8)
	for i := range made {
		all.Go(func() {
			for range 500 {
				made[i] = append(made[i], ids.Next())
			}
		})
	}
	all.Wait()
	sorted := slices.Sorted(slices.Values(slices.Concat(made...)))
	if distinct := len(slices.Compact(sorted)); distinct != 4000 {
		t.Errorf("%d distinct ids, want 4000", distinct)
	}
}

func TestAnIDAllocatesOnlyItsString(t *testing.T) {
	ids := NewIDs()
	var id string
	if n := testing.AllocsPerRun(100, func() { id = ids.Next() }); n > 1 {
		t.Errorf("Next allocates %v times, want 1", n)
	}
	buf := make([]byte, 0, idSize)
	if n := testing.AllocsPerRun(100, func() { buf = ids.Append(buf[:0]) }); n != 0 {
		t.Errorf("Append allocates %v times, want 0", n)
	}
	_ = id
}
