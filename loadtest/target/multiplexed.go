package target

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// connection is shared by several callers.
type connection struct {
	trip  func(*http.Request) (*http.Response, error)
	close func() error
	// broken is an error once the connection takes no further request.
	broken func() error
	// opened counts the callers that were given it, open those that have it;
	// both under the target's mutex.
	opened, open int
}

// stream is one caller on a shared connection.
type stream struct {
	t    *Target
	conn *connection // nil after it was lost
	body []byte
}

// openMultiplexed joins the newest connection, or makes one if that is full.
// Callers are opened one after the other, so none dials in vain.
func (t *Target) openMultiplexed(ctx context.Context) (Caller, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, err := t.join(ctx)
	if err != nil {
		return nil, err
	}
	s := &stream{t: t, conn: c, body: t.opts.Body}
	if t.opts.Protocol == GRPC {
		s.body = grpcMessage(t.opts.Body)
	}
	return s, nil
}

// join needs t.mu.
func (t *Target) join(ctx context.Context) (*connection, error) {
	if t.shared == nil || t.shared.opened == t.opts.Streams {
		ctx, cancel := context.WithTimeout(ctx, t.opts.Timeout)
		defer cancel()
		dial := t.dialHTTP2
		if t.opts.Protocol == HTTP3 {
			dial = t.dialHTTP3
		}
		c, err := dial(ctx)
		if err != nil {
			return nil, &Failure{Kind: Connect, Err: err}
		}
		t.shared = c
	}
	t.shared.opened++
	t.shared.open++
	return t.shared, nil
}

// lose leaves a connection and keeps others from joining it.
func (t *Target) lose(c *connection) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shared == c {
		t.shared = nil
	}
	return t.leave(c)
}

// leave closes the connection with its last caller. It needs t.mu.
func (t *Target) leave(c *connection) error {
	if c.open--; c.open > 0 {
		return nil
	}
	if t.shared == c {
		t.shared = nil
	}
	return c.close()
}

func (t *Target) dialHTTP2(ctx context.Context) (*connection, error) {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(t.secure)
	protocols.SetUnencryptedHTTP2(!t.secure)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true}
	if t.secure {
		transport.TLSClientConfig = t.tls("h2")
	}
	cc, err := transport.NewClientConn(ctx, t.url.Scheme, t.address)
	if err != nil {
		return nil, err
	}
	return &connection{trip: cc.RoundTrip, close: cc.Close, broken: cc.Err}, nil
}

func (t *Target) dialHTTP3(ctx context.Context) (*connection, error) {
	addr, err := net.ResolveUDPAddr("udp", t.address)
	if err != nil {
		return nil, err
	}
	udp, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	qt := &quic.Transport{Conn: udp}
	end := func() error { return errors.Join(qt.Close(), udp.Close()) }
	qc, err := qt.Dial(ctx, addr, t.tls("h3"), &quic.Config{HandshakeIdleTimeout: t.opts.Timeout})
	if err != nil {
		return nil, errors.Join(err, end())
	}
	transport := &http3.Transport{DisableCompression: true}
	cc := transport.NewClientConn(qc)
	return &connection{
		trip:   cc.RoundTrip,
		broken: func() error { return context.Cause(cc.Context()) }, //nolint:contextcheck // the connection's own context
		close: func() error {
			const noError = 0x100 // RFC 9114 §8.1
			return errors.Join(cc.CloseWithError(noError, ""), transport.Close(), end())
		},
	}, nil
}

// Call implements [Caller]. A connection that was lost is replaced.
func (s *stream) Call(ctx context.Context) (Answer, error) {
	if s.conn != nil && s.conn.broken() != nil {
		s.lose()
	}
	if s.conn == nil {
		if err := s.rejoin(ctx); err != nil {
			return Answer{}, err
		}
	}
	a, err := s.call(ctx)
	if f, ok := errors.AsType[*Failure](err); ok && (f.Kind == Closed || f.Kind == Malformed) {
		s.lose()
	}
	return a, err
}

// lose leaves a connection that is of no use any more.
func (s *stream) lose() {
	_ = s.t.lose(s.conn) // it is broken already
	s.conn = nil
}

func (s *stream) rejoin(ctx context.Context) (err error) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.conn, err = s.t.join(ctx)
	return err
}

func (s *stream) call(ctx context.Context) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.t.opts.Timeout)
	defer cancel()
	req, err := s.request(ctx)
	if err != nil {
		return Answer{}, &Failure{Kind: Malformed, Err: err}
	}
	res, err := s.conn.trip(req)
	if err != nil {
		return Answer{}, failed(ctx, err)
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	if err != nil {
		return Answer{}, failed(ctx, err)
	}
	a := Answer{Status: res.StatusCode, Bytes: n}
	if err := s.t.accepts(a); err != nil {
		return a, err
	}
	if s.t.opts.Protocol == GRPC {
		return a, grpcStatus(res)
	}
	return a, nil
}

func (s *stream) request(ctx context.Context) (*http.Request, error) {
	o := &s.t.opts
	var body io.Reader
	if len(s.body) > 0 {
		body = bytes.NewReader(s.body) // which tells NewRequest its length
	}
	req, err := http.NewRequestWithContext(ctx, o.Method, s.t.url.String(), body)
	if err != nil {
		return nil, err
	}
	req.Host = o.Host
	for _, f := range o.Header {
		req.Header.Add(f.Name, f.Value)
	}
	if o.Protocol == GRPC {
		req.Header.Set("Content-Type", "application/grpc")
		req.Header.Set("Te", "trailers")
	}
	return req, nil
}

// Close implements [Caller].
func (s *stream) Close() error {
	if s.conn == nil {
		return nil
	}
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	return s.t.leave(s.conn)
}

// grpcMessage frames one message, uncompressed: a flag byte and the length in
// network byte order (gRPC over HTTP/2, "Length-Prefixed-Message").
func grpcMessage(message []byte) []byte {
	b := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(b[1:], uint32(len(message))) //nolint:gosec // read from a flag or a file, far below 4 GiB
	return append(b, message...)
}

// grpcStatus judges a call by its grpc-status, which stands in the trailers, or in
// the header of an answer without a message.
func grpcStatus(res *http.Response) error {
	status := res.Trailer.Get("Grpc-Status")
	message := res.Trailer.Get("Grpc-Message")
	if status == "" {
		status, message = res.Header.Get("Grpc-Status"), res.Header.Get("Grpc-Message")
	}
	switch status {
	case "0":
		return nil
	case "":
		return &Failure{Kind: Malformed, Err: errors.New("the answer has no grpc-status")}
	}
	return &Failure{Kind: Status, Err: fmt.Errorf("grpc-status %s: %s", status, strings.TrimSpace(message))}
}
