package forward

import (
	"context"
	"errors"
	"io"
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
	refusal := flow.Refusal{Reason: flow.NoDestination}
	var endpoint *balance.Endpoint
	for range min(maxTries, f.Destination.Len()) {
		endpoint = f.Destination.Pick(start, endpoint)
		up, err := endpoint.DialTCP(ctx)
		if err == nil {
			endpoint.Succeeded()
			f.Metrics.Upstream(f.Direction, telemetry.UpstreamNew)
			c.Destination = endpoint.Addr
			return up, endpoint, flow.Refusal{}
		}
		refusal = connectRefusal(err)
		f.Metrics.Upstream(f.Direction, telemetry.UpstreamFailed)
		endpoint.Failed(time.Now())
	}
	return nil, nil, refusal
}

// TCP carries bytes both ways until both ends have closed, and counts them in c.
// Either end may close its sending side and go on receiving. Both connections
// are closed on return.
func (f *Forwarder) TCP(c *flow.Connection, client, up net.Conn) {
	t := tunnel{client: client, up: up, idle: f.TCPIdleTimeout}
	c.Received, c.Sent = t.run()
	if c.Refusal.Reason == flow.None {
		c.Refusal = t.refusal()
	}
}

// tunnelHTTP carries what follows an upgrade or CONNECT.
func (f *Forwarder) tunnelHTTP(x *http1.Exchange, q *flow.Request, c *http1.ClientConn) flow.Refusal {
	defer c.Close()
	client, fromClient := x.Hijack()
	up, fromUp := c.Hijack()
	t := tunnel{client: client, up: up, idle: f.TCPIdleTimeout, fromClient: fromClient, fromUp: fromUp}
	q.Received, q.Sent = t.run()
	return t.refusal()
}

// tunnel is two connections that are one.
type tunnel struct {
	client, up         net.Conn
	fromClient, fromUp []byte // read already
	idle               time.Duration

	clientErr, upErr error // of the direction that reads from it
}

// run copies both directions and returns the bytes from and to the client.
func (t *tunnel) run() (received, sent int64) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		sent, t.upErr = copyHalf(t.client, t.up, t.fromUp, t.idle)
		t.settle(t.upErr)
	}()
	received, t.clientErr = copyHalf(t.up, t.client, t.fromClient, t.idle)
	t.settle(t.clientErr)
	<-done
	_ = t.client.Close() // both directions have ended
	_ = t.up.Close()
	return received, sent
}

// settle ends the other direction too, if this one did not end in good order:
// half of a broken tunnel is of no use to anybody.
func (t *tunnel) settle(err error) {
	if err != nil {
		abort(t.client)
		abort(t.up)
	}
}

// abort closes the innermost connection, so that TLS says no orderly goodbye for
// a stream that was cut off (RFC 8446 §6.1, truncation).
func abort(c net.Conn) {
	for {
		inner, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = inner.NetConn()
	}
	_ = c.Close() // it may be closed already
}

// refusal says why the tunnel ended, if not in good order.
func (t *tunnel) refusal() flow.Refusal {
	switch {
	case t.clientErr != nil && !errors.Is(t.clientErr, net.ErrClosed):
		return flow.Refusal{Reason: flow.ClientClosed, Detail: "client: " + t.clientErr.Error()}
	case t.upErr != nil && !errors.Is(t.upErr, net.ErrClosed):
		return flow.Refusal{Reason: flow.UpstreamClosed, Detail: "upstream: " + t.upErr.Error()}
	}
	return flow.Refusal{}
}

// Sizes of copy buffers in bytes. An idle tunnel holds two of the small ones; a
// busy direction trades its own for a large one.
const (
	quietBuffer = 2 << 10
	busyBuffer  = 32 << 10
)

// copyHalf copies one direction until its source ends, then passes the end on.
func copyHalf(dst, src net.Conn, ahead []byte, idle time.Duration) (n int64, err error) {
	if len(ahead) > 0 {
		if err := write(dst, ahead, idle); err != nil {
			return 0, err
		}
		n = int64(len(ahead))
	}
	buf := make([]byte, quietBuffer)
	for {
		if err := src.SetReadDeadline(time.Now().Add(idle)); err != nil {
			return n, err
		}
		m, err := src.Read(buf)
		if m > 0 {
			if err := write(dst, buf[:m], idle); err != nil {
				return n, err
			}
			n += int64(m)
		}
		if errors.Is(err, io.EOF) {
			closeWrite(dst)
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if m == len(buf) && m < busyBuffer {
			buf = make([]byte, busyBuffer)
		}
	}
}

func write(dst net.Conn, b []byte, idle time.Duration) error {
	if err := dst.SetWriteDeadline(time.Now().Add(idle)); err != nil {
		return err
	}
	_, err := dst.Write(b)
	return err
}

// closeWrite passes the end of one direction on. On TLS that is close_notify,
// which ends one direction only (RFC 8446 §6.1). All bytes were written before:
// an error means that the other end has gone too, and its own direction says so.
func closeWrite(c net.Conn) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
		return
	}
	_ = c.Close()
}
