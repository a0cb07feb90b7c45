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
	"github.com/outrider-mesh/outrider/proxy/ledger"
	"github.com/outrider-mesh/outrider/proxy/message"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// conn is one connection of the application on its way through the stages.
type conn struct {
	ledger.Entry

	l  *Listener
	nc net.Conn // as it is read from now: as accepted, or replayed
	to forward.Route

	rec   httpflow.Recorder
	edits message.Edits
}

// serve takes a connection through the stages, in this order.
func (l *Listener) serve(raw net.Conn) {
	c := &conn{l: l, nc: raw, to: forward.Route{Latest: l.opts.Forward}}
	l.books.Open(&c.Entry, raw, l.app)
	defer c.Close()

	ok := c.detect() // what does it speak?
	switch {
	case !ok:
	case c.Flow.Protocol == flow.HTTP1:
		c.serveHTTP() // each request: endpoint, mutual TLS, forward
	default:
		c.serveTCP() // endpoint, mutual TLS, forward
	}
	c.Finish()
}

// describe publishes what is known now, and counts the connection as open.
func (c *conn) describe() {
	about := &drain.About{
		Direction: flow.Outbound, Listener: c.Flow.Listener, Remote: c.Flow.Remote.String(),
		Opened: c.Flow.Opened, Protocol: c.Flow.Protocol,
	}
	if c.Flow.Protocol == flow.TCP {
		about.Peer = c.Flow.Peer // HTTP has a pool of hops, which looks after them
	}
	c.Tracked.Describe(about)
	c.Count()
}

// detect settles the protocol: declared by the listener, or by the first bytes.
// A listener whose clients wait for the server to speak makes them wait once.
func (c *conn) detect() bool {
	if c.Flow.Protocol = c.l.opts.Protocol; c.Flow.Protocol != flow.Undetected {
		return true
	}
	wait := c.l.opts.Limits.DetectTimeout
	if c.l.learned.silent.Load() && !c.l.learned.http.Load() {
		wait = min(wait, briefly)
	}
	kind, replay, err := detect.Peek(c.nc, wait)
	c.nc = replay
	if err != nil {
		c.Flow.Refusal = flow.Refusal{Reason: flow.ClientClosed, Detail: err.Error()}
		return false
	}
	c.Flow.Protocol = flow.TCP
	switch kind {
	case detect.HTTP1:
		c.Flow.Protocol = flow.HTTP1
		c.l.learned.http.Store(true)
	case detect.Silent:
		// Only a port that has never carried HTTP is taken for one whose
		// server speaks first. HTTP clients open connections that they use
		// later: as opaque bytes, a request would escape what is decided and
		// recorded for each of them.
		if c.l.learned.http.Load() {
			c.Flow.Protocol = flow.HTTP1
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

// serveTCP forwards opaque bytes over a hop of their own.
func (c *conn) serveTCP() {
	to := c.to.Forwarder()
	if to == nil {
		c.Flow.Refusal = flow.Refusal{Reason: flow.NoDestination, Detail: "it was taken out of the configuration"}
		return
	}
	up, endpoint, refusal := to.Dial(c.l.opts.Base, &c.Flow)
	if up == nil {
		c.Flow.Refusal = refusal
		return
	}
	endpoint.Begin()
	defer endpoint.Done()
	h, mesh := up.(*hop.Conn)
	if mesh {
		c.Flow.Security = flow.MutualTLS
		c.Flow.Local, c.Flow.Peer, c.Flow.PeerID = h.Local, h.Peer, h.Peer.ID.String()
		c.Flow.Times.TLS = h.Took
	}
	c.describe()
	if mesh {
		if err := h.Revalidate(); err != nil { // the bundles changed during the handshake
			c.Flow.Refusal = flow.Refusal{Reason: flow.UpstreamTLSFailed, Detail: err.Error()}
			socket.Abort(up)
			return
		}
	}
	to.TCP(&c.Flow, c.nc, up)
}

// serveHTTP reads requests one after the other.
func (c *conn) serveHTTP() {
	h := c.l.http.NewConn(c.nc)
	c.Serve(h)
	c.rec = httpflow.Recorder{Conn: &c.Flow, Log: c.l.opts.AccessLog, IDs: c.l.opts.IDs}
	c.edits = message.Edits{DefaultHost: c.Flow.Service, Fields: make([][]byte, 0, 1)}
	if err := h.Serve(c.request); err != nil {
		c.Flow.Refusal = httpflow.RefusalOf(err)
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
	if c.Metrics == nil {
		c.describe()
		c.rec.Metrics = c.Metrics
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
	if to := c.to.Forwarder(); to != nil {
		c.Flow.Service = to.Destination.Name() // a reload may have changed it
	}
	return q.Refusal.Reason == flow.None || x.Status != 0
}

// overloaded writes down a connection that found no room.
func (l *Listener) overloaded(nc net.Conn) {
	l.books.Refused(nc, l.app, flow.Refusal{Reason: flow.Overloaded, Detail: "limits.connections is reached"})
}
