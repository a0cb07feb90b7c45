package outbound

import (
	"net"

	"github.com/outrider-mesh/outrider/proxy/detect"
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/hop"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/httpflow"
	"github.com/outrider-mesh/outrider/proxy/ledger"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// conn is one connection of the application on its way through the stages.
type conn struct {
	ledger.Entry

	l  *Listener
	nc net.Conn // as it is read from now: as accepted, or replayed
	to forward.Route
	// declared is what the destination carries by the operator's word.
	declared flow.Protocol
	port     *detect.Port // what earlier connections told about it
	kind     detect.Kind  // of the first bytes, if those had to tell

	rec   httpflow.Recorder
	edits http1.Edits
}

// serve takes a connection through the stages, in this order.
func (l *Listener) serve(raw net.Conn) {
	c := &conn{l: l, nc: raw, to: forward.Route{Latest: l.opts.Forward}}
	l.books.Open(&c.Entry, raw, l.app)
	defer c.Close()

	ok := c.capture() && // where was it going?
		c.detect() // what does it speak?
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
		about.StillAllowed = c.stillPasses()
	}
	c.Tracked.Describe(about)
	c.Count()
}

// detect settles the protocol: declared by the listener, or by the first bytes.
// A listener whose clients wait for the server to speak makes them wait once.
func (c *conn) detect() bool {
	if c.Flow.Protocol = c.declared; c.Flow.Protocol != flow.Undetected {
		return true
	}
	kind, replay, err := c.port.Look(c.nc, c.l.opts.Limits.DetectTimeout, detect.Briefly)
	c.nc, c.kind = replay, kind
	if err != nil {
		c.Flow.Refusal = flow.Refusal{Reason: flow.ClientClosed, Detail: err.Error()}
		return false
	}
	c.Flow.Protocol = flow.TCP
	if c.port.IsHTTP(kind) {
		c.Flow.Protocol = flow.HTTP1
	}
	return true
}

// serveTCP forwards opaque bytes over a hop of their own.
func (c *conn) serveTCP() {
	to := c.to.Forwarder()
	if to == nil {
		c.Flow.Refusal = c.nowhere()
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
	if passes := c.stillPasses(); passes != nil && !passes() {
		c.Flow.Refusal = flow.Refusal{Reason: flow.PolicyChanged, Detail: "while the connection was being made"}
		socket.Abort(up)
		return
	}
	if mesh {
		if err := h.Revalidate(); err != nil { // the bundles changed during the handshake
			c.Flow.Refusal = flow.Refusal{Reason: flow.UpstreamTLSFailed, Detail: err.Error()}
			socket.Abort(up)
			return
		}
	}
	client, up := c.port.Watch(c.kind, c.nc, up)
	to.TCP(&c.Flow, client, up)
}

// serveHTTP reads requests one after the other.
func (c *conn) serveHTTP() {
	h := c.l.http.NewConn(c.nc)
	c.Serve(h)
	c.rec = httpflow.Recorder{Conn: &c.Flow, Log: c.l.opts.AccessLog, IDs: c.l.opts.IDs}
	c.edits = http1.Edits{DefaultHost: c.Flow.Service, Fields: make([][]byte, 0, 1)}
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
	if c.to.Forwarder() == nil {
		q.Refusal = c.nowhere()
		return false
	}
	q.Refusal = c.to.HTTP(c.l.opts.Base, x, q, &c.edits)
	if to := c.to.Forwarder(); to != nil {
		c.Flow.Service = to.Destination.Name() // a reload may have changed it
	}
	return q.Refusal.Reason == flow.None || x.Status != 0
}

// overloaded writes down a connection that found no room.
func (l *Listener) overloaded(nc net.Conn) {
	if l.opts.Sentry.Took(nc) {
		return
	}
	l.books.Refused(nc, l.app, flow.Refusal{Reason: flow.Overloaded, Detail: "limits.connections is reached"})
}
