package footprint

import (
	"runtime/debug"
	"testing"
)

func TestCollect(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	for _, c := range []struct {
		sparse bool
		want   int
	}{{true, 50}, {true, 50}, {false, 100}} {
		Collect(c.sparse)
		if got := debug.SetGCPercent(c.want); got != c.want {
			t.Errorf("Collect(%v) lets garbage be %d %%, want %d", c.sparse, got, c.want)
		}
	}
}
