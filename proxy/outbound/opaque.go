package outbound

import (
	"net"

	"github.com/outrider-mesh/outrider/proxy/detect"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/hop"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// serveTCP forwards opaque bytes over a hop of their own. It is true for a connection
// that turns out to be one of HTTP, of which nothing was forwarded.
func (c *conn) serveTCP() (isHTTP bool) {
	to := c.to.Forwarder()
	if to == nil {
		c.Flow.Refusal = c.nowhere()
		return false
	}
	if !to.Destination.Enter() {
		c.Flow.Refusal = forward.TooMany()
		return false
	}
	defer to.Destination.Leave()
	up, endpoint, refusal := to.Dial(c.l.opts.Base, &c.Flow)
	if up == nil {
		c.Flow.Refusal = refusal
		return false
	}
	endpoint.Begin()
	defer endpoint.Done()
	h, mesh := up.(*hop.Conn)
	if mesh {
		c.Flow.Security, c.Flow.QUIC = flow.MutualTLS, h.QUIC
		c.Flow.Local, c.Flow.Peer, c.Flow.PeerID = h.Local, h.Peer, h.Peer.ID.String()
		c.Flow.Times.TLS = h.Took
	}
	c.describe(&c.Flow)
	if mesh {
		if err := h.Revalidate(); err != nil { // the bundles changed during the handshake
			c.Flow.Refusal = flow.Refusal{Reason: flow.UpstreamTLSFailed, Detail: err.Error()}
			socket.Abort(up)
			return false
		}
	}
	if c.Flow.Passthrough && c.to.Latest() == nil { // it has joined the mesh meanwhile
		socket.Abort(up)
		return c.refuse(flow.PolicyChanged, "the address is one of the mesh now")
	}
	client, up, late, err := c.lookAgain(up)
	switch {
	case err != nil:
		return c.refuse(flow.RequestTimeout, "neither the application nor the other end has said anything for too long")
	case late != flow.Undetected:
		c.nc, c.Flow.Protocol = client, late
		return true
	}
	to.TCP(&c.Flow, client, up)
	if detect.IsRequest(client) {
		c.refuse(flow.BadRequest, "a request that came in pieces, after bytes that were taken for opaque; if it is none, declare the destination as TCP")
	}
	return false
}

// lookAgain looks at what the first to speak says, where the client has waited: it may
// have connected ahead of need.
func (c *conn) lookAgain(up net.Conn) (client, server net.Conn, late flow.Protocol, err error) {
	if c.declared == flow.TCP || c.kind != detect.Silent {
		return c.nc, up, flow.Undetected, nil
	}
	l := c.l.opts.Limits
	return c.port.Late(c.nc, up, l.TCPIdleTimeout, l.DetectTimeout)
}
