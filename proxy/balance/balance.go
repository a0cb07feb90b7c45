// Package balance knows the endpoints of a destination and chooses among them:
// the one with fewer requests under way of two random ones, as long as it has
// not just failed.
package balance

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/proxy/http1"
)

// Ejection of endpoints that cannot be connected to.
const (
	firstEjection = time.Second
	lastEjection  = time.Minute
)

// A Dialer makes connections to one address of a destination.
type Dialer interface {
	// DialHTTP makes one for the pool of an endpoint.
	DialHTTP(ctx context.Context, addr netip.AddrPort) (http1.Dialed, error)
	// DialTCP makes one that will carry opaque bytes.
	DialTCP(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
}

// Options describe a destination.
type Options struct {
	// Name is for logs and metrics.
	Name string
	// Addresses are its endpoints; at least one.
	Addresses []netip.AddrPort
	// Dial reaches them; required.
	Dial Dialer
	// HTTP configures the connection pools.
	HTTP http1.ClientOptions
}

// A Destination is a service with one or more endpoints. Its methods may be
// called from any goroutine.
type Destination struct {
	name      string
	endpoints []*Endpoint
}

// New returns a destination; nothing is dialed yet.
func New(opts Options) *Destination {
	d := &Destination{name: opts.Name}
	for _, addr := range opts.Addresses {
		e := &Endpoint{Addr: addr, dial: opts.Dial}
		e.Pool = http1.NewPool(http1.PoolOptions{
			ClientOptions: opts.HTTP,
			Dial: func(ctx context.Context) (http1.Dialed, error) {
				return opts.Dial.DialHTTP(ctx, addr)
			},
		})
		d.endpoints = append(d.endpoints, e)
	}
	return d
}

// Name is the configured name.
func (d *Destination) Name() string { return d.name }

// Len counts the endpoints.
func (d *Destination) Len() int { return len(d.endpoints) }

// Pick chooses an endpoint other than not, if there is one. Endpoints that
// failed lately are chosen only when all have.
func (d *Destination) Pick(now time.Time, not *Endpoint) *Endpoint {
	n := len(d.endpoints)
	switch n {
	case 0:
		return nil
	case 1:
		return d.endpoints[0]
	}
	first := rand.IntN(n)                      //nolint:gosec // spreading load needs no secret
	second := (first + 1 + rand.IntN(n-1)) % n //nolint:gosec // another one; see above
	a, b := d.candidate(now, first, not), d.candidate(now, second, not)
	if b.pending.Load() < a.pending.Load() {
		return b
	}
	return a
}

// candidate is the endpoint at start, or the next after it that can be used.
func (d *Destination) candidate(now time.Time, start int, not *Endpoint) *Endpoint {
	n := len(d.endpoints)
	var spare *Endpoint
	for i := range n {
		e := d.endpoints[(start+i)%n]
		if e == not {
			continue
		}
		if !e.ejected(now) {
			return e
		}
		spare = e
	}
	return spare // n > 1, so one of them is not not
}

// Each calls f with every endpoint.
func (d *Destination) Each(f func(*Endpoint)) {
	for _, e := range d.endpoints {
		f(e)
	}
}

// Only is the destination as if it had no other address than addr; nil if it
// hasn't that one. Its connections are those of d, which closes them.
func (d *Destination) Only(addr netip.AddrPort) *Destination {
	for _, e := range d.endpoints {
		if e.Addr == addr {
			return &Destination{name: d.name, endpoints: []*Endpoint{e}}
		}
	}
	return nil
}

// Close closes the pools; exchanges under way are finished.
func (d *Destination) Close() {
	d.Each(func(e *Endpoint) { e.Pool.Close() })
}

// An Endpoint is one address of a destination.
type Endpoint struct {
	Addr netip.AddrPort
	// Pool keeps its HTTP connections.
	Pool *http1.Pool

	dial     Dialer
	pending  atomic.Int32
	failures atomic.Int32 // in a row
	until    atomic.Int64 // end of the ejection, Unix nanoseconds
}

// DialTCP connects for opaque bytes.
func (e *Endpoint) DialTCP(ctx context.Context) (net.Conn, error) {
	return e.dial.DialTCP(ctx, e.Addr)
}

// Begin counts a request or connection as under way until Done.
func (e *Endpoint) Begin() { e.pending.Add(1) }

// Done undoes Begin.
func (e *Endpoint) Done() { e.pending.Add(-1) }

// Succeeded tells that a connection was made.
func (e *Endpoint) Succeeded() {
	if e.failures.Load() != 0 {
		e.failures.Store(0)
		e.until.Store(0)
	}
}

// Failed tells that no connection could be made. The endpoint is left alone for
// a while that doubles with each failure in a row. What fails while it is left
// alone anyway counts once: a hundred requests may meet the same outage.
func (e *Endpoint) Failed(now time.Time) {
	until := e.until.Load()
	if until != 0 && now.UnixNano() < until {
		return
	}
	n := e.failures.Load()
	pause := min(firstEjection<<min(n, 10), lastEjection)
	if e.until.CompareAndSwap(until, now.Add(pause).UnixNano()) {
		e.failures.Add(1)
	}
}

func (e *Endpoint) ejected(now time.Time) bool {
	until := e.until.Load()
	return until != 0 && now.UnixNano() < until
}
