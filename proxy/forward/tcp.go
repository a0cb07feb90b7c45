package forward

import (
	"context"
	"net"
	"time"

	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

// Dial connects to an endpoint for opaque bytes and notes which in c.
func (f *Forwarder) Dial(ctx context.Context, c *flow.Connection) (net.Conn, *balance.Endpoint, flow.Refusal) {
	ctx, cancel := context.WithTimeout(ctx, f.ConnectTimeout)
	defer cancel()
	start := time.Now()
	defer func() { c.Times.Connect = time.Since(start) }()
	refusal := noEndpoint()
	var endpoint *balance.Endpoint
	for range min(maxTries, f.Destination.Len()) {
		if endpoint = f.Destination.Pick(start, endpoint); endpoint == nil {
			return nil, nil, failFast()
		}
		up, err := endpoint.DialTCP(ctx)
		if err == nil {
			endpoint.Observe(time.Now(), time.Since(start))
			endpoint.Connected()
			f.Metrics.Upstream(f.Direction, telemetry.UpstreamNew)
			c.Destination = endpoint.Addr
			return up, endpoint, flow.Refusal{}
		}
		refusal = f.failed(endpoint, err)
	}
	return nil, nil, refusal
}

// TCP carries bytes both ways until both ends have closed, and counts them in c.
// Either end may close its sending side and go on receiving. Both connections
// are closed on return.
func (f *Forwarder) TCP(c *flow.Connection, client, up net.Conn) {
	t := newTunnel(client, up)
	c.Received, c.Sent = t.run(f.TCPIdleTimeout)
	if c.Refusal.Reason == flow.None {
		c.Refusal = t.refusal()
	}
}

// tunnelHTTP carries what follows an upgrade or CONNECT.
func (f *Forwarder) tunnelHTTP(x *http1.Exchange, q *flow.Request, c *http1.ClientConn) flow.Refusal {
	defer c.Close()
	client, fromClient := x.Hijack()
	up, fromUp := c.Hijack()
	t := newTunnel(client, up)
	t.toUp.ahead, t.toClient.ahead = fromClient, fromUp
	q.Received, q.Sent = t.run(f.TCPIdleTimeout)
	return t.refusal()
}
