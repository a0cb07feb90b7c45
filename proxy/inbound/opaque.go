package inbound

import (
	"net"

	"github.com/outrider-mesh/outrider/proxy/detect"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
)

// serveTCP forwards opaque bytes. It is true for a connection that turns out to be
// one of HTTP, of which nothing was forwarded.
func (c *conn) serveTCP() (isHTTP bool) {
	app := c.to.Forwarder()
	if app == nil || destinationOf(app) != c.Flow.Destination {
		return c.refuse(flow.NoDestination, "the listener was taken out of the configuration, or leads elsewhere now")
	}
	if !app.Destination.Enter() {
		c.Flow.Refusal = forward.TooMany()
		return false
	}
	defer app.Destination.Leave()
	up, endpoint, refusal := app.Dial(c.l.opts.Base, &c.Flow)
	if up == nil {
		c.Flow.Refusal = refusal
		return false
	}
	endpoint.Begin()
	defer endpoint.Done()
	client, up, late, err := c.lookAgain(up)
	switch {
	case err != nil:
		return c.refuse(flow.RequestTimeout, "neither the client nor the application has said anything for too long")
	case late != flow.Undetected:
		c.nc, c.Flow.Protocol = client, late
		return c.authorize()
	}
	app.TCP(&c.Flow, client, up)
	if detect.IsRequest(client) {
		return c.refuse(flow.BadRequest, "a request that came in pieces, after bytes that were taken for opaque; if it is none, declare the port as TCP")
	}
	return false
}

// lookAgain looks at what the first to speak says, unless the operator has declared
// that these bytes are opaque. A client that waited before it spoke, and a peer that
// only says that it sends opaque bytes, could else send the application requests that
// nobody judges, with headers that only we may write.
func (c *conn) lookAgain(up net.Conn) (client, server net.Conn, late flow.Protocol, err error) {
	if c.declared == flow.TCP || c.opaqueByConvention() {
		return c.nc, up, flow.Undetected, nil
	}
	l := c.l.opts.Limits
	return c.port.Late(c.nc, up, l.TCPIdleTimeout, l.DetectTimeout)
}
