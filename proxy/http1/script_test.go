package http1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// scriptConn is a connection whose other end says what was written down before:
// one segment a read, then end. What is written to it is kept.
type scriptConn struct {
	segments [][]byte
	end      error // io.EOF if nil
	sent     bytes.Buffer
	closed   bool
}

func (c *scriptConn) Read(p []byte) (int, error) {
	for len(c.segments) > 0 && len(c.segments[0]) == 0 {
		c.segments = c.segments[1:]
	}
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case len(c.segments) > 0:
		n := copy(p, c.segments[0])
		c.segments[0] = c.segments[0][n:]
		return n, nil
	case c.end != nil:
		return 0, c.end
	}
	return 0, io.EOF
}

func (c *scriptConn) Write(p []byte) (int, error) {
	if c.closed {
		return 0, net.ErrClosed
	}
	return c.sent.Write(p)
}

func (c *scriptConn) Close() error                     { c.closed = true; return nil }
func (c *scriptConn) LocalAddr() net.Addr              { return nil }
func (c *scriptConn) RemoteAddr() net.Addr             { return nil }
func (c *scriptConn) SetDeadline(time.Time) error      { return nil }
func (c *scriptConn) SetReadDeadline(time.Time) error  { return nil }
func (c *scriptConn) SetWriteDeadline(time.Time) error { return nil }

func whole(s string) [][]byte { return [][]byte{[]byte(s)} }

func bytewise(s string) [][]byte {
	var all [][]byte
	for i := range len(s) {
		all = append(all, []byte{s[i]})
	}
	return all
}

// testLimits are small, so that a case can go over each of them.
func testLimits() limits.Limits {
	l := limits.Default()
	l.HeadBytes = 2048
	l.TargetBytes = 256
	l.HeaderCount = 20
	l.TrailerBytes = 512
	l.BodyBytes = 1 << 20
	l.InterimResponses = 3
	return l
}

func testServer(l limits.Limits) *Server {
	return NewServer(ServerOptions{Limits: l, Buffers: new(Buffers)})
}

// received is what became of one request.
type received struct {
	method, target, host string
	fields               []string
	body                 string
	trailers             string
	err                  error
}

// receive runs segments through a server and returns every request, the last
// one perhaps with the error that ended it.
func receive(s *Server, segments [][]byte) []received {
	var all []received
	c := s.NewConn(&scriptConn{segments: segments})
	_ = c.Serve(func(x *Exchange) {
		r := received{err: x.Err}
		if x.Err == nil {
			r = take(x)
		}
		all = append(all, r)
		_ = x.Respond(204, nil, nil)
	})
	return all
}

func take(x *Exchange) received {
	r := received{method: x.Request.Method, target: x.Request.Target, host: x.Request.Host}
	x.Request.Each(func(name, value string) bool {
		r.fields = append(r.fields, name+": "+value)
		return true
	})
	for {
		p, err := x.Body.Next()
		r.body += string(p)
		if errors.Is(err, io.EOF) {
			r.trailers = string(x.Body.trailers)
			return r
		}
		if err != nil {
			r.err = err
			return r
		}
	}
}

// poolOf returns a pool that hands out these connections, in order.
func poolOf(t testing.TB, l limits.Limits, conns ...net.Conn) *Pool {
	p := NewPool(PoolOptions{
		ClientOptions: ClientOptions{Limits: l, Buffers: new(Buffers)},
		Dial: func(context.Context) (Dialed, error) {
			if len(conns) == 0 {
				return Dialed{}, errNoMore
			}
			c := conns[0]
			conns = conns[1:]
			return Dialed{Conn: c}, nil
		},
	})
	t.Cleanup(p.Close)
	return p
}

var errNoMore = errors.New("nothing left to dial")

// relayed is what became of one request that was forwarded.
type relayed struct {
	toUpstream string
	toClient   string
	failure    *message.Failure
	upgraded   bool
	outcome    outcome
	reusable   bool // the upstream connection went back to the pool
}

// relay sends request to an upstream that answers with segments.
func relay(t testing.TB, l limits.Limits, request string, segments [][]byte) relayed {
	client := &scriptConn{segments: whole(request)}
	upstream := &scriptConn{segments: segments}
	pool := poolOf(t, l, upstream)
	var r relayed
	server := NewServer(ServerOptions{Limits: l, Buffers: new(Buffers), AllowConnect: true})
	_ = server.NewConn(client).Serve(func(x *Exchange) {
		if x.Err != nil {
			t.Errorf("the request of the case is refused: %v", x.Err)
			return
		}
		if r.toUpstream != "" {
			return // one is enough
		}
		up, err := pool.Get(t.Context(), x.Started)
		if err != nil {
			t.Error(err)
			return
		}
		r.upgraded, r.failure = x.Forward(up, &message.Edits{})
		r.outcome = x.outcome
		r.toUpstream = upstream.sent.String()
		if r.upgraded {
			up.Close()
		}
	})
	_, idle := pool.Stats()
	r.reusable = idle == 1
	r.toClient = client.sent.String()
	return r
}

// describe puts an error into one line for a table.
func describe(err error) string {
	if p, ok := errors.AsType[*message.ProtocolError](err); ok {
		return kindNames[p.Kind] + ": " + p.Rule
	}
	if err == nil {
		return "accepted"
	}
	return err.Error()
}

var kindNames = map[message.ErrorKind]string{
	message.Malformed: "malformed", message.HeadTooLarge: "head", message.TargetTooLong: "target", message.BodyTooLarge: "body",
	message.UnsupportedVersion: "version", message.UnsupportedCoding: "coding", message.MethodRefused: "method",
}
