package http2

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// take gets n places, and fails the test if it can't.
func (r *rig) take(n int) []*ClientConn {
	r.t.Helper()
	var all []*ClientConn
	for range n {
		c, err := r.pool.Get(r.t.Context(), time.Now())
		if err != nil {
			r.t.Fatalf("after %d places: %v", len(all), err)
		}
		all = append(all, c)
	}
	return all
}

func release(all []*ClientConn) {
	for _, c := range all {
		c.Release()
	}
}

func (r *rig) stats(busy, idle int) {
	r.t.Helper()
	if b, i := r.pool.Stats(); b != busy || i != idle {
		r.t.Errorf("%d busy and %d idle connections, want %d and %d", b, i, busy, idle)
	}
}

// settles is a next hop that allows n streams, and changes its mind when it is asked
// by a ping.
func settles(t *testing.T, first uint32, then ...uint32) func(net.Conn) {
	return rawApp(t, func(p *peer, f wire.Frame) {
		n := first
		switch f := f.(type) {
		case *wire.SettingsFrame:
			if f.IsAck() {
				return
			}
		case *wire.MetaHeadersFrame:
			if len(then) == 0 {
				return
			}
			n, then = then[0], then[1:]
			answersAll(p, f.StreamID)
		default:
			return
		}
		p.check(p.fr.WriteSettings(wire.Setting{ID: wire.SettingMaxConcurrentStreams, Val: n}))
	})
}

func TestPlacesAreSharedAndMadeAsNeeded(t *testing.T) {
	inBubble(t, limits.Default(), settles(t, 3), func(_ *testing.T, r *rig) {
		places := r.take(1)
		synctest.Wait() // its settings are there
		places = append(places, r.take(2)...)
		r.stats(1, 0)
		places = append(places, r.take(1)...)
		synctest.Wait()
		r.stats(2, 0)
		places = append(places, r.take(2)...)
		r.stats(2, 0)
		release(places[:1])
		places = append(places[1:], r.take(1)...) // the place that has come free
		r.stats(2, 0)
		release(places)
		r.stats(0, 2)
	})
}

func TestAsManyPlacesAsThePeerAllowsNow(t *testing.T) {
	inBubble(t, limits.Default(), settles(t, 1, 3, 0), func(t *testing.T, r *rig) {
		p, _ := r.raw()
		p.get(1)
		p.want("1 :status=200 END")
		synctest.Wait() // three are allowed now
		release(r.take(3))
		r.stats(0, 1)
		p.get(3)
		p.want("3 :status=200 END")
		synctest.Wait() // none is
		r.stats(0, 1)
		release(r.take(1))
		synctest.Wait()
		if r.dialCount() != 2 {
			t.Errorf("%d connections were made, want 2", r.dialCount())
		}
	})
}

func TestNoMorePlacesThanOurOwnLimit(t *testing.T) {
	l := limits.Default()
	l.ConcurrentStreams = 2
	l.UpstreamConnections = 2
	inBubble(t, l, settles(t, 1000), func(t *testing.T, r *rig) {
		places := r.take(4)
		r.stats(2, 0)
		if _, err := r.pool.Get(t.Context(), time.Now()); !errors.Is(err, message.ErrUpstreamLimit) {
			t.Errorf("a fifth: %v", err)
		}
		if _, err := r.pool.Fresh(t.Context()); !errors.Is(err, message.ErrUpstreamLimit) {
			t.Errorf("a fresh one: %v", err)
		}
		release(places)
	})
}

// Many who find no connection wait for the same one.
func TestOneDialsForAll(t *testing.T) {
	inBubble(t, limits.Default(), settles(t, 100), func(t *testing.T, r *rig) {
		dial := r.pool.opts.Dial
		r.pool.opts.Dial = func(ctx context.Context) (Dialed, error) {
			<-time.After(time.Second)
			return dial(ctx)
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { release(r.take(1)) })
		}
		wg.Wait()
		if r.dialCount() != 1 {
			t.Errorf("%d connections were made, want 1", r.dialCount())
		}
		r.stats(0, 1)
	})
}

var errNoRoute = errors.New("no route")

func TestDialsThatFail(t *testing.T) {
	inBubble(t, limits.Default(), settles(t, 100), func(t *testing.T, r *rig) {
		dial := r.pool.opts.Dial
		var fail func() error
		r.pool.opts.Dial = func(ctx context.Context) (Dialed, error) {
			<-time.After(time.Second)
			if fail != nil {
				return Dialed{}, fail()
			}
			return dial(ctx)
		}
		fail = func() error { return errNoRoute }
		var wg sync.WaitGroup
		for range 10 { // whoever waits is told as well
			wg.Go(func() {
				if _, err := r.pool.Get(t.Context(), time.Now()); !errors.Is(err, errNoRoute) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		fail = func() error { panic("boom") }
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is lost")
				}
			}()
			_, _ = r.pool.Get(t.Context(), time.Now())
		}()
		fail = nil
		// One who is called off is no reason for others to give up.
		ctx, cancel := context.WithCancel(t.Context())
		r.pool.opts.Dial = func(ctx context.Context) (Dialed, error) {
			select {
			case <-ctx.Done():
				return Dialed{}, ctx.Err()
			case <-time.After(time.Second):
				return dial(ctx)
			}
		}
		wg.Go(func() {
			if _, err := r.pool.Get(ctx, time.Now()); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		wg.Go(func() { release(r.take(1)) })
		synctest.Wait()
		cancel()
		wg.Wait()
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		r.pool.CloseIf(func(net.Conn) bool { return true })
		r.stats(0, 0)
		if _, err := r.pool.Get(ctx, time.Now()); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestDialsAreBounded(t *testing.T) {
	inBubble(t, limits.Default(), settles(t, 100), func(t *testing.T, r *rig) {
		r.pool.opts.Dial = func(ctx context.Context) (Dialed, error) {
			<-ctx.Done()
			return Dialed{}, ctx.Err()
		}
		start := time.Now()
		if _, err := r.pool.Get(t.Context(), time.Now()); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		within(t, "dialing", time.Since(start), limits.Default().UpstreamConnectTimeout)
	})
}

// A retry must not meet another connection that is just as stale.
func TestFreshConnections(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(answersAll)), func(t *testing.T, r *rig) {
		p, _ := r.raw()
		p.get(1)
		p.want("1 :status=200 END")
		synctest.Wait()
		r.stats(0, 1)
		c, err := r.pool.Fresh(t.Context())
		if err != nil || c.Reused() || c.NetConn() == nil {
			t.Errorf("reused: %v, %v", c.Reused(), err)
		}
		r.stats(1, 1)
		again, err := r.pool.Fresh(t.Context())
		if err != nil || again != c {
			t.Errorf("a new one for each, %v", err)
		}
		release([]*ClientConn{c, again})
	})
}

func TestConnectionsRetire(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(answersAll)), func(t *testing.T, r *rig) {
		r.dialed.RetireAt = time.Now().Add(time.Minute)
		places := r.take(2)
		release(places[:1])
		<-time.After(time.Minute + time.Second)
		old := places[1]
		r.dialed.RetireAt = time.Time{}
		places = r.take(1)
		if places[0] == old {
			t.Error("the old connection is given out behind its time")
		}
		r.stats(2, 0)
		old.Release() // its last use
		r.stats(1, 0)
		release(places)
	})
}

func TestIdleConnectionsAreSwept(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(answersAll)), func(_ *testing.T, r *rig) {
		release(r.take(1))
		<-time.After(limits.Default().UpstreamIdleTimeout - time.Second)
		r.pool.Sweep(time.Now())
		r.stats(0, 1)
		busy := r.take(1)
		<-time.After(time.Hour)
		r.pool.Sweep(time.Now())
		r.stats(1, 0)
		release(busy)
		r.pool.Sweep(time.Now())
		r.stats(0, 1)
		<-time.After(limits.Default().UpstreamIdleTimeout + time.Second)
		r.pool.Sweep(time.Now())
		r.stats(0, 0)
	})
}

func TestConnectionsAreClosedUnderTheirExchanges(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(nobody)), func(t *testing.T, r *rig) {
		p, _ := r.raw()
		p.get(1)
		p.flush()
		synctest.Wait()
		r.pool.CloseIf(func(net.Conn) bool { return false })
		r.stats(1, 0)
		r.pool.CloseIf(func(nc net.Conn) bool { return nc == net.Conn(r.toApp[0]) })
		if got := p.next(); !strings.HasPrefix(got, "1 :status=502") {
			t.Error(got)
		}
		synctest.Wait()
		r.stats(0, 0)
	})
}

func TestAClosedPool(t *testing.T) {
	g := new(gate)
	inBubble(t, limits.Default(), rawApp(t, onRequest(g.answer)), func(t *testing.T, r *rig) {
		g.open = make(chan struct{})
		p, _ := r.raw()
		p.get(1)
		p.flush()
		synctest.Wait()
		r.pool.Close()
		r.stats(1, 0)
		if _, err := r.pool.Get(t.Context(), time.Now()); !errors.Is(err, message.ErrPoolClosed) {
			t.Error(err)
		}
		if _, err := r.pool.Fresh(t.Context()); !errors.Is(err, message.ErrPoolClosed) {
			t.Error(err)
		}
		close(g.open)
		p.want("1 :status=200 END") // what had begun is finished
		synctest.Wait()
		r.stats(0, 0)
	})
}

// Extended CONNECT needs the next hop's consent, for which it is waited.
func TestWebSocketNeedsConsent(t *testing.T) {
	ask := func(p *peer) {
		p.headers(1, true, ":method: CONNECT", ":scheme: http", ":authority: a", ":path: /", ":protocol: websocket")
	}
	for late, want := range map[bool]string{false: "1 :status=502", true: "1 :status=200 END"} {
		app := rawApp(t, onRequest(answersAll))
		if late {
			app = lateSettings(t)
		}
		inBubble(t, limits.Default(), app, func(t *testing.T, r *rig) {
			p, _ := r.raw()
			ask(p)
			if got := p.next(); !strings.HasPrefix(got, want) {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

// lateSettings is a next hop that consents in its first frame, which comes late.
func lateSettings(t *testing.T) func(net.Conn) {
	return func(nc net.Conn) {
		<-time.After(time.Second)
		p := newPeer(t, nc)
		p.check(p.fr.WriteSettings(wire.Setting{ID: wire.SettingEnableConnectProtocol, Val: 1}))
		p.flush()
		rawApp(t, onRequest(answersAll))(nc)
	}
}

// below is a connection that says whether it should be used again.
type below struct {
	net.Conn
	unusable *atomic.Bool
}

func (b below) Usable() bool { return !b.unusable.Load() }

// A connection whose stream below should not be used again is not, but finishes what
// is open on it.
func TestAStreamBelowThatIsNotUsable(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(answersAll)), func(t *testing.T, r *rig) {
		var first atomic.Bool
		r.dialed.Alone = true
		r.wrap = func(nc net.Conn) net.Conn {
			if r.dials == 1 {
				return below{nc, &first}
			}
			return nc
		}
		release(r.take(1))
		busy := r.take(1)
		first.Store(true)
		r.pool.Sweep(time.Now())
		r.stats(1, 0)
		release(busy)
		next := r.take(1)
		if next[0] == busy[0] || r.dials != 2 {
			t.Errorf("%d connections were dialed, want another one", r.dials)
		}
		r.pool.Sweep(time.Now())
		r.stats(1, 0)
		release(next)
		r.stats(0, 1)
	})
}
