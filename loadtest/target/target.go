// Package target is what a load is sent to: one kind of request to one server,
// over HTTP/1.1, HTTP/2, gRPC, HTTP/3 or TCP; in plaintext, over TLS, or over
// mutual TLS with a SPIFFE identity.
//
// A [Caller] makes one request at a time. Over HTTP/1.1 and TCP it is a
// connection; over HTTP/2 and HTTP/3 several callers share one.
package target

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Protocol is how requests travel.
type Protocol string

// The protocols.
const (
	HTTP1 Protocol = "http1"
	HTTP2 Protocol = "http2"
	GRPC  Protocol = "grpc" // unary calls, over HTTP/2
	HTTP3 Protocol = "http3"
	TCP   Protocol = "tcp" // the body is sent, and comes back
)

// Protocols are all of them.
func Protocols() []Protocol { return []Protocol{HTTP1, HTTP2, GRPC, HTTP3, TCP} }

// Options describe a target.
type Options struct {
	// URL is http://HOST:PORT/PATH or https://…; for TCP tcp://HOST:PORT or
	// tls://…. Required.
	URL string
	// Protocol is HTTP1 when empty.
	Protocol Protocol
	// Method is GET when empty, POST with a body and for gRPC.
	Method string
	// Host is sent in place of the URL's host; empty: that one.
	Host string
	// Header are further fields, in order.
	Header []Field
	// Body is the payload: of gRPC the message, of TCP the bytes of one ping.
	Body []byte
	// Status is the only one that counts as success; 0: any from 200 to 299.
	Status int
	// Length is how many bytes of payload every answer must have; nil: any. An
	// answer of another length is Malformed.
	Length *int64
	// Persistent makes an answer that ends its connection a failure, for whoever
	// measures requests and no handshakes; only HTTP/1.1 has such answers.
	Persistent bool
	// TLS is the client's configuration for https and tls, without ALPN; nil:
	// the system's roots. With a URL that is plaintext it is an error.
	TLS *tls.Config
	// Streams is how many callers share a connection, where the protocol can; 0
	// means 1.
	Streams int
	// Timeout bounds a request, and the making of a connection; 0 means ten
	// seconds.
	Timeout time.Duration
}

// A Field is one header field.
type Field struct{ Name, Value string }

const defaultTimeout = 10 * time.Second

// A Caller makes requests, one at a time. It belongs to one goroutine.
type Caller interface {
	// Call makes one request and reads all of its answer. The error is a
	// *Failure. Where a connection carries one request at a time, the end of ctx
	// ends the connection too, also between two calls in the same context.
	Call(ctx context.Context) (Answer, error)
	// Close ends it; nothing else may be called afterwards.
	Close() error
}

// An Answer is what came back.
type Answer struct {
	// Status is of HTTP; 0 for TCP. Of gRPC it is the one of HTTP.
	Status int
	// Bytes counts the payload.
	Bytes int64
}

// A Target opens callers. Its methods may be called from any goroutine.
type Target struct {
	opts    Options
	url     *url.URL
	address string // host:port
	secure  bool
	open    func(ctx context.Context) (Caller, error)

	mu     sync.Mutex
	shared *connection // with room for more callers; nil: the next one dials
}

// New checks a description. Nothing is dialed.
func New(opts Options) (*Target, error) {
	t := &Target{opts: opts}
	var errs []error
	for _, check := range []func() error{t.setProtocol, t.setURL, t.setRequest} {
		errs = append(errs, check())
	}
	return t, errors.Join(errs...)
}

func (t *Target) setProtocol() error {
	switch t.opts.Protocol {
	case "", HTTP1:
		t.opts.Protocol, t.open = HTTP1, t.openHTTP1
	case HTTP2, GRPC, HTTP3:
		t.open = t.openMultiplexed
	case TCP:
		t.open = t.openTCP
	default:
		return fmt.Errorf("protocol %q is none of %v", t.opts.Protocol, Protocols())
	}
	return nil
}

func (t *Target) setURL() (err error) {
	if t.url, err = url.Parse(t.opts.URL); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if t.url.Hostname() == "" || t.url.User != nil || t.url.Fragment != "" || t.url.Opaque != "" {
		return fmt.Errorf("target %q: write http://HOST:PORT/PATH, without user and fragment", t.opts.URL)
	}
	ports := map[string]string{"http": "80", "https": "443"}
	if t.opts.Protocol == TCP {
		ports = map[string]string{"tcp": "", "tls": ""}
	}
	port, known := ports[t.url.Scheme]
	if !known {
		return fmt.Errorf("target %q: scheme %q does not go with protocol %s", t.opts.URL, t.url.Scheme, t.opts.Protocol)
	}
	if own := t.url.Port(); own != "" {
		port = own
	}
	if port == "" {
		return fmt.Errorf("target %q: a port is missing", t.opts.URL)
	}
	t.secure = t.url.Scheme == "https" || t.url.Scheme == "tls"
	if t.opts.TLS != nil && !t.secure {
		return fmt.Errorf("target %q: roots or an identity are given, but it is plaintext; write https:// or tls://", t.opts.URL)
	}
	if t.opts.Protocol == HTTP3 && !t.secure {
		return fmt.Errorf("target %q: HTTP/3 is always encrypted; write https://", t.opts.URL)
	}
	t.address = net.JoinHostPort(t.url.Hostname(), port)
	return nil
}

func (t *Target) setRequest() error {
	o := &t.opts
	if o.Method == "" {
		o.Method = http.MethodGet
		if len(o.Body) > 0 || o.Protocol == GRPC {
			o.Method = http.MethodPost
		}
	}
	o.Streams = max(o.Streams, 1)
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Host == "" && t.url != nil {
		o.Host = t.url.Host
	}
	var errs []error
	switch {
	case !httpguts.ValidHeaderFieldName(o.Method):
		errs = append(errs, fmt.Errorf("method %q is no token", o.Method))
	case o.Protocol == GRPC && o.Method != http.MethodPost:
		errs = append(errs, fmt.Errorf("method %q: gRPC is always POST", o.Method))
	case o.Protocol == TCP && len(o.Body) == 0:
		errs = append(errs, errors.New("body is empty: over TCP it is what is sent and must come back"))
	}
	if !httpguts.ValidHostHeader(o.Host) {
		errs = append(errs, fmt.Errorf("host %q is malformed", o.Host))
	}
	for _, f := range o.Header {
		if !httpguts.ValidHeaderFieldName(f.Name) || !httpguts.ValidHeaderFieldValue(f.Value) {
			errs = append(errs, fmt.Errorf("header %q: %q is malformed", f.Name, f.Value))
		}
		if framing(f.Name) {
			errs = append(errs, fmt.Errorf("header %q follows from the request, it cannot be set", f.Name))
		}
	}
	if o.Status != 0 && (o.Status < 200 || o.Status > 599) {
		errs = append(errs, fmt.Errorf("status %d is none of a final answer", o.Status))
	}
	if o.Length != nil && *o.Length < 0 {
		errs = append(errs, fmt.Errorf("length %d of an answer is below zero", *o.Length))
	}
	return errors.Join(errs...)
}

// framing tells whether a field says how the message is sent.
func framing(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "Upgrade", "Trailer", "Te":
		return true
	}
	return false
}

// Open makes a caller, and its connection unless it shares one. The error is a
// *Failure.
func (t *Target) Open(ctx context.Context) (Caller, error) { return t.open(ctx) }

// Protocol is how its requests travel.
func (t *Target) Protocol() Protocol { return t.opts.Protocol }

// Request is its method and path; for TCP, that it is an echo.
func (t *Target) Request() string {
	if t.opts.Protocol == TCP {
		return "echo"
	}
	return t.opts.Method + " " + t.url.RequestURI()
}

// BodyBytes is the length of a request's body.
func (t *Target) BodyBytes() int { return len(t.opts.Body) }

// Streams is how many callers share a connection.
func (t *Target) Streams() int {
	if t.opts.Protocol == HTTP1 || t.opts.Protocol == TCP {
		return 1
	}
	return t.opts.Streams
}

// String is where it is.
func (t *Target) String() string { return t.url.String() }

// accepts judges an answer by its status and its length.
func (t *Target) accepts(a Answer) error {
	if a.Status != t.opts.Status && (t.opts.Status != 0 || a.Status < 200 || a.Status > 299) {
		return &Failure{Kind: Status, Err: fmt.Errorf("status %d", a.Status)}
	}
	if want := t.opts.Length; want != nil && a.Bytes != *want {
		return &Failure{Kind: Malformed, Err: fmt.Errorf("the answer has %d bytes, not %d", a.Bytes, *want)}
	}
	return nil
}

// dial opens a TCP connection, with TLS where the URL says so.
func (t *Target) dial(ctx context.Context, alpn ...string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.opts.Timeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, &Failure{Kind: Connect, Err: err}
	}
	if !t.secure {
		return nc, nil
	}
	tc := tls.Client(nc, t.tls(alpn...))
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close() // the handshake's error is the one to report
		return nil, &Failure{Kind: Connect, Err: fmt.Errorf("TLS with %s: %w", t.address, err)}
	}
	return tc, nil
}

// tls is the configuration with the protocols of this target.
func (t *Target) tls(alpn ...string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.opts.TLS != nil {
		c = t.opts.TLS.Clone()
	}
	c.NextProtos = alpn
	if c.ServerName == "" {
		c.ServerName = t.url.Hostname()
	}
	return c
}
