package ratelimit_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/ratelimit"
)

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

func quota(rule int, every time.Duration, burst int) authz.Quota {
	return authz.Quota{RuleName: authz.RuleName{Policy: "p", Rule: rule}, Every: every, Burst: burst}
}

func caller(n int) authz.Share { return authz.Share{Caller: fmt.Sprintf("spiffe://example.org/%d", n)} }

// tokens is the bucket of the textbook, in fractions of a token.
type tokens struct {
	left float64
	at   time.Time
}

func (b *tokens) take(now time.Time, q authz.Quota) bool {
	b.left = min(float64(q.Burst), b.left+float64(now.Sub(b.at))/float64(q.Every))
	if b.at = now; b.left < 1-1e-6 {
		return false
	}
	b.left--
	return true
}

// TestLimiterIsATokenBucket compares with the textbook at random times, which are
// multiples of a tenth of a token so that rounding decides nothing.
func TestLimiterIsATokenBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		taken, refused := 0, 0
		for round := range 50 {
			q := quota(round, time.Duration(1+random.IntN(1000))*10*time.Millisecond, 1+random.IntN(20))
			m := new(ratelimit.Limiter).Adopt([]authz.Quota{q})
			reference := map[int]*tokens{}
			for range 200 {
				pass(time.Duration(random.IntN(5)) * q.Every / 10)
				n := random.IntN(3)
				if reference[n] == nil {
					reference[n] = &tokens{float64(q.Burst), time.Now()}
				}
				want := reference[n].take(time.Now(), q)
				wait, ok := m.Take(0, caller(n))
				if ok != want || ok != (wait == 0) {
					t.Fatalf("%+v: %v, wait %v; the reference says %v with %v tokens left", q, ok, wait, want, reference[n].left)
				}
				if !ok {
					refused++
					pass(wait - 1)
					if _, early := m.Take(0, caller(n)); early {
						t.Fatalf("%+v: a token %v too early", q, time.Nanosecond)
					}
					pass(time.Nanosecond)
					if _, ok := m.Take(0, caller(n)); !ok || !reference[n].take(time.Now(), q) {
						t.Fatalf("%+v: no token after %v", q, wait)
					}
				}
				taken++
			}
		}
		t.Logf("%d calls, %d refused", taken, refused)
		if refused < 500 {
			t.Errorf("only %d of %d were refused", refused, taken)
		}
	})
}

func TestSharesDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(ratelimit.Limiter).Adopt([]authz.Quota{quota(0, time.Second, 1), quota(1, time.Minute, 2)})
		for _, of := range []authz.Share{{}, caller(1), caller(2), {Route: 1}, {Route: 2}} {
			if _, ok := m.Take(0, of); !ok {
				t.Errorf("%+v finds nothing left", of)
			}
			if wait, ok := m.Take(0, of); ok || wait != time.Second {
				t.Errorf("%+v gets two, wait %v", of, wait)
			}
			if _, ok := m.Take(1, of); !ok {
				t.Errorf("%+v: the other limit has nothing left", of)
			}
		}
	})
}

func TestASetThatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l ratelimit.Limiter
		a, b := quota(0, time.Second, 1), quota(1, time.Second, 1)
		old := l.Adopt([]authz.Quota{a, b})
		old.Take(0, caller(1))
		old.Take(1, caller(1))
		if l.Len() != 2 {
			t.Errorf("%d buckets, want 2", l.Len())
		}
		changed := b
		changed.Burst = 2
		m := l.Adopt([]authz.Quota{quota(7, time.Second, 1), a, changed})
		if _, ok := m.Take(1, caller(1)); ok {
			t.Error("what is used up comes back with a change elsewhere")
		}
		if _, ok := m.Take(2, caller(1)); !ok {
			t.Error("a limit that changed still has the old bucket")
		}
		if l.Len() != 2 {
			t.Errorf("%d buckets, want 2", l.Len())
		}
		// A request that is under way holds the old meter.
		if _, ok := old.Take(0, caller(1)); ok {
			t.Error("the old meter has buckets of its own")
		}
		for n := range 100 {
			old.Take(1, caller(n))
		}
		if l.Len() != 2 {
			t.Errorf("the old meter makes buckets: %d", l.Len())
		}
	})
}

func TestBucketsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folded := 0
		l := ratelimit.Limiter{Buckets: 20, Folded: func() { folded++ }}
		m := l.Adopt([]authz.Quota{quota(0, time.Second, 2), quota(1, time.Second, 2)})
		for n := range 20 {
			m.Take(n%2, caller(n))
		}
		allowed := 0
		for n := range 1000 {
			if _, ok := m.Take(0, caller(100+n)); ok {
				allowed++
			}
		}
		if l.Len() != 20 || folded != 1000 || allowed != 2 {
			t.Errorf("%d buckets, %d folded, %d allowed; the common bucket holds 2", l.Len(), folded, allowed)
		}
		if _, ok := m.Take(0, caller(0)); !ok {
			t.Error("a crowd of strangers uses up what others have left")
		}
		if _, ok := m.Take(0, authz.Share{}); !ok {
			t.Error("the crowd uses up the bucket of those without an identity")
		}
		// A bucket that is full again makes room.
		pass(2 * time.Second)
		for n := range 3 {
			if _, ok := m.Take(0, caller(5000+n)); !ok {
				t.Errorf("no room for %d", n)
			}
		}
		if l.Len() != 20 || folded != 1000 {
			t.Errorf("%d buckets, %d folded", l.Len(), folded)
		}
	})
}

// TestAtOnce has many goroutines take from one bucket while time stands still.
func TestAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.Limiter{Buckets: 3}
		m := l.Adopt([]authz.Quota{quota(0, time.Hour, 100)})
		var allowed [5]atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for n := range 1000 {
					if _, ok := m.Take(0, caller(n%len(allowed))); ok {
						allowed[n%len(allowed)].Add(1)
					}
				}
			})
		}
		wg.Wait()
		total := int64(0)
		for n := range allowed {
			if got := allowed[n].Load(); got > 100 {
				t.Errorf("caller %d was let in %d times of 100", n, got)
			}
			total += allowed[n].Load()
		}
		if total != 400 || l.Len() != 3 { // three of their own and the common one
			t.Errorf("%d calls and %d buckets, want 400 and 3", total, l.Len())
		}
	})
}

func TestTakingAllocatesNothing(t *testing.T) {
	m := new(ratelimit.Limiter).Adopt([]authz.Quota{quota(0, time.Nanosecond, 1_000_000)})
	of := caller(1)
	m.Take(0, of)
	if n := testing.AllocsPerRun(1000, func() { m.Take(0, of) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	m := new(ratelimit.Limiter).Adopt([]authz.Quota{quota(0, time.Nanosecond, 1_000_000)})
	of := caller(1)
	b.ReportAllocs()
	for b.Loop() {
		m.Take(0, of)
	}
}
