package outbound

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/outrider-mesh/outrider/proxy/detect"
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/ledger"
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
	// unresolved: the last time there was no way because nothing is known.
	unresolved atomic.Bool
	// counted: the connection is known to be open, since its first request.
	counted sync.Once
}

// serve takes a connection through the stages, in this order.
func (l *Listener) serve(raw net.Conn) {
	c := &conn{l: l, nc: raw, to: forward.Route{Latest: l.opts.Forward}}
	l.books.Open(&c.Entry, raw, l.app)
	defer c.Close()

	ok := c.capture() && // where was it going?
		c.detect() // what does it speak?
	if ok && c.Flow.Protocol == flow.TCP {
		ok = c.serveTCP() // endpoint, mutual TLS, forward; unless it is HTTP after all
	}
	switch {
	case !ok:
	case c.Flow.Protocol == flow.HTTP1:
		c.serveHTTP1() // each request: endpoint, mutual TLS, forward
	case c.Flow.Protocol == flow.HTTP2:
		c.serveHTTP2() // the same
	}
	c.Finish()
}

// refuse notes why the connection goes no further.
func (c *conn) refuse(r flow.Reason, detail string) bool {
	c.Flow.Refusal = flow.Refusal{Reason: r, Detail: detail}
	return false
}

// describe publishes what f says is known now, and counts the connection as open.
func (c *conn) describe(f *flow.Connection) {
	about := &drain.About{
		Direction: flow.Outbound, Listener: f.Listener, Remote: f.Remote.String(),
		Opened: f.Opened, Protocol: f.Protocol,
	}
	if f.Protocol == flow.TCP {
		about.Peer = f.Peer // HTTP has a pool of hops, which looks after them
	}
	if f.Passthrough {
		about.Passed = f.Original
	}
	c.Tracked.Describe(about)
	c.Flow.Security, c.Flow.Local, c.Flow.Peer, c.Flow.PeerID = f.Security, f.Local, f.Peer, f.PeerID
	c.Count()
}

// detect settles the protocol: declared by the listener, or by the first bytes.
// A listener whose clients wait for the server to speak makes them wait once.
func (c *conn) detect() bool {
	if c.declared == flow.TCP {
		c.Flow.Protocol = flow.TCP
		return true
	}
	kind, replay, err := c.port.Look(c.nc, c.l.opts.Limits.DetectTimeout, detect.Briefly)
	c.nc, c.kind = replay, kind
	if err != nil {
		return c.refuse(flow.ClientClosed, err.Error())
	}
	c.Flow.Protocol = c.port.Protocol(kind)
	if c.declared == flow.HTTP1 && c.Flow.Protocol == flow.TCP {
		c.Flow.Protocol = flow.HTTP1 // it will be answered as HTTP, whatever it is
	}
	return true
}

// overloaded writes down a connection that found no room.
func (l *Listener) overloaded(nc net.Conn) {
	l.books.Refused(nc, l.app, flow.Refusal{Reason: flow.Overloaded, Detail: "limits.connections is reached"})
}
