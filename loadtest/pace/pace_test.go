package pace

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shapes are one of each kind, with how many requests they make due in a time,
// by hand.
func shapes() []struct {
	name  string
	shape Shape
	after time.Duration
	count float64
} {
	return []struct {
		name  string
		shape Shape
		after time.Duration
		count float64
	}{
		{"constant", Constant(1000), 2500 * time.Millisecond, 2500},
		{"a slow constant", Constant(0.5), 3 * time.Second, 1.5},
		{"in a ramp up", Ramp{From: 100, To: 300, Over: 10 * time.Second}, 5 * time.Second, 750},
		{"behind a ramp up", Ramp{From: 100, To: 300, Over: 10 * time.Second}, 12 * time.Second, 2600},
		{"in a ramp down", Ramp{From: 300, To: 100, Over: 10 * time.Second}, 5 * time.Second, 1250},
		{"a ramp that is level", Ramp{From: 50, To: 50, Over: 4 * time.Second}, 2 * time.Second, 100},
		{"a ramp that is nearly level", Ramp{From: 50, To: 50 + 1e-9, Over: 4 * time.Second}, 2 * time.Second, 100},
		{"in the second step", Steps{{100, time.Second}, {10, time.Second}, {1, 0}}, 1500 * time.Millisecond, 105},
		{"at the end of a step", Steps{{100, time.Second}, {10, time.Second}}, time.Second, 100},
		{"behind the last step", Steps{{100, time.Second}, {10, time.Second}}, 3 * time.Second, 120},
	}
}

func TestShapesCountWhatIsDue(t *testing.T) {
	all := shapes()
	if len(all) < 10 {
		t.Fatalf("only %d shapes", len(all))
	}
	for _, c := range all {
		if got := c.shape.Count(c.after); math.Abs(got-c.count) > 1e-6 {
			t.Errorf("%s: %g due after %s, want %g", c.name, got, c.after, c.count)
		}
		if got := c.shape.Time(c.count); (got - c.after).Abs() > time.Microsecond {
			t.Errorf("%s: the %gth is due after %s, want %s", c.name, c.count, got, c.after)
		}
		if got := c.shape.Count(0); got != 0 {
			t.Errorf("%s: %g due at once", c.name, got)
		}
	}
}

func TestTimeIsTheInverseOfCountAndNeverDecreases(t *testing.T) {
	for _, c := range shapes() {
		last := time.Duration(0)
		for n := 0.0; n < c.count*2; n += c.count / 50 {
			at := c.shape.Time(n)
			if at < last {
				t.Fatalf("%s: the %gth is due before the one ahead of it", c.name, n)
			}
			if got := c.shape.Count(at); math.Abs(got-n) > 1e-3 {
				t.Errorf("%s: Count(Time(%g)) is %g", c.name, n, got)
			}
			last = at
		}
	}
}

func TestARateOfZeroIsNeverDue(t *testing.T) {
	for name, s := range map[string]Shape{
		"constant": Constant(0), "steps": Steps{{0, time.Second}}, "ramp": Ramp{From: 1, To: 0, Over: time.Second},
	} {
		if got := s.Time(1); got != never {
			t.Errorf("%s: due after %s", name, got)
		}
	}
}

func TestEvenArrivals(t *testing.T) {
	a := Even(Constant(4))
	var got []time.Duration
	for range 4 {
		got = append(got, a.Next())
	}
	want := []time.Duration{0, 250 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Gaps of independent callers: their mean is one over the rate and so is their
// standard deviation. 100,000 of them pin both down to a hundredth.
func TestPoissonArrivals(t *testing.T) {
	const rate, n = 1000.0, 100_000
	a, again, other := Poisson(Constant(rate), 7), Poisson(Constant(rate), 7), Poisson(Constant(rate), 8)
	var last time.Duration
	var sum, squares float64
	same := 0
	for range n {
		at := a.Next()
		if at < last {
			t.Fatal("a request is due before the one ahead of it")
		}
		if at != again.Next() {
			t.Fatal("the same seed yields other times")
		}
		if at == other.Next() {
			same++
		}
		gap := (at - last).Seconds() * rate
		sum, squares, last = sum+gap, squares+gap*gap, at
	}
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	if math.Abs(mean-1) > 0.02 || math.Abs(deviation-1) > 0.02 {
		t.Errorf("gaps have mean %.3f and deviation %.3f of one over the rate", mean, deviation)
	}
	if same > n/100 {
		t.Errorf("another seed yields the same times: %d of %d", same, n)
	}
}

func TestPoissonFollowsTheShape(t *testing.T) {
	shape := Ramp{From: 100, To: 10_000, Over: 10 * time.Second}
	a := Poisson(shape, 1)
	n := 0
	for a.Next() < 5*time.Second {
		n++
	}
	want := shape.Count(5 * time.Second)
	if math.Abs(float64(n)-want) > 4*math.Sqrt(want) {
		t.Errorf("%d arrivals within the first half, want about %.0f", n, want)
	}
}

func TestParse(t *testing.T) {
	cases := []struct {
		text string
		want Shape // nil: refused
	}{
		{"1000", Constant(1000)},
		{"0.5", Constant(0.5)},
		{"100..2000@30s", Ramp{From: 100, To: 2000, Over: 30 * time.Second}},
		{"2000..100@1m", Ramp{From: 2000, To: 100, Over: time.Minute}},
		{"100@10s,500@10s,200", Steps{{100, 10 * time.Second}, {500, 10 * time.Second}, {200, 0}}},
		{"100@10s", Steps{{100, 10 * time.Second}}},
		{"", nil},
		{"0", nil},
		{"-5", nil},
		{"NaN", nil},
		{"Inf", nil},
		{"1e9", nil},
		{"many", nil},
		{"100..2000", nil},
		{"100..@3s", nil},
		{"..100@3s", nil},
		{"100..200@", nil},
		{"100..200@-3s", nil},
		{"100..200..300@3s", nil},
		{"100,200", nil},
		{"100@10s,,200", nil},
		{"100@10,200", nil},
		{"100@0s,200", nil},
	}
	if len(cases) < 23 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		got, err := Parse(c.text)
		switch {
		case c.want == nil && err == nil:
			t.Errorf("%q: accepted as %v", c.text, got)
		case c.want != nil && err != nil:
			t.Errorf("%q: %v", c.text, err)
		case c.want != nil:
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%q: %s", c.text, diff)
			}
			if again, err := Parse(got.String()); err != nil || cmp.Diff(c.want, again) != "" {
				t.Errorf("%q: is written as %q, which is read as %v, %v", c.text, got, again, err)
			}
		}
	}
}
