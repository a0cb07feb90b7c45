package workload

import (
	"testing"
	"time"
)

func TestPausesDoubleWithinTheirBounds(t *testing.T) {
	b := newPause(0, 0).NewBackoff()
	for range 2 {
		for i, want := range []time.Duration{500, 1000, 2000, 4000, 8000, 10000, 10000} {
			want *= time.Millisecond
			got := b.Next()
			if off := (got - want).Abs(); off > want/5 {
				t.Errorf("pause %d is %s, want %s give or take a fifth", i, got, want)
			}
		}
		b.Reset()
	}
}

func TestTheHighestPauseIsNeverBelowTheLowest(t *testing.T) {
	if p := newPause(time.Minute, time.Second); p.highest != time.Minute {
		t.Errorf("the highest pause is %s", p.highest)
	}
}
