package outbound

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/proxy/detect"
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/hop"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/httpflow"
	"github.com/outrider-mesh/outrider/proxy/socket"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

// conn is one connection of the application on its way through the stages.
type conn struct {
	l       *Listener
	raw     net.Conn // as accepted
	nc      net.Conn // as it is read from now
	to      forward.Route
	flow    flow.Connection
	tracked *drain.Conn
	metrics *telemetry.ConnectionMetrics
	// http is set while HTTP is served, for a graceful end.
	http atomic.Pointer[http1.ServerConn]
	// panicked is true until the last stage has returned.
	panicked bool

	rec   httpflow.Recorder
	edits http1.Edits
}

// serve takes a connection through the stages, in this order.
func (l *Listener) serve(raw net.Conn) {
	c := &conn{l: l, raw: raw, nc: raw, to: forward.Route{Latest: l.opts.Forward}}
	c.flow = flow.Connection{
		Direction: flow.Outbound, Listener: l.opts.Name, Opened: time.Now(),
		Remote: httpflow.AddrPortOf(raw.RemoteAddr()), Service: l.opts.Service,
	}
	c.tracked = l.opts.Tracker.Add(c)
	c.flow.ID = c.tracked.ID()
	c.panicked = true
	defer c.end()

	ok := c.detect() // what does it speak?
	switch {
	case !ok:
	case c.flow.Protocol == flow.HTTP1:
		c.serveHTTP() // each request: endpoint, mutual TLS, forward
	default:
		c.serveTCP() // endpoint, mutual TLS, forward
	}
	c.panicked = false
}

// end closes the connection and writes it down.
func (c *conn) end() {
	c.l.opts.Tracker.Remove(c.tracked)
	if r := c.tracked.Reason(); r != flow.None {
		c.flow.Refusal = flow.Refusal{Reason: r}
	}
	if c.panicked {
		c.flow.Refusal = flow.Refusal{Reason: flow.Internal, Detail: "panic; the process log has its stack"}
	}
	_ = c.raw.Close() // closed already where it ended in good order
	if c.metrics == nil {
		c.metrics = c.l.opts.Metrics.Connection(&c.flow)
	}
	c.metrics.Closed(&c.flow)
	c.flow.Times.Total = time.Since(c.flow.Opened)
	if c.l.opts.AccessLog != nil {
		c.l.opts.AccessLog.Connection(&c.flow)
	}
}

// describe publishes what is known now, and counts the connection as open.
func (c *conn) describe() {
	about := &drain.About{
		Direction: flow.Outbound, Listener: c.flow.Listener, Remote: c.flow.Remote.String(),
		Opened: c.flow.Opened, Protocol: c.flow.Protocol,
	}
	if c.flow.Protocol == flow.TCP {
		about.Peer = c.flow.Peer // HTTP has a pool of hops, which looks after them
	}
	c.tracked.Describe(about)
	c.metrics = c.l.opts.Metrics.Connection(&c.flow)
}

// detect settles the protocol: declared by the listener, or by the first bytes.
// A listener whose clients wait for the server to speak makes them wait once.
func (c *conn) detect() bool {
	if c.flow.Protocol = c.l.opts.Protocol; c.flow.Protocol != flow.Undetected {
		return true
	}
	wait := c.l.opts.Limits.DetectTimeout
	if c.l.learned.silent.Load() && !c.l.learned.http.Load() {
		wait = min(wait, briefly)
	}
	kind, replay, err := detect.Peek(c.raw, wait)
	c.nc = replay
	if err != nil {
		c.flow.Refusal = flow.Refusal{Reason: flow.ClientClosed, Detail: err.Error()}
		return false
	}
	c.flow.Protocol = flow.TCP
	switch kind {
	case detect.HTTP1:
		c.flow.Protocol = flow.HTTP1
		c.l.learned.http.Store(true)
	case detect.Silent:
		// Only a port that has never carried HTTP is taken for one whose
		// server speaks first. HTTP clients open connections that they use
		// later: as opaque bytes, a request would escape what is decided and
		// recorded for each of them.
		if c.l.learned.http.Load() {
			c.flow.Protocol = flow.HTTP1
		} else {
			c.l.learned.silent.Store(true)
		}
	case detect.Opaque, detect.TLS, detect.HTTP2:
	}
	return true
}

// learned is what earlier connections told about the port.
type learned struct{ http, silent atomic.Bool }

// briefly is how long a connection is looked at where an earlier client waited
// for the server to speak. That client may have been one of HTTP that connected
// ahead of need, which must not decide about the port for good: the application
// is on this machine, and a request that it has is here within this time.
const briefly = 5 * time.Millisecond

// CloseGracefully implements [drain.Ender]. Opaque bytes know no graceful end.
func (c *conn) CloseGracefully() {
	if h := c.http.Load(); h != nil {
		h.CloseGracefully()
	}
}

// AbandonIfGone implements [drain.Abandoner].
func (c *conn) AbandonIfGone() {
	if h := c.http.Load(); h != nil {
		h.AbandonIfGone()
	}
}

// Abort implements [drain.Ender].
func (c *conn) Abort() { socket.Abort(c.raw) }

// serveTCP forwards opaque bytes over a hop of their own.
func (c *conn) serveTCP() {
	to := c.to.Forwarder()
	if to == nil {
		c.flow.Refusal = flow.Refusal{Reason: flow.NoDestination, Detail: "it was taken out of the configuration"}
		return
	}
	up, endpoint, refusal := to.Dial(c.l.opts.Base, &c.flow)
	if up == nil {
		c.flow.Refusal = refusal
		return
	}
	endpoint.Begin()
	defer endpoint.Done()
	h, mesh := up.(*hop.Conn)
	if mesh {
		c.flow.Security = flow.MutualTLS
		c.flow.Local, c.flow.Peer, c.flow.PeerID = h.Local, h.Peer, h.Peer.ID.String()
		c.flow.Times.TLS = h.Took
	}
	c.describe()
	if mesh {
		if err := h.Revalidate(); err != nil { // the bundles changed during the handshake
			c.flow.Refusal = flow.Refusal{Reason: flow.UpstreamTLSFailed, Detail: err.Error()}
			socket.Abort(up)
			return
		}
	}
	to.TCP(&c.flow, c.nc, up)
}

// serveHTTP reads requests one after the other.
func (c *conn) serveHTTP() {
	h := c.l.http.NewConn(c.nc)
	c.http.Store(h)
	if c.tracked.Reason() != flow.None { // told to end before there was an h
		h.CloseGracefully()
	}
	c.rec = httpflow.Recorder{Conn: &c.flow, Log: c.l.opts.AccessLog, IDs: c.l.opts.IDs}
	c.edits = http1.Edits{DefaultHost: c.flow.Service, Fields: make([][]byte, 0, 1)}
	if err := h.Serve(c.request); err != nil {
		c.flow.Refusal = httpflow.RefusalOf(err)
	}
}

// request takes one request through the stages, in this order.
func (c *conn) request(x *http1.Exchange) {
	q := c.rec.Begin(x)
	defer c.record(x)

	ok := c.wellFormed(x, q) && c.forward(x, q)
	if !ok {
		c.rec.Refuse(x, q.Refusal)
	}
}

// record writes the request down. Only now is it known who the peer is.
func (c *conn) record(x *http1.Exchange) {
	if c.metrics == nil {
		c.describe()
		c.rec.Metrics = c.metrics
	}
	c.rec.End(x)
}

func (c *conn) wellFormed(x *http1.Exchange, q *flow.Request) bool {
	if x.Err == nil {
		return true
	}
	q.Refusal = httpflow.RefusalOf(x.Err)
	return false
}

// forward sends the request to the destination. A refusal that comes after the
// answer began cannot be told to the application: it is written down.
func (c *conn) forward(x *http1.Exchange, q *flow.Request) bool {
	c.edits.Fields = c.edits.Fields[:0]
	if trace := c.rec.Traceparent(); trace != nil {
		c.edits.Fields = append(c.edits.Fields, trace)
	}
	q.Refusal = c.to.HTTP(c.l.opts.Base, x, q, &c.edits)
	return q.Refusal.Reason == flow.None || x.Status != 0
}

// overloaded writes down a connection that found no room.
func (l *Listener) overloaded(nc net.Conn) {
	c := flow.Connection{
		Direction: flow.Outbound, Listener: l.opts.Name, Opened: time.Now(),
		Remote:  httpflow.AddrPortOf(nc.RemoteAddr()),
		Refusal: flow.Refusal{Reason: flow.Overloaded, Detail: "limits.connections is reached"},
	}
	l.opts.Metrics.Connection(&c).Closed(&c)
	if l.opts.AccessLog != nil {
		l.opts.AccessLog.Connection(&c)
	}
}
