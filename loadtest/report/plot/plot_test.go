package plot

import (
	"math"
	"testing"
)

func TestPaths(t *testing.T) {
	p := func(x, y float64) Point { return Point{x, y} }
	cases := []struct {
		name   string
		points []Point
		want   string
	}{
		{"nothing", nil, ""},
		{"one point is a dot", []Point{p(1, 2)}, "M1 2h0"},
		{"a line", []Point{p(0, 0), p(10, 5)}, "M0 0L10 5"},
		{"a level line", []Point{p(0, 5), p(10, 5)}, "M0 5L10 5"},
		{"a gap", []Point{p(0, 0), p(1, 0), Gap(), p(2, 0), p(3, 0)}, "M0 0L1 0M2 0L3 0"},
		{"dots between gaps", []Point{Gap(), p(1, 1), Gap(), Gap(), p(2, 2)}, "M1 1h0M2 2h0"},
		{"a dot, then a line", []Point{p(1, 1), Gap(), p(2, 2), p(3, 2)}, "M1 1h0M2 2L3 2"},
		{"infinity is a gap", []Point{p(1, 1), p(math.Inf(1), 0), p(2, 2)}, "M1 1h0M2 2h0"},
		{"tenths", []Point{p(0.04, -0.04), p(1.25, 99.96)}, "M0 0L1.3 100"},
	}
	if len(cases) < 9 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if got := Path(c.points); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestFramePutsZeroAtTheBottomLeft(t *testing.T) {
	f := Frame{Left: 10, Top: 20, Right: 110, Bottom: 70}
	for _, c := range []struct{ x, y, wantX, wantY float64 }{
		{0, 0, 10, 70}, {1, 1, 110, 20}, {0.5, 0.1, 60, 65},
	} {
		if got := f.Point(c.x, c.y); got != (Point{c.wantX, c.wantY}) {
			t.Errorf("(%g, %g) is at %v, want (%g, %g)", c.x, c.y, got, c.wantX, c.wantY)
		}
	}
}
