// Package balance knows the endpoints of a destination and chooses among them: of
// two random ones the one that is likely to answer first, as long as it has not
// just failed.
//
// How soon an endpoint is likely to answer is its latency of late, in which a slow
// answer counts at once and is forgotten over some seconds (peak EWMA), times the
// requests that are under way to it. An endpoint that fails is left alone for a
// while that grows, and gets one request to prove itself before it gets more.
package balance

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
)

// A Dialer makes connections to the addresses of a destination.
type Dialer interface {
	// Dial makes one that will carry the protocol.
	Dial(ctx context.Context, addr netip.AddrPort, p flow.Protocol) (Dialed, error)
}

// Dialed is a new connection to the next hop.
type Dialed struct {
	// Conn is the caller's from now on.
	Conn net.Conn
	// RetireAt, CleanCloseMeansUnprocessed and FromSidecar are as in
	// [http1.Dialed].
	RetireAt                                time.Time
	CleanCloseMeansUnprocessed, FromSidecar bool
	// Alone is as in [http2.Dialed].
	Alone bool
}

// Options describe a destination.
type Options struct {
	// Name is for logs and metrics.
	Name string
	// Endpoints are where it can be reached; at least one.
	Endpoints []Address
	// Zone is ours: endpoints in it are preferred while half of them are well.
	// Empty: none is preferred.
	Zone string
	// MaxPending bounds the requests and connections under way; 0: no bound.
	MaxPending int
	// HTTP1 and HTTP2 configure the connection pools.
	HTTP1 http1.ClientOptions
	HTTP2 http2.ClientOptions
}

// An Address is one endpoint.
type Address struct {
	AddrPort netip.AddrPort
	// Zone is where it is; empty: not known.
	Zone string
	// As is who it must prove to be, where that is one; it tells endpoints apart that
	// have the same address one after the other. Empty: see [Destination.Next].
	As string
	// Dial reaches it; required.
	Dial Dialer
}

// A Destination is a service with one or more endpoints. Its methods may be
// called from any goroutine.
type Destination struct {
	name string
	all  []*Endpoint
	near []*Endpoint // those in our zone; empty when none is preferred

	most    int32
	pending atomic.Int32
}

// New returns a destination; nothing is dialed yet.
func New(opts Options) *Destination {
	return build(opts, func(a Address) *Endpoint { return newEndpoint(a, opts) })
}

func build(opts Options, endpoint func(Address) *Endpoint) *Destination {
	d := &Destination{name: opts.Name, most: int32(min(opts.MaxPending, 1<<30))} //nolint:gosec // bounded in this line
	for _, a := range opts.Endpoints {
		e := endpoint(a)
		d.all = append(d.all, e)
		if opts.Zone != "" && a.Zone == opts.Zone {
			d.near = append(d.near, e)
		}
	}
	return d
}

// Next is a destination that takes the place of d, of which nobody chooses an endpoint
// any more. Endpoints that d has too, by address, zone and As, keep their connections
// and what is known of them; those that d alone has are closed, and what is under way
// there is finished. Those without As are others each time.
func (d *Destination) Next(opts Options) *Destination {
	kept := make(map[Address]*Endpoint, len(d.all))
	for _, e := range d.all {
		if e.as != "" {
			kept[Address{AddrPort: e.Addr, Zone: e.Zone, As: e.as}] = e
		}
	}
	next := build(opts, func(a Address) *Endpoint {
		key := Address{AddrPort: a.AddrPort, Zone: a.Zone, As: a.As}
		if e := kept[key]; e != nil {
			delete(kept, key) // it is not to be closed
			return e
		}
		return newEndpoint(a, opts)
	})
	for _, e := range d.all {
		if e.as == "" || kept[Address{AddrPort: e.Addr, Zone: e.Zone, As: e.as}] == e {
			e.close()
		}
	}
	return next
}

// Name is the configured name.
func (d *Destination) Name() string { return d.name }

// Len counts the endpoints.
func (d *Destination) Len() int { return len(d.all) }

// Enter counts a request or connection as under way until Leave; it returns false
// when there are as many as may be.
func (d *Destination) Enter() bool {
	if n := d.pending.Add(1); d.most > 0 && n > d.most {
		d.pending.Add(-1)
		return false
	}
	return true
}

// Leave undoes an Enter that returned true.
func (d *Destination) Leave() { d.pending.Add(-1) }

// Pick chooses an endpoint other than not, if there is one. Endpoints that failed
// lately are chosen only when all have; nil means that all of them did not even
// answer a connect, so that whoever waited for one more would wait in vain.
//
// The endpoint may be one whose time of being left alone is over: then it was
// chosen by nobody else meanwhile, and what becomes of the request decides about it.
func (d *Destination) Pick(now time.Time, not *Endpoint) *Endpoint {
	if len(d.all) == 1 {
		return d.only(now)
	}
	if usable(d.near, now)*2 >= max(len(d.near), 1) { // at least one
		if e := pick(d.near, now, not); e != nil {
			return e
		}
	}
	if e := pick(d.all, now, not); e != nil {
		return e
	}
	return d.spare(now, not)
}

// only is the choice where there is none.
func (d *Destination) only(now time.Time) *Endpoint {
	if e := d.all[0]; !e.muted() || e.claim(now) {
		return e
	}
	return nil
}

// pick chooses by the power of two choices; nil when none can be used.
func pick(of []*Endpoint, now time.Time, not *Endpoint) *Endpoint {
	for range len(of) { // a claim that fails takes an endpoint out of the choice
		a := candidate(of, now, not, nil)
		if a == nil {
			return nil
		}
		if b := candidate(of, now, not, a); b != nil && b.cost(now) < a.cost(now) {
			a = b
		}
		if a.claim(now) {
			return a
		}
	}
	return nil
}

// candidate is a random endpoint that can be used, other than two.
func candidate(of []*Endpoint, now time.Time, not, nor *Endpoint) *Endpoint {
	n := len(of)
	if n == 0 {
		return nil
	}
	start := rand.IntN(n) //nolint:gosec // spreading load needs no secret
	for i := range n {
		if e := of[(start+i)%n]; e != not && e != nor && !e.ejected(now) {
			return e
		}
	}
	return nil
}

func usable(of []*Endpoint, now time.Time) int {
	n := 0
	for _, e := range of {
		if !e.ejected(now) {
			n++
		}
	}
	return n
}

// spare is the least loaded of those that are left alone, but for the silent ones:
// some answer of a sick endpoint is better than none. nil if there is no such.
func (d *Destination) spare(now time.Time, not *Endpoint) *Endpoint {
	var best *Endpoint
	start := rand.IntN(max(len(d.all), 1)) //nolint:gosec // spreading load needs no secret
	for i := range d.all {
		e := d.all[(start+i)%len(d.all)]
		if e == not || e.silent(now) {
			continue
		}
		if best == nil || e.cost(now) < best.cost(now) {
			best = e
		}
	}
	return best
}

// Each calls f with every endpoint.
func (d *Destination) Each(f func(*Endpoint)) {
	for _, e := range d.all {
		f(e)
	}
}

// Only is the destination as if it had no other address than addr; nil if it
// hasn't that one. Its connections are those of d, which closes them.
func (d *Destination) Only(addr netip.AddrPort) *Destination {
	for _, e := range d.all {
		if e.Addr == addr {
			return &Destination{name: d.name, all: []*Endpoint{e}, most: d.most}
		}
	}
	return nil
}

// Close closes the pools; exchanges under way are finished.
func (d *Destination) Close() {
	d.EachPool(Pool.Close)
}

// EachPool calls f with every pool of connections.
func (d *Destination) EachPool(f func(Pool)) {
	d.Each(func(e *Endpoint) {
		f(e.HTTP1)
		f(e.HTTP2)
	})
}

// A Pool keeps the connections to an endpoint that carry one protocol.
type Pool interface {
	// Sweep closes the idle connections that are past their time.
	Sweep(now time.Time)
	// CloseIf ends every connection for which end says so; end must not call
	// the pool.
	CloseIf(end func(net.Conn) bool)
	// Stats counts the connections in use and idle.
	Stats() (busy, idle int)
	// Close closes the idle connections at once and the others when they come
	// back.
	Close()
}
