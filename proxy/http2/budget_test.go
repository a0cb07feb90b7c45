package http2

import (
	"testing"
	"time"
)

func TestBudgets(t *testing.T) {
	now := time.Now()
	b := newBudget(3, now)
	spend := func(n int, want bool) {
		t.Helper()
		if got := b.spend(n, now); got != want {
			t.Errorf("%d: %v, %+v", n, got, b)
		}
	}
	spend(1, true)
	spend(2, true)
	spend(1, false)
	b.earn(2) // one is owed
	spend(1, true)
	spend(1, false)
	b.earn(100)
	spend(3, true) // no more than the most
	spend(1, false)
	now = now.Add(2*refill - 1)
	spend(0, true) // of two, one is owed
	spend(1, false)
	now = now.Add(1)
	spend(0, true) // parts of it are not lost
	now = now.Add(time.Hour)
	spend(3, true)
	spend(1, false)
	// Time that passed while nothing was missing counts for nothing.
	b = newBudget(3, now)
	now = now.Add(time.Hour)
	spend(3, true)
	spend(1, false)
}
