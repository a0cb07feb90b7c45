package target

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// readBuffer takes a head and a small body in one read.
const readBuffer = 16 << 10

// http1Caller is one connection. The request is rendered once and goes out in
// one write: the generator must cost little beside what it measures.
type http1Caller struct {
	t       *Target
	conn    net.Conn
	request []byte
	about   *http.Request // what the answer is read for: the method matters
	in      *bufio.Reader
	bound   *bounded  // below in
	by      time.Time // deadline
	over    bool      // the connection takes no further request
	leash   leash
}

func (t *Target) openHTTP1(ctx context.Context) (Caller, error) {
	conn, err := t.dial(ctx, "http/1.1")
	if err != nil {
		return nil, err
	}
	bound := &bounded{r: conn}
	return &http1Caller{
		t: t, conn: conn, request: t.render(), in: bufio.NewReaderSize(bound, readBuffer), bound: bound,
		about: &http.Request{Method: t.opts.Method},
	}, nil
}

// render writes the request as it goes over the wire.
func (t *Target) render() []byte {
	o := &t.opts
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", o.Method, t.url.RequestURI(), o.Host)
	for _, f := range o.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	if len(o.Body) > 0 || o.Method == http.MethodPost || o.Method == http.MethodPut {
		b.WriteString("Content-Length: " + strconv.Itoa(len(o.Body)) + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(o.Body)
	return []byte(b.String())
}

// Call implements [Caller].
func (c *http1Caller) Call(ctx context.Context) (Answer, error) {
	if c.over || !c.leash.hold(ctx, c.conn) {
		if err := c.reopen(ctx); err != nil {
			return Answer{}, err
		}
	}
	a, err := c.exchange()
	if err != nil {
		c.over = true
		return Answer{}, failed(ctx, err)
	}
	if err := c.t.accepts(a); err != nil {
		return a, err
	}
	if c.over && c.t.opts.Persistent {
		return a, &Failure{Kind: Closed, Err: errors.New("the answer ends its connection")}
	}
	return a, nil
}

func (c *http1Caller) reopen(ctx context.Context) error {
	c.leash.release()
	_ = c.conn.Close() // it is over already
	c.over = true
	conn, err := c.t.dial(ctx, "http/1.1")
	if err != nil {
		return err
	}
	c.conn, c.over, c.by = conn, false, time.Time{}
	c.bound.r = conn
	c.in.Reset(c.bound)
	c.leash.hold(ctx, conn)
	return nil
}

func (c *http1Caller) exchange() (Answer, error) {
	if err := c.hurry(); err != nil {
		return Answer{}, err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return Answer{}, err
	}
	c.bound.head()
	for {
		res, err := http.ReadResponse(c.in, c.about)
		if err != nil {
			return Answer{}, err
		}
		if res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
			continue // an interim answer
		}
		c.bound.body()
		n, err := io.Copy(io.Discard, res.Body)
		_ = res.Body.Close() // it has been read
		if err != nil {
			return Answer{}, err
		}
		c.over = res.Close
		return Answer{Status: res.StatusCode, Bytes: n}, nil
	}
}

// hurry bounds the next request. Moving a deadline costs a timer, so one that is
// a little too far away is left alone.
func (c *http1Caller) hurry() error {
	now, timeout := time.Now(), c.t.opts.Timeout
	if left := c.by.Sub(now); left >= timeout && left <= timeout+timeout/4 {
		return nil
	}
	c.by = now.Add(timeout + timeout/4)
	return c.conn.SetDeadline(c.by)
}

// Close implements [Caller].
func (c *http1Caller) Close() error {
	if !c.leash.release() || c.over {
		_ = c.conn.Close() // closed already, perhaps
		return nil
	}
	return c.conn.Close()
}
