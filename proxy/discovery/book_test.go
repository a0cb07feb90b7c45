package discovery

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	vip   = netip.MustParseAddrPort("10.96.0.1:80")
	other = netip.MustParseAddrPort("[fd00::1]:80")
)

func payments(at ...string) push.Target {
	g := push.Group{ID: "spiffe://example.org/ns/shop/sa/payments"}
	for _, a := range at {
		g.At = append(g.At, netip.MustParseAddrPort(a))
	}
	return push.Target{Name: "payments.shop:80", Endpoints: []push.Group{g}}
}

func outside() push.Target { return push.Target{Name: "db.example.com:5432", Outside: true} }

// A library is a book whose ways are numbers, and what it did.
type library struct {
	*Book[int]

	t         *testing.T
	mu        sync.Mutex
	wanted    map[netip.AddrPort]string
	asked     int
	open      map[int]bool
	made      int
	reachable bool
}

func newLibrary(t *testing.T, bend ...func(*Options[int])) *library {
	t.Helper()
	l := &library{t: t, wanted: map[netip.AddrPort]string{}, open: map[int]bool{}, reachable: true}
	o := Options[int]{
		Subscribe: func(at netip.AddrPort, version string) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.wanted[at] = version
			l.asked++
		},
		Unsubscribe: func(at netip.AddrPort) {
			l.mu.Lock()
			defer l.mu.Unlock()
			if _, ok := l.wanted[at]; !ok {
				t.Errorf("%s was not asked for", at)
			}
			delete(l.wanted, at)
		},
		Reachable: func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.reachable
		},
		Make: func(_ push.Target, before int) int {
			if delete(l.open, before); before == 0 {
				l.made++
				before = l.made * 100
			}
			l.open[before+1] = true
			return before + 1
		},
		Close: func(w int) {
			if !l.open[w] {
				t.Errorf("the way %d is closed twice", w)
			}
			delete(l.open, w)
		},
		Most: 3, Wait: 5 * time.Second, Retry: time.Second, Idle: time.Minute,
	}
	for _, b := range bend {
		b(&o)
	}
	l.Book = New(o)
	return l
}

func (l *library) find(at netip.AddrPort) Found[int] { return l.Find(l.t.Context(), at) }

// want tells what has to be found, and after how long.
func (l *library) want(at netip.AddrPort, v Verdict, way int, took time.Duration) {
	l.t.Helper()
	start := time.Now()
	if got := l.find(at); got.Verdict != v || got.Way != way {
		l.t.Errorf("%s: verdict %d by the way %d, want %d by %d", at, got.Verdict, got.Way, v, way)
	}
	if d := time.Since(start); d != took {
		l.t.Errorf("%s: after %v, want %v", at, d, took)
	}
}

func (l *library) reach(can bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reachable = can
}

func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // of a synctest bubble, where it takes no time

func TestConcurrentCallersAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t)
		var calls sync.WaitGroup
		for range 100 {
			calls.Go(func() {
				if f := l.find(vip); f.Verdict != Mesh || f.Way != 101 {
					t.Errorf("%+v", f)
				}
			})
		}
		synctest.Wait()
		pass(time.Second)
		l.Learn(vip, payments("10.0.0.1:80"), "v1", 0)
		calls.Wait()
		if l.asked != 1 || l.made != 1 {
			t.Errorf("asked %d times, %d ways", l.asked, l.made)
		}
		l.want(vip, Mesh, 101, 0)
		l.want(netip.MustParseAddrPort("[::ffff:10.96.0.1]:80"), Mesh, 101, 0)
	})
}

func TestWhatIsToldChangesTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t)
		go l.find(vip)
		synctest.Wait()
		l.Learn(vip, payments("10.0.0.1:80"), "v1", 0)
		l.Learn(vip, payments("10.0.0.2:80"), "v2", 0)
		l.want(vip, Mesh, 102, 0) // made out of the one before
		l.Learn(vip, push.Target{Name: "payments.shop:80"}, "v3", 0)
		l.want(vip, Mesh, 103, 0) // without endpoints it is still of the mesh
		l.Learn(vip, outside(), "v4", 0)
		l.want(vip, Outside, 0, 0)
		if len(l.open) != 0 {
			t.Errorf("open: %v", l.open)
		}
		l.Learn(vip, payments("10.0.0.1:80"), "v5", 0)
		l.want(vip, Mesh, 201, 0)
		l.Learn(other, payments("10.0.0.1:80"), "v1", 0) // nobody asked
		if l.Len() != 1 {
			t.Errorf("%d addresses", l.Len())
		}
	})
}

func TestWhatIsNotSaidIsNotGuessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t)
		l.want(vip, Unresolved, 0, 5*time.Second)
		l.want(vip, Unresolved, 0, 0) // one has waited in vain a moment ago
		pass(time.Second)
		l.reach(false)
		l.want(vip, Unresolved, 0, time.Second)
		l.want(other, Unresolved, 0, time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		l.reach(true)
		pass(time.Second)
		if f := l.Find(ctx, vip); f.Verdict != Unresolved {
			t.Errorf("%+v", f)
		}
		l.Learn(vip, payments("10.0.0.1:80"), "v1", 0) // late is not never
		l.want(vip, Mesh, 101, 0)
	})
}

func TestThatNobodyKnowsIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t)
		go l.find(vip)
		synctest.Wait()
		l.Learn(vip, push.Target{}, "v0", 10*time.Second)
		l.want(vip, Unknown, 0, 0)
		pass(10 * time.Second)
		l.reach(false)
		l.want(vip, Unknown, 0, 0) // there is nobody to ask
		l.reach(true)
		asked := l.asked
		go func() {
			pass(time.Second)
			l.Learn(vip, payments("10.0.0.1:80"), "v1", 0)
		}()
		l.want(vip, Mesh, 101, time.Second)
		if l.asked != asked+1 {
			t.Errorf("asked %d times more", l.asked-asked)
		}
	})
}

func TestIdleAddressesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t)
		learn := func(at netip.AddrPort) {
			go l.find(at)
			synctest.Wait()
			l.Learn(at, payments("10.0.0.1:80"), "v1", 0)
		}
		learn(vip)
		learn(other)
		pass(40 * time.Second)
		l.want(vip, Mesh, 101, 0)
		pass(20 * time.Second)
		l.Sweep(time.Now())
		if _, kept := l.wanted[vip]; !kept || l.Len() != 1 || len(l.open) != 1 {
			t.Errorf("%v is known, %v open", l.wanted, l.open)
		}
		pass(59 * time.Second)
		l.Touch(vip) // a connection is open to it
		l.Touch(other)
		pass(59 * time.Second)
		if l.Sweep(time.Now()); l.Len() != 1 {
			t.Errorf("%d are known", l.Len())
		}
		// When there is no room, the one that was idle longest goes.
		for i := range 3 {
			pass(time.Second)
			learn(netip.AddrPortFrom(vip.Addr(), uint16(1000+i)))
		}
		if _, kept := l.wanted[vip]; kept || l.Len() != 3 || len(l.wanted) != 3 || len(l.open) != 3 {
			t.Errorf("%v is known, %v open", l.wanted, l.open)
		}
	})
}

func TestAddressesThatAreWaitedForAreNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t, func(o *Options[int]) { o.Wait = time.Hour })
		for i := range 3 {
			go l.find(netip.AddrPortFrom(vip.Addr(), uint16(1000+i)))
		}
		synctest.Wait()
		l.want(vip, Unresolved, 0, 0) // there is no room
		pass(time.Minute)
		l.Sweep(time.Now())
		if l.Len() != 3 {
			t.Errorf("%d addresses", l.Len())
		}
		l.Close()
		synctest.Wait() // nobody waits for a book that is closed
		l.want(vip, Unresolved, 0, 0)
		l.Learn(vip, payments("10.0.0.1:80"), "v1", 0)
		l.Restore([]Known{{At: vip, Target: outside(), Version: "v1"}})
		if l.Len() != 0 || len(l.open) != 0 {
			t.Errorf("%d addresses, %v open", l.Len(), l.open)
		}
	})
}

func TestWhatWasKnownBeforeARestartCounts(t *testing.T) {
	third := netip.MustParseAddrPort("10.96.0.3:80")
	kept := []Known{
		{At: vip, Target: payments("10.0.0.1:80"), Version: "v1"},
		{At: other, Target: outside(), Version: "v2"},
		{At: third, Target: push.Target{}, Version: "v3"},
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t)
		l.Restore(kept)
		if diff := cmp.Diff(map[string]string{vip.String(): "v1", other.String(): "", third.String(): ""}, names(l.wanted)); diff != "" {
			t.Error(diff)
		}
		if _, changed := l.Kept(); changed {
			t.Error("it is to be written again")
		}
		l.want(vip, Mesh, 101, 0)
		// While there is somebody to ask, calls in plaintext wait for the answer.
		l.want(other, Outside, 0, 5*time.Second)
		l.want(other, Outside, 0, 0)
		l.reach(false)
		l.want(third, Unknown, 0, time.Second)
		pass(2 * time.Second)
		go func() {
			pass(500 * time.Millisecond)
			l.Learn(other, payments("10.0.0.2:80"), "v4", 0)
		}()
		l.want(other, Mesh, 201, 500*time.Millisecond)

		all, changed := l.Kept()
		slices.SortFunc(all, func(a, b Known) int { return a.At.Compare(b.At) })
		want := []Known{kept[0], kept[2], {At: other, Target: payments("10.0.0.2:80"), Version: "v4"}}
		if diff := cmp.Diff(want, all, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); !changed || diff != "" {
			t.Error(changed, diff)
		}
		if _, changed := l.Kept(); changed {
			t.Error("it is to be written again")
		}
		l.Restore(slices.Repeat([]Known{{At: netip.MustParseAddrPort("10.0.0.9:1"), Target: outside(), Version: "1"}}, 2)) // there is no room
		var seen int
		l.Each(func(netip.AddrPort, Found[int]) { seen++ })
		if l.Len() != 3 || seen != 3 {
			t.Errorf("%d addresses, %d seen", l.Len(), seen)
		}
	})
}

func names(m map[netip.AddrPort]string) map[string]string {
	all := map[string]string{}
	for at, v := range m {
		all[at.String()] = v
	}
	return all
}

// Whatever is said in whatever order, a way is made once and closed once, and what is
// asked for is what is in the book.
func FuzzBook(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0x41, 0x82, 0xc3, 0x11})
	f.Fuzz(func(t *testing.T, steps []byte) {
		if len(steps) > 200 {
			return
		}
		l := newLibrary(t, func(o *Options[int]) { o.Wait, o.Retry = 0, 0 })
		for i, step := range steps {
			at := netip.AddrPortFrom(vip.Addr(), uint16(step>>5)+1)
			switch step & 7 {
			case 0, 1:
				l.find(at)
			case 2:
				l.Learn(at, payments("10.0.0.1:80"), fmt.Sprint(i), 0)
			case 3:
				l.Learn(at, outside(), fmt.Sprint(i), 0)
			case 4:
				l.Learn(at, push.Target{}, fmt.Sprint(i), 1)
			case 5:
				l.Sweep(time.Now().Add(time.Hour))
			case 6:
				l.Restore([]Known{{At: at, Target: payments("10.0.0.1:80"), Version: "r"}})
			case 7:
				l.reach(step&8 == 0)
			}
			mesh := 0
			l.Each(func(_ netip.AddrPort, found Found[int]) {
				if found.Verdict == Mesh {
					mesh++
				}
			})
			if len(l.wanted) != l.Len() || l.Len() > 3 || len(l.open) != mesh {
				t.Fatalf("step %d: %d asked for, %d in the book, %d ways open of %d", i, len(l.wanted), l.Len(), len(l.open), mesh)
			}
		}
		if l.Close(); len(l.open) > 0 {
			t.Fatalf("%v are open", l.open)
		}
	})
}
