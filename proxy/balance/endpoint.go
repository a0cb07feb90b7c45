package balance

import (
	"context"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
)

// An Endpoint is one address of a destination.
type Endpoint struct {
	Addr netip.AddrPort
	// Zone is where it is; empty: not known.
	Zone string
	// HTTP1 and HTTP2 keep its connections.
	HTTP1 *http1.Pool
	HTTP2 *http2.Pool

	as      string
	dial    Dialer
	pending atomic.Int32
	// until is when the endpoint may be used again, in Unix nanoseconds; 0: it is
	// not left alone.
	until atomic.Int64
	// trialUntil is the until of the last trial.
	trialUntil atomic.Int64

	// sick counts the answers in a row that tell of a sick endpoint.
	sick atomic.Int32

	mu       sync.Mutex
	latency  float64   // peak EWMA, nanoseconds; 0: nothing is known
	observed time.Time // when it was last changed
	ejection           // why and how often the endpoint was left alone
}

// An ejection is the history of an endpoint's failures.
type ejection struct {
	// pauses is how often in a row the endpoint has been left alone.
	pauses int
	// mute tells that the last attempt to connect was not even answered.
	mute bool
}

func newEndpoint(a Address, opts Options) *Endpoint {
	e := &Endpoint{Addr: a.AddrPort, Zone: a.Zone, as: a.As, dial: a.Dial}
	e.HTTP1 = http1.NewPool(http1.PoolOptions{
		ClientOptions: opts.HTTP1,
		Dial: func(ctx context.Context) (http1.Dialed, error) {
			d, err := a.Dial.Dial(ctx, a.AddrPort, flow.HTTP1)
			return http1.Dialed{
				Conn: d.Conn, RetireAt: d.RetireAt, FromSidecar: d.FromSidecar,
				CleanCloseMeansUnprocessed: d.CleanCloseMeansUnprocessed,
			}, err
		},
	})
	e.HTTP2 = http2.NewPool(http2.PoolOptions{
		ClientOptions: opts.HTTP2,
		Dial: func(ctx context.Context) (http2.Dialed, error) {
			d, err := a.Dial.Dial(ctx, a.AddrPort, flow.HTTP2)
			return http2.Dialed{Conn: d.Conn, RetireAt: d.RetireAt, FromSidecar: d.FromSidecar, Alone: d.Alone}, err
		},
	})
	return e
}

func (e *Endpoint) close() {
	e.HTTP1.Close()
	e.HTTP2.Close()
}

// DialTCP connects for opaque bytes.
func (e *Endpoint) DialTCP(ctx context.Context) (net.Conn, error) {
	d, err := e.dial.Dial(ctx, e.Addr, flow.TCP)
	return d.Conn, err
}

// Begin counts a request or connection as under way until Done.
func (e *Endpoint) Begin() { e.pending.Add(1) }

// Done undoes Begin.
func (e *Endpoint) Done() { e.pending.Add(-1) }

const (
	// decay is how long a peak of latency counts, as in Finagle and Linkerd.
	decay = 10 * time.Second
	// unknown is the latency of an endpoint that has not answered yet: more than
	// a healthy one in the same data centre has, so that a new endpoint is tried
	// and not flooded.
	unknown = 10 * time.Millisecond
)

// Observe notes how long an answer took.
func (e *Endpoint) Observe(now time.Time, took time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	sample := float64(max(took, 0))
	if sample > e.latency {
		e.latency = sample // a peak counts at once
	} else {
		weight := math.Exp(-float64(max(now.Sub(e.observed), 0)) / float64(decay))
		e.latency = e.latency*weight + sample*(1-weight)
	}
	e.observed = now
}

// cost is how long a further request is likely to take, in some unit.
func (e *Endpoint) cost(now time.Time) float64 {
	e.mu.Lock()
	latency, idle := e.latency, now.Sub(e.observed)
	e.mu.Unlock()
	if latency == 0 {
		latency = float64(unknown)
	} else if idle > 0 {
		// An endpoint that nobody chose because of a peak must be chosen again.
		latency = max(latency*math.Exp(-float64(idle)/float64(decay)), 1)
	}
	return latency * float64(e.pending.Load()+1)
}

const (
	// firstPause is how long an endpoint is left alone at first; it doubles with
	// each failure in a row up to lastPause. Each is drawn from the upper half of
	// it, so that many callers don't come back as one.
	firstPause = time.Second
	lastPause  = time.Minute
	// trial is how long one request has to prove an endpoint whose pause is over
	// before another one may.
	trial = 5 * time.Second
	// tolerated is how many answers in a row may tell of a sick endpoint.
	tolerated = 6
)

// Connected tells that a connection was made.
func (e *Endpoint) Connected() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mute = false
	if e.sick.Load() <= tolerated { // otherwise only an answer can prove it
		e.recovered()
	}
}

// recovered needs e.mu.
func (e *Endpoint) recovered() {
	e.pauses = 0
	e.until.Store(0)
}

// ConnectFailed tells that no connection could be made; unanswered, that nobody
// said no. The endpoint is left alone for a while. What fails while it is left
// alone anyway counts once: a hundred requests may meet the same outage.
func (e *Endpoint) ConnectFailed(now time.Time, unanswered bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mute = unanswered
	e.pause(now)
}

// Answered tells that the endpoint gave an answer, or broke off; sick, that the
// answer is one that a healthy endpoint would not give.
func (e *Endpoint) Answered(now time.Time, sick bool) {
	if !sick && e.until.Load() == 0 && e.sick.Load() == 0 {
		return // as nearly always
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !sick {
		e.sick.Store(0)
		e.recovered()
		return
	}
	if e.sick.Add(1) > tolerated {
		e.pause(now)
	}
}

// pause needs e.mu.
func (e *Endpoint) pause(now time.Time) {
	if until := e.until.Load(); until != 0 && now.UnixNano() < until && !e.onTrial(until) {
		return
	}
	length := min(firstPause<<min(e.pauses, 10), lastPause)
	e.pauses++
	length = length/2 + rand.N(length/2+1) //nolint:gosec // spreading load needs no secret
	e.until.Store(now.Add(length).UnixNano())
}

// onTrial tells whether the endpoint is left alone because a request is proving it.
func (e *Endpoint) onTrial(until int64) bool { return e.trialUntil.Load() == until }

// ejected tells whether the endpoint is left alone.
func (e *Endpoint) ejected(now time.Time) bool {
	until := e.until.Load()
	return until != 0 && now.UnixNano() < until
}

// silent tells whether the endpoint is left alone because it did not even answer a
// connect.
func (e *Endpoint) silent(now time.Time) bool { return e.ejected(now) && e.muted() }

func (e *Endpoint) muted() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mute
}

// claim takes the endpoint for one request. Where its pause is over, the first to
// come proves it, and the others leave it alone for as long as that may take.
func (e *Endpoint) claim(now time.Time) bool {
	until := e.until.Load()
	switch {
	case until == 0:
		return true
	case now.UnixNano() < until:
		return false
	}
	next := now.Add(trial).UnixNano()
	if !e.until.CompareAndSwap(until, next) {
		return false
	}
	e.trialUntil.Store(next)
	return true
}
