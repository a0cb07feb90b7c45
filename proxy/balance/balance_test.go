package balance_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

var errNobody = errors.New("nobody listens")

// dialer notes whom it was asked for and reaches nobody.
type dialer struct {
	asked map[flow.Protocol]netip.AddrPort
}

func (d *dialer) Dial(_ context.Context, addr netip.AddrPort, p flow.Protocol) (balance.Dialed, error) {
	if d.asked == nil {
		d.asked = map[flow.Protocol]netip.AddrPort{}
	}
	d.asked[p] = addr
	return balance.Dialed{}, errNobody
}

// options are those of a destination with an endpoint in each of the zones, which
// may be empty.
func options(d balance.Dialer, zones ...string) balance.Options {
	opts := balance.Options{
		Name:  "payments",
		HTTP1: http1.ClientOptions{Limits: limits.Default(), Buffers: new(http1.Buffers)},
		HTTP2: http2.ClientOptions{Limits: limits.Default(), Buffers: new(http2.Buffers)},
	}
	for i, zone := range zones {
		opts.Endpoints = append(opts.Endpoints, balance.Address{
			AddrPort: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 80), Zone: zone, Dial: d,
		})
	}
	return opts
}

func with(opts balance.Options) (*balance.Destination, []*balance.Endpoint) {
	dest := balance.New(opts)
	var all []*balance.Endpoint
	dest.Each(func(e *balance.Endpoint) { all = append(all, e) })
	return dest, all
}

// destination has n endpoints.
func destination(n int, d balance.Dialer) (*balance.Destination, []*balance.Endpoint) {
	return with(options(d, make([]string, n)...))
}

// start is any moment; the clock of these tests is what they say.
var start = time.Unix(1_000_000, 0)

// picks counts n choices.
func picks(d *balance.Destination, n int, now time.Time, not *balance.Endpoint) map[*balance.Endpoint]int {
	m := map[*balance.Endpoint]int{}
	for range n {
		m[d.Pick(now, not)]++
	}
	return m
}

func TestEveryEndpointIsChosen(t *testing.T) {
	d, all := destination(5, nil)
	got := picks(d, 5000, start, nil)
	for i, e := range all {
		// 1000 are expected; 700 is more than ten standard deviations away.
		if got[e] < 700 || got[e] > 1300 {
			t.Errorf("endpoint %d was chosen %d times of 5000", i, got[e])
		}
	}
	if d.Len() != 5 || d.Name() != "payments" {
		t.Errorf("%q with %d endpoints", d.Name(), d.Len())
	}
}

func TestTheLessLoadedOfTwoIsChosen(t *testing.T) {
	d, all := destination(2, nil)
	all[0].Begin()
	if got := picks(d, 200, start, nil); got[all[1]] != 200 {
		t.Errorf("the idle one was chosen %d times of 200", got[all[1]])
	}
	all[1].Begin()
	all[1].Begin()
	if got := picks(d, 200, start, nil); got[all[0]] != 200 {
		t.Errorf("the one with one request was chosen %d times of 200", got[all[0]])
	}
	all[1].Done()
	if got := picks(d, 400, start, nil); got[all[0]] < 100 || got[all[1]] < 100 {
		t.Errorf("of two that are alike, %d and %d times", got[all[0]], got[all[1]])
	}
}

// With two choices the most loaded of many is never chosen: the other is better.
func TestTheMostLoadedIsAvoided(t *testing.T) {
	d, all := destination(6, nil)
	for range 3 {
		all[2].Begin()
	}
	if got := picks(d, 1000, start, nil); got[all[2]] != 0 {
		t.Errorf("the loaded one was chosen %d times", got[all[2]])
	}
}

// Power of two choices: the fullest of n endpoints has hardly more than the mean.
func TestLoadSpreads(t *testing.T) {
	d, all := destination(10, nil)
	counts := map[*balance.Endpoint]int{}
	for range 1000 {
		e := d.Pick(start, nil)
		e.Begin()
		counts[e]++
	}
	for i, e := range all {
		if counts[e] < 90 || counts[e] > 110 {
			t.Errorf("endpoint %d has %d of 1000 requests", i, counts[e])
		}
	}
}

// An endpoint that answers ten times slower gets a share that keeps its queue from
// growing, and after its last slow answer it is tried again.
func TestASlowEndpointIsChosenLess(t *testing.T) {
	d, all := destination(2, nil)
	now := start
	for range 100 {
		now = now.Add(10 * time.Millisecond)
		all[0].Observe(now, time.Millisecond)
		all[1].Observe(now, 10*time.Millisecond)
	}
	if got := picks(d, 200, now, nil); got[all[1]] != 0 {
		t.Errorf("with nothing under way the slow one was chosen %d times of 200", got[all[1]])
	}
	for range 15 {
		all[0].Begin() // now it is the one to wait longer for
	}
	if got := picks(d, 200, now, nil); got[all[1]] != 200 {
		t.Errorf("beside a loaded one the slow one was chosen %d times of 200", got[all[1]])
	}
}

func TestAPeakCountsAtOnceAndIsForgotten(t *testing.T) {
	d, all := destination(2, nil)
	now := start
	for range 50 {
		now = now.Add(100 * time.Millisecond)
		all[0].Observe(now, time.Millisecond)
		all[1].Observe(now, 2*time.Millisecond)
	}
	all[0].Observe(now, 50*time.Millisecond)
	if got := picks(d, 100, now, nil); got[all[0]] != 0 {
		t.Errorf("after one slow answer it was chosen %d times of 100", got[all[0]])
	}
	// A peak of 50 ms is forgotten to less than 2 ms after ln(25) ≈ 3.2 times the
	// decay of 10 s, and the other's 2 ms with it: what is left is their proportion,
	// unless the other one is used.
	for range 400 {
		now = now.Add(100 * time.Millisecond)
		all[1].Observe(now, 2*time.Millisecond)
	}
	if got := picks(d, 100, now, nil); got[all[0]] != 100 {
		t.Errorf("40 s later it was chosen %d times of 100", got[all[0]])
	}
}

func TestAnExcludedEndpointIsNotChosen(t *testing.T) {
	for n := 2; n <= 4; n++ {
		d, all := destination(n, nil)
		for _, not := range all {
			if got := picks(d, 200, start, not); got[not] != 0 {
				t.Errorf("of %d, the excluded one was chosen %d times", n, got[not])
			}
		}
	}
}

func TestASingleEndpointThatRefusesIsAlwaysChosen(t *testing.T) {
	d, all := destination(1, nil)
	all[0].ConnectFailed(start, false)
	if d.Pick(start, nil) != all[0] || d.Pick(start, all[0]) != all[0] {
		t.Error("the only endpoint was not chosen")
	}
}

func TestNoEndpoint(t *testing.T) {
	d, _ := destination(0, nil)
	if e := d.Pick(start, nil); e != nil || d.Len() != 0 {
		t.Errorf("chose %v", e)
	}
}

// Whoever does not even answer a connect costs everybody who waits for it the whole
// timeout. So one waits, and the others are told at once.
func TestNobodyWaitsForTheSilent(t *testing.T) {
	for n := 1; n <= 3; n++ {
		d, all := destination(n, nil)
		for _, e := range all {
			e.ConnectFailed(start, true)
		}
		if e := d.Pick(start, nil); e != nil {
			t.Errorf("%d silent ones: chose %v at once", n, e.Addr)
		}
		later := start.Add(time.Second)
		got := picks(d, 100, later, nil)
		if got[nil] != 100-n {
			t.Errorf("%d silent ones: after their pause %d of 100 requests were told at once", n, got[nil])
		}
		for _, e := range all {
			if got[e] != 1 {
				t.Errorf("%d silent ones: after the pause %v was tried %d times", n, e.Addr, got[e])
			}
		}
		all[0].Connected()
		if got := picks(d, 100, later, nil); got[all[0]] != 100 {
			t.Errorf("%d silent ones: the one that connects is chosen %d times of 100", n, got[all[0]])
		}
	}
}

// ejected tells whether a destination of two leaves its first endpoint alone. It
// must not be asked at the end of a pause: asking claims the trial.
func ejected(d *balance.Destination, e *balance.Endpoint, now time.Time) bool {
	return picks(d, 64, now, nil)[e] == 0
}

// The pause after a failure doubles from a second to a minute, each drawn from its
// upper half, and a success ends it.
func TestPauses(t *testing.T) {
	d, all := destination(2, nil)
	bad, now := all[0], start
	for i, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		pause *= time.Second
		bad.ConnectFailed(now, false)
		if !ejected(d, bad, now) || !ejected(d, bad, now.Add(pause/2-1)) {
			t.Errorf("failure %d: chosen within half of %v", i, pause)
		}
		now = now.Add(pause + 1)
		if ejected(d, bad, now) {
			t.Errorf("failure %d: not chosen after %v", i, pause)
		}
	}
	bad.Connected()
	if ejected(d, bad, now) {
		t.Error("not chosen after a success")
	}
	bad.ConnectFailed(now, false)
	if now = now.Add(time.Second + 1); ejected(d, bad, now) {
		t.Error("the pause after a success and a failure is longer than the first")
	}
}

// After a pause one request proves the endpoint; until it has, or the time for that
// is over, nobody else is sent there.
func TestATrial(t *testing.T) {
	d, all := destination(2, nil)
	bad := all[0]
	bad.ConnectFailed(start, false)
	now := start.Add(time.Second + 1)
	all[1].Begin() // so that the other is the better one
	if got := picks(d, 100, now, nil); got[bad] != 1 {
		t.Errorf("chosen %d times on trial", got[bad])
	}
	if got := picks(d, 100, now.Add(6*time.Second), nil); got[bad] != 1 {
		t.Errorf("chosen %d times after a trial that never ended", got[bad])
	}
	bad.Answered(now, false)
	if got := picks(d, 100, now, nil); got[bad] != 100 {
		t.Errorf("chosen %d times after a trial that held", got[bad])
	}
	bad.ConnectFailed(now, false)
	now = now.Add(time.Second + 1)
	if d.Pick(now, nil) != bad {
		t.Fatal("no trial")
	}
	bad.ConnectFailed(now, false)
	if !ejected(d, bad, now.Add(time.Second-1)) {
		t.Error("the pause after a failed trial is no longer than the first")
	}
}

// A hundred requests that meet the same outage are one failure.
func TestAnOutageCountsOnce(t *testing.T) {
	d, all := destination(2, nil)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { all[0].ConnectFailed(start, false) })
	}
	wg.Wait()
	if now := start.Add(time.Second + 1); ejected(d, all[0], now) {
		t.Error("still left alone after the first pause")
	}
}

// Six sick answers in a row may be the application's bad minute; the seventh takes
// the endpoint out. One good answer between them begins the count anew.
func TestSickAnswers(t *testing.T) {
	d, all := destination(2, nil)
	bad := all[0]
	for range 6 {
		bad.Answered(start, true)
	}
	bad.Answered(start, false)
	for range 6 {
		bad.Answered(start, true)
	}
	if ejected(d, bad, start) {
		t.Error("left alone after six in a row")
	}
	bad.Answered(start, true)
	if !ejected(d, bad, start) {
		t.Error("not left alone after seven in a row")
	}
	bad.Connected()
	if !ejected(d, bad, start) {
		t.Error("that it takes connections does not prove it well")
	}
	now := start.Add(time.Second + 1)
	for !(d.Pick(now, nil) == bad) { // the trial
	}
	bad.Answered(now, true)
	if !ejected(d, bad, now.Add(time.Second-1)) {
		t.Error("one sick answer on trial is not enough")
	}
	now = now.Add(2*time.Second + 1)
	for !(d.Pick(now, nil) == bad) {
	}
	bad.Answered(now, false)
	if ejected(d, bad, now) {
		t.Error("left alone although it has proved itself")
	}
}

func TestNotAllThatAreSickAreLeftAlone(t *testing.T) {
	for n := 1; n <= 4; n++ {
		d, all := destination(n, nil)
		for _, e := range all {
			for range 7 {
				e.Answered(start, true)
			}
		}
		for _, not := range append(all, nil) {
			if e := d.Pick(start, not); e == nil || n > 1 && e == not {
				t.Errorf("of %d that all failed, chose %v", n, e)
			}
		}
	}
	d, all := destination(3, nil)
	for _, e := range all {
		e.ConnectFailed(start, false)
	}
	all[1].ConnectFailed(start, true)
	if got := picks(d, 300, start, nil); got[nil] > 0 || got[all[1]] > 0 {
		t.Errorf("of two that refuse and one that is silent: %v", got)
	}
}

func TestAFailedEndpointGivesItsPlaceToTheOthers(t *testing.T) {
	d, all := destination(4, nil)
	all[1].ConnectFailed(start, false)
	got := picks(d, 1000, start, nil)
	if got[all[1]] != 0 {
		t.Errorf("it was chosen %d times", got[all[1]])
	}
	for _, i := range []int{0, 2, 3} {
		if got[all[i]] < 100 {
			t.Errorf("endpoint %d was chosen %d times of 1000", i, got[all[i]])
		}
	}
}

func TestOurZoneIsPreferredWhileHalfOfItIsWell(t *testing.T) {
	opts := options(nil, "a", "b", "a", "b", "a", "")
	opts.Zone = "a"
	d, all := with(opts)
	near := func(now time.Time) int {
		got := picks(d, 300, now, nil)
		return got[all[0]] + got[all[2]] + got[all[4]]
	}
	if got := near(start); got != 300 {
		t.Errorf("%d of 300 stayed in the zone", got)
	}
	all[0].ConnectFailed(start, false)
	if got := near(start); got != 300 {
		t.Errorf("with one of three gone, %d of 300 stayed", got)
	}
	all[2].ConnectFailed(start, false)
	if got := near(start); got == 300 || got == 0 {
		t.Errorf("with two of three gone, %d of 300 stayed: one would get it all, or nothing", got)
	}
	if e := d.Pick(start, all[4]); e == all[4] || e == nil {
		t.Errorf("another one than the last of the zone: %v", e)
	}
	opts.Zone = "c"
	d, all = with(opts)
	if got := picks(d, 600, start, nil); len(got) != 6 {
		t.Errorf("nobody is in our zone: %d of %d endpoints are chosen", len(got), len(all))
	}
}

func TestHowManyMayBeUnderWay(t *testing.T) {
	opts := options(nil, "")
	opts.MaxPending = 2
	d, _ := with(opts)
	for i, want := range []bool{true, true, false, false} {
		if got := d.Enter(); got != want {
			t.Errorf("number %d enters: %t", i+1, got)
		}
	}
	d.Leave()
	if !d.Enter() || d.Enter() {
		t.Error("not exactly one more after one left")
	}
	unbounded, _ := destination(1, nil)
	for range 10_000 {
		if !unbounded.Enter() {
			t.Fatal("a bound where there is none")
		}
	}
}

func TestEndpointsDialTheirOwnAddress(t *testing.T) {
	var to dialer
	_, all := destination(3, &to)
	for _, e := range all {
		_, err1 := e.HTTP1.Get(t.Context(), time.Now())
		_, err2 := e.HTTP2.Get(t.Context(), time.Now())
		_, err := e.DialTCP(t.Context())
		for _, err := range []error{err1, err2, err} {
			if !errors.Is(err, errNobody) {
				t.Errorf("%v: %v", e.Addr, err)
			}
		}
		want := map[flow.Protocol]netip.AddrPort{flow.HTTP1: e.Addr, flow.HTTP2: e.Addr, flow.TCP: e.Addr}
		if diff := cmp.Diff(want, to.asked, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("%v: %s", e.Addr, diff)
		}
	}
}

func TestCloseClosesThePools(t *testing.T) {
	d, all := destination(2, new(dialer))
	d.Close()
	d.Close()
	for _, e := range all {
		if _, err := e.HTTP1.Get(t.Context(), time.Now()); !errors.Is(err, message.ErrPoolClosed) {
			t.Errorf("%v: %v", e.Addr, err)
		}
		if _, err := e.HTTP2.Get(t.Context(), time.Now()); !errors.Is(err, message.ErrPoolClosed) {
			t.Errorf("%v: %v", e.Addr, err)
		}
	}
}

// For the race detector.
func TestConcurrentUse(t *testing.T) {
	d, all := destination(3, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 500 {
				now := start.Add(time.Duration(i) * time.Second)
				e := d.Pick(now, nil)
				if e == nil {
					e = all[i%3]
				}
				e.Begin()
				e.Observe(now, time.Duration(i)*time.Microsecond)
				switch i % 7 {
				case 0:
					e.ConnectFailed(now, i%2 == 0)
				case 1:
					e.Answered(now, true)
				default:
					e.Connected()
					e.Answered(now, false)
				}
				e.Done()
			}
		})
	}
	wg.Wait()
	now := start.Add(time.Hour)
	d.Each(func(e *balance.Endpoint) {
		e.Answered(now, false)
		e.Connected()
		e.Observe(now, time.Millisecond)
	})
	if got := picks(d, 600, now, nil); len(got) != 3 {
		t.Errorf("%d endpoints are chosen: something is still pending", len(got))
	}
}

func TestAChoiceDoesNotAllocate(t *testing.T) {
	d, all := destination(8, nil)
	all[3].ConnectFailed(start, false)
	if n := testing.AllocsPerRun(100, func() {
		e := d.Pick(start, all[1])
		e.Observe(start, time.Millisecond)
		e.Answered(start, false)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPick(b *testing.B) {
	d, all := destination(8, nil)
	for _, e := range all {
		e.Observe(start, time.Millisecond)
	}
	b.ReportAllocs()
	for b.Loop() {
		d.Pick(start, nil)
	}
}

func TestOnlyIsOneAddressOfTheSameDestination(t *testing.T) {
	d, all := destination(3, new(dialer))
	for _, e := range all {
		one := d.Only(e.Addr)
		if one.Name() != d.Name() || one.Len() != 1 || one.Pick(start, nil) != e {
			t.Errorf("%v of %v", one, e.Addr)
		}
	}
	if one := d.Only(netip.MustParseAddrPort("10.9.9.9:80")); one != nil {
		t.Errorf("an address that it hasn't: %v", one)
	}
}

func TestEndpointsThatStayKeepTheirConnections(t *testing.T) {
	opts := options(new(dialer), "a", "a", "a", "a")
	for i := range opts.Endpoints {
		opts.Endpoints[i].As = "payments"
	}
	opts.Endpoints[3].As = "" // another one each time
	dest, before := with(opts)
	next := opts
	next.Endpoints = append([]balance.Address{}, opts.Endpoints...)
	next.Endpoints[1].As, next.Endpoints[2].Zone = "ledger", "b"
	var after []*balance.Endpoint
	dest.Next(next).Each(func(e *balance.Endpoint) { after = append(after, e) })
	if len(after) != 4 || after[0] != before[0] {
		t.Fatalf("%d endpoints; the one that stays is another: %v", len(after), after[0] != before[0])
	}
	for i, e := range after[1:] {
		if e == before[i+1] {
			t.Errorf("endpoint %d is the same", i+1)
		}
	}
	for i, e := range before {
		_, err := e.HTTP1.Get(t.Context(), time.Now())
		if closed := errors.Is(err, message.ErrPoolClosed); closed != (i > 0) {
			t.Errorf("endpoint %d: %v", i, err)
		}
	}
	none := next
	none.Endpoints = nil
	empty := dest.Next(none)
	if _, err := before[0].HTTP1.Get(t.Context(), time.Now()); empty.Len() != 0 || !errors.Is(err, message.ErrPoolClosed) {
		t.Errorf("%d endpoints, %v", empty.Len(), err)
	}
}
