package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/target"
)

// Options describe where requests go.
type Options struct {
	// URL is http://HOST:PORT or https://HOST:PORT, without a path: samples have
	// their own.
	URL string
	// TLS is the client's configuration for https, without ALPN; nil: the system's
	// roots.
	TLS *tls.Config
	// Timeout bounds the making of a connection, and a request with its answer; 0:
	// ten seconds.
	Timeout time.Duration
	// Dial makes connections; nil: over TCP to the URL. Tests have their own.
	Dial func(ctx context.Context) (net.Conn, error)
}

// An Endpoint is where requests go.
type Endpoint struct {
	opts    Options
	address string
	// Host is what a request says in its Host field.
	Host string
}

// NewEndpoint checks where requests go. Nothing is dialed.
func NewEndpoint(opts Options) (*Endpoint, error) {
	u, err := url.Parse(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if port == "" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("url %q: write http://HOST:PORT or https://HOST:PORT; paths are those of the samples", opts.URL)
	}
	if own := u.Port(); own != "" {
		port = own
	}
	if opts.Timeout <= 0 {
		opts.Timeout = defaultTimeout
	}
	e := &Endpoint{opts: opts, address: net.JoinHostPort(u.Hostname(), port), Host: u.Host}
	switch {
	case u.Scheme == "https":
		e.opts.TLS = secure(opts.TLS, u.Hostname())
	case opts.TLS != nil:
		return nil, fmt.Errorf("url %q: roots or an identity are given, but it is plaintext; write https://", opts.URL)
	}
	return e, nil
}

func secure(c *tls.Config, name string) *tls.Config {
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c = c.Clone()
	c.NextProtos = []string{"http/1.1"}
	if c.ServerName == "" {
		c.ServerName = name
	}
	return c
}

func (e *Endpoint) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	connect := e.opts.Dial
	if connect == nil {
		connect = e.connect
	}
	nc, err := connect(ctx)
	if err != nil || e.opts.TLS == nil {
		return nc, err
	}
	tc := tls.Client(nc, e.opts.TLS)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close() // the handshake's error is the one to report
		return nil, fmt.Errorf("TLS with %s: %w", e.address, err)
	}
	return tc, nil
}

func (e *Endpoint) connect(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", e.address)
}

// A Client is one connection at a time. It belongs to one goroutine.
type Client struct {
	to   *Endpoint
	conn *connection // nil: the next request makes one
}

// Client returns a client that has no connection yet.
func (e *Endpoint) Client() *Client { return &Client{to: e} }

// Send makes one request and reads all of its answer. The error is a
// *target.Failure.
//
// On a connection that has been used before, its end without a byte of an answer
// may be its age's and not the request's doing: then the request is sent again, on
// a fresh one.
func (c *Client) Send(ctx context.Context, m Message) (Answer, error) {
	fresh := c.conn == nil
	a, err := c.send(ctx, m)
	if f, ok := errors.AsType[*target.Failure](err); ok && f.Kind == target.Closed && !fresh && errors.Is(err, errSilent) {
		return c.send(ctx, m)
	}
	return a, err
}

func (c *Client) send(ctx context.Context, m Message) (Answer, error) {
	if c.conn == nil {
		nc, err := c.to.dial(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return Answer{}, &target.Failure{Kind: target.Canceled, Err: err}
			}
			return Answer{}, &target.Failure{Kind: target.Connect, Err: err}
		}
		c.conn = newConnection(nc)
	}
	a, keep, err := c.conn.exchange(ctx, m, c.to.opts.Timeout)
	if !keep {
		_ = c.Close() // nothing that is still to come is wanted
	}
	if err != nil {
		return Answer{}, failed(ctx, err)
	}
	return a, nil
}

// Close ends the connection. The client may be used again.
func (c *Client) Close() error {
	if c.conn == nil {
		return nil
	}
	conn := c.conn
	c.conn = nil
	return conn.nc.Close()
}

// connection is an open one. Its reader is bounded anew for each answer.
type connection struct {
	nc net.Conn
	// bound limits what one answer may be.
	bound *io.LimitedReader
	in    *bufio.Reader
}

func newConnection(nc net.Conn) *connection {
	c := &connection{nc: nc, bound: &io.LimitedReader{R: nc}}
	c.in = bufio.NewReader(c.bound)
	return c
}

var (
	// errSilent: the connection ended before the first byte of an answer.
	errSilent = errors.New("no answer")
	// errTooLong: the answer is over its bound.
	errTooLong = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	// errInterim: one interim answer after the other.
	errInterim = fmt.Errorf("more than %d interim answers", maxInterim)
)

// exchange sends a request and reads its answer. keep tells whether the
// connection takes another one.
//
// The two go on at the same time: who refuses by the head of a long request
// answers before the end of its body, and may stop reading.
func (c *connection) exchange(ctx context.Context, m Message, timeout time.Duration) (a Answer, keep bool, err error) {
	start := time.Now()
	if err := c.nc.SetDeadline(start.Add(timeout)); err != nil {
		return a, false, fmt.Errorf("%w: %w", errSilent, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.nc.SetDeadline(past()) }) // it ends reads and writes
	defer stop()
	sent := make(chan error, 1)
	go func() { sent <- c.write(m.Bytes) }()
	a, keep, err = c.read(m.Method)
	a.Took = time.Since(start)
	if !keep {
		// The rest of a request that has been answered, or never will be, goes
		// nowhere.
		_ = c.nc.SetWriteDeadline(past())
	}
	return a, <-sent == nil && keep, err
}

func past() time.Time { return time.Unix(1, 0) }

func (c *connection) write(b []byte) error {
	_, err := c.nc.Write(b)
	return err
}

// read takes the final answer and its body. keep tells whether the connection is
// ready for another request.
func (c *connection) read(method string) (a Answer, keep bool, err error) {
	c.bound.N = maxAnswer
	if _, err := c.in.Peek(1); err != nil {
		return a, false, fmt.Errorf("%w: %w", errSilent, err)
	}
	about := &http.Request{Method: method}
	for range maxInterim {
		res, err := http.ReadResponse(c.in, about)
		if err != nil {
			return a, false, c.bounded(err)
		}
		if res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close() // it has been read
		if err != nil {
			return a, false, c.bounded(err)
		}
		again := !res.Close && res.StatusCode != http.StatusSwitchingProtocols && c.in.Buffered() == 0
		return answerOf(res), again, nil
	}
	return a, false, errInterim
}

// bounded says so where it was our bound that ended the answer.
func (c *connection) bounded(err error) error {
	if c.bound.N <= 0 {
		return errTooLong
	}
	return err
}
