package balance_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/limits"
)

var errNobody = errors.New("nobody listens")

// dialer notes whom it was asked for and reaches nobody.
type dialer struct{ http, tcp netip.AddrPort }

func (d *dialer) DialHTTP(_ context.Context, addr netip.AddrPort) (http1.Dialed, error) {
	d.http = addr
	return http1.Dialed{}, errNobody
}

func (d *dialer) DialTCP(_ context.Context, addr netip.AddrPort) (net.Conn, error) {
	d.tcp = addr
	return nil, errNobody
}

// destination has n endpoints.
func destination(n int, d balance.Dialer) (*balance.Destination, []*balance.Endpoint) {
	opts := balance.Options{
		Name: "payments", Dial: d,
		HTTP: http1.ClientOptions{Limits: limits.Default(), Buffers: new(http1.Buffers)},
	}
	for i := range n {
		opts.Addresses = append(opts.Addresses, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 80))
	}
	dest := balance.New(opts)
	var all []*balance.Endpoint
	dest.Each(func(e *balance.Endpoint) { all = append(all, e) })
	return dest, all
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

func TestASingleEndpointIsAlwaysChosen(t *testing.T) {
	d, all := destination(1, nil)
	all[0].Failed(start)
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

// The pause after a failure doubles from a second to a minute, and a success
// ends it.
func TestPauses(t *testing.T) {
	d, all := destination(2, nil)
	bad := all[0]
	ejected := func(now time.Time) bool { return picks(d, 64, now, nil)[bad] == 0 }
	now := start
	for i, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		pause *= time.Second
		bad.Failed(now)
		if !ejected(now) || !ejected(now.Add(pause-1)) {
			t.Errorf("failure %d: chosen within %v", i, pause)
		}
		now = now.Add(pause)
		if ejected(now) {
			t.Errorf("failure %d: not chosen after %v", i, pause)
		}
	}
	bad.Failed(now)
	bad.Succeeded()
	if ejected(now) {
		t.Error("not chosen after a success")
	}
	bad.Failed(now)
	if now = now.Add(time.Second); ejected(now) {
		t.Error("the pause after a success and a failure is longer than the first")
	}
}

// A hundred requests that meet the same outage are one failure.
func TestAnOutageCountsOnce(t *testing.T) {
	d, all := destination(2, nil)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { all[0].Failed(start) })
	}
	wg.Wait()
	if now := start.Add(time.Second); picks(d, 64, now, nil)[all[0]] == 0 {
		t.Error("still left alone after the first pause")
	}
}

func TestNotAllAreLeftAlone(t *testing.T) {
	for n := 1; n <= 4; n++ {
		d, all := destination(n, nil)
		for _, e := range all {
			e.Failed(start)
		}
		for _, not := range append(all, nil) {
			if e := d.Pick(start, not); e == nil || n > 1 && e == not {
				t.Errorf("of %d that all failed, chose %v", n, e)
			}
		}
	}
}

func TestAFailedEndpointGivesItsPlaceToTheOthers(t *testing.T) {
	d, all := destination(4, nil)
	all[1].Failed(start)
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

func TestEndpointsDialTheirOwnAddress(t *testing.T) {
	var to dialer
	_, all := destination(3, &to)
	for _, e := range all {
		if _, err := e.Pool.Get(t.Context(), time.Now()); !errors.Is(err, errNobody) || to.http != e.Addr {
			t.Errorf("%v: dialed %v for HTTP, %v", e.Addr, to.http, err)
		}
		if _, err := e.DialTCP(t.Context()); !errors.Is(err, errNobody) || to.tcp != e.Addr {
			t.Errorf("%v: dialed %v for TCP, %v", e.Addr, to.tcp, err)
		}
	}
}

func TestCloseClosesThePools(t *testing.T) {
	d, all := destination(2, new(dialer))
	d.Close()
	d.Close()
	for _, e := range all {
		if _, err := e.Pool.Get(t.Context(), time.Now()); !errors.Is(err, http1.ErrPoolClosed) {
			t.Errorf("%v: %v", e.Addr, err)
		}
	}
}

// For the race detector.
func TestConcurrentUse(t *testing.T) {
	d, _ := destination(3, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 500 {
				e := d.Pick(start.Add(time.Duration(i)*time.Second), nil)
				e.Begin()
				if i%7 == 0 {
					e.Failed(start.Add(time.Duration(i) * time.Second))
				} else {
					e.Succeeded()
				}
				e.Done()
			}
		})
	}
	wg.Wait()
	d.Each(func(e *balance.Endpoint) { e.Succeeded() })
	if got := picks(d, 600, start, nil); len(got) != 3 {
		t.Errorf("%d endpoints are chosen: something is still pending", len(got))
	}
}

func TestAChoiceDoesNotAllocate(t *testing.T) {
	d, all := destination(8, nil)
	all[3].Failed(start)
	if n := testing.AllocsPerRun(100, func() { d.Pick(start, all[1]) }); n != 0 {
		t.Errorf("%v allocations", n)
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
