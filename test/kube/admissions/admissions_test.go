package admissions

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slow is a side where a pod takes so long.
func slow(d time.Duration, cleared *atomic.Int64) Side {
	return Side{
		Create: func(ctx context.Context, _ int64) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(d):
				return nil
			}
		},
		Clear: func(context.Context) error { cleared.Add(1); return nil },
	}
}

// measured is a report of pods that take 10 ms, and 15 ms with the webhook, which uses
// 2 ms of CPU in every block.
func measured(t *testing.T) *Report {
	t.Helper()
	r := &Report{Rounds: 8, Block: 150 * time.Millisecond}
	synctest.Test(t, func(t *testing.T) {
		var cleared atomic.Int64
		var used time.Duration
		var readings int
		k := Kind{Name: "kept", With: slow(15*time.Millisecond, &cleared), Without: slow(10*time.Millisecond, &cleared)}
		loads, err := k.Measure(t.Context(), Options{Rounds: r.Rounds, Block: r.Block, Callers: []int{1, 3}, CPU: func() (time.Duration, error) {
			if readings++; readings%2 == 0 {
				used += 2 * time.Millisecond
			}
			return used, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if n := cleared.Load(); n != 2*2*9 {
			t.Errorf("cleared %d times", n)
		}
		r.Loads = loads
	})
	return r
}

func TestDifferencesAreThoseOfTheSides(t *testing.T) {
	r := measured(t)
	for _, l := range r.Loads {
		if len(l.With) != 8 || len(l.Without) != 8 {
			t.Fatalf("%d and %d blocks", len(l.With), len(l.Without))
		}
		for i := range l.With {
			if len(l.With[i].Latencies) != 10*l.Callers || len(l.Without[i].Latencies) != 15*l.Callers {
				t.Errorf("%d and %d pods by %d callers", len(l.With[i].Latencies), len(l.Without[i].Latencies), l.Callers)
			}
		}
	}
	text := r.Tables()
	for _, row := range []string{
		"| kept | 1 | 100 | 67 | 10.00 | 15.00 | 10.00 | 15.00 | 133 µs | 200 µs |\n",
		"| kept | 3 | 300 | 200 | 10.00 | 15.00 | 10.00 | 15.00 | 44 µs | 67 µs |\n",
		"| kept | 1 | +5.00 | +5.00…+5.00 | +5.00 | +5.00…+5.00 | 0.67 |\n",
	} {
		if !strings.Contains(text, row) {
			t.Errorf("no row %s in\n%s", row, text)
		}
	}
}

// The side that comes second finds what the first has left behind.
func TestSidesTakeTurnsInBeingFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order strings.Builder
		side := func(name string) Side {
			s := slow(time.Second, new(atomic.Int64))
			s.Clear = func(context.Context) error { order.WriteString(name); return nil }
			return s
		}
		k := Kind{With: side("w"), Without: side("o")}
		_, err := k.Measure(t.Context(), Options{Rounds: 3, Block: time.Second, Callers: []int{1}, CPU: func() (time.Duration, error) { return 0, nil }})
		if order.String() != "woowwoow" || err != nil {
			t.Errorf("%s, %v", &order, err)
		}
	})
}

func TestQuantiles(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i+1) * time.Millisecond
	}
	cases := []struct {
		of    []time.Duration
		share float64
		want  float64
	}{
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred[:3], 0.99, 3},
		{hundred[:1], 0.5, 1},
	}
	for _, c := range cases {
		if got := quantile(c.of, c.share); got != c.want {
			t.Errorf("%v of %d: %v, want %v", c.share, len(c.of), got, c.want)
		}
	}
}

func TestAnErrorEndsTheRun(t *testing.T) {
	refused := errors.New("refused")
	idle := func() (time.Duration, error) { return 0, nil }
	cases := []struct {
		name   string
		change func(*Kind, *Options)
	}{
		{"a pod", func(k *Kind, _ *Options) {
			create := k.With.Create
			k.With.Create = func(ctx context.Context, n int64) error {
				if n == 20 {
					return refused
				}
				return create(ctx, n)
			}
		}},
		{"clearing", func(k *Kind, _ *Options) { k.Without.Clear = func(context.Context) error { return refused } }},
		{"the CPU's clock", func(_ *Kind, o *Options) { o.CPU = func() (time.Duration, error) { return 0, refused } }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := Kind{With: slow(time.Millisecond, new(atomic.Int64)), Without: slow(time.Millisecond, new(atomic.Int64))}
				o := Options{Rounds: 2, Block: time.Second, Callers: []int{4}, CPU: idle}
				c.change(&k, &o)
				if _, err := k.Measure(t.Context(), o); !errors.Is(err, refused) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestReportIsWritten(t *testing.T) {
	dir := t.TempDir()
	raw, md := filepath.Join(dir, "all.json"), filepath.Join(dir, "page.md")
	if err := os.WriteFile(md, []byte("before\n"+Page().Begin+"\nold\n"+Page().End+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := measured(t)
	if err := r.Write(raw, md); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(md)
	if want := "before\n" + Page().Begin + "\n" + r.Tables() + Page().End + "\nafter\n"; err != nil || string(text) != want {
		t.Errorf("%v\n%s", err, text)
	}
	if text, err := os.ReadFile(raw); err != nil || !strings.Contains(string(text), `"Latencies":[15000000,`) {
		t.Errorf("%v\n%s", err, text)
	}
}
