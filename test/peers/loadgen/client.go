package loadgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/app"
	"github.com/outrider-mesh/outrider/test/peers/hist"
)

const (
	// maxHead bounds a response's head in bytes.
	maxHead = 16 << 10
	// grace is how long after the block's end an answer may still be missing.
	grace = 10 * time.Second
)

// A client is one connection. Until its loop has returned, everything but conn
// belongs to the loop's goroutine.
type client struct {
	conn    net.Conn
	size    int
	request []byte
	buf     []byte
	latency hist.Histogram
	err     error
}

func dial(ctx context.Context, job Job) (*client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", job.Addr)
	if err != nil {
		return nil, fmt.Errorf("open a connection of the generator: %w", err)
	}
	// One deadline for the whole block: setting it anew for each request would
	// cost the generator a timer each.
	if err := conn.SetDeadline(time.Now().Add(job.Warmup + job.Measure + grace)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("bound a connection of the generator: %w", err)
	}
	return &client{
		conn: conn,
		size: job.Size,
		request: fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: %s\r\n"+
			"User-Agent: outrider-bench\r\nAccept: */*\r\n\r\n", job.Size, Host),
		// One byte more than can be right, to notice what is too much.
		buf: make([]byte, maxHead+job.Size+1),
	}, nil
}

// Host is the Host header of every request.
const Host = "app.bench.test"

// loop sends requests until told to stop and records those that complete in
// the measured block. The first response is compared byte for byte; the others
// by status and length, which costs the generator less.
func (c *client) loop(now *atomic.Int32) error {
	if err := c.first(); err != nil {
		return err
	}
	begin := time.Now()
	for {
		if _, err := c.exchange(); err != nil {
			return err
		}
		end := time.Now()
		switch now.Load() {
		case measuring:
			c.latency.Record(end.Sub(begin))
		case stopping:
			return nil
		}
		begin = end
	}
}

func (c *client) first() error {
	body, err := c.exchange()
	if err != nil {
		return err
	}
	if !bytes.Equal(body, app.Body(c.size)) {
		return errors.New("response body differs from what the app sent")
	}
	return nil
}

// exchange sends one request and reads its response. The body is valid until
// the next call.
func (c *client) exchange() ([]byte, error) {
	if _, err := c.conn.Write(c.request); err != nil {
		return nil, fmt.Errorf("send a request: %w", err)
	}
	n, total, head := 0, -1, 0
	for total < 0 || n < total {
		got, err := c.conn.Read(c.buf[n:])
		if err != nil {
			return nil, fmt.Errorf("read a response after %d bytes: %w", n, err)
		}
		n += got
		if total < 0 {
			if head, total, err = c.lengths(n); err != nil {
				return nil, err
			}
		}
	}
	if n > total {
		return nil, fmt.Errorf("response is followed by %d bytes nobody asked for", n-total)
	}
	return c.buf[head:total], nil
}

// lengths returns the length of the head and of the whole response, once the
// head is complete; a total of -1 until then.
func (c *client) lengths(n int) (head, total int, err error) {
	head, body, err := parseHead(c.buf[:n])
	switch {
	case errors.Is(err, errIncomplete) && n <= maxHead:
		return 0, -1, nil
	case err != nil:
		return 0, 0, err
	case head > maxHead:
		return 0, 0, fmt.Errorf("response head has %d bytes, more than %d", head, maxHead)
	case body != c.size:
		return 0, 0, fmt.Errorf("response body has %d bytes, want %d", body, c.size)
	}
	return head, head + body, nil
}
