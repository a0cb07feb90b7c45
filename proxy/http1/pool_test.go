package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// oneThenCloses answers its first request and ends the connection at the second:
// in order, or by a reset.
func oneThenCloses(reset bool) func(*memnet.Conn, *bufio.Reader) {
	return func(nc *memnet.Conn, br *bufio.Reader) {
		if readHead(br) != nil {
			return
		}
		_, _ = io.WriteString(nc, status("HTTP/1.1 200 OK"))
		_ = readHead(br)
		if reset {
			_ = nc.SetLinger(0)
		}
	}
}

func TestAStaleConnectionIsRetriedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		reset   bool
		mesh    bool // CleanCloseMeansUnprocessed
		retried bool
	}{
		"GET at an end":                              {get(""), false, false, true},
		"GET at a reset":                             {get(""), true, false, true},
		"PUT with a body that is there":              {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", false, false, true},
		"PUT with chunks, which are gone":            {"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false, false, false},
		"POST at an end":                             {post("Content-Length: 0\r\n", ""), false, false, false},
		"POST at a reset":                            {post("Content-Length: 0\r\n", ""), true, false, false},
		"PATCH at an end":                            {line("PATCH / HTTP/1.1"), false, false, false},
		"a method in lower case, which is another":   {line("get / HTTP/1.1"), false, false, false},
		"POST at an end of one of us":                {post("Content-Length: 5\r\n", "hello"), false, true, true},
		"POST at a reset of one of us":               {post("Content-Length: 0\r\n", ""), true, true, false},
		"GET at a reset of one of us":                {get(""), true, true, true},
		"POST with chunks at an end of one of us":    {chunks("5\r\nhello\r\n0\r\n\r\n"), false, true, false},
		"POST with no chunks at an end of one of us": {chunks("0\r\n\r\n"), false, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, oneThenCloses(c.reset), func(t *testing.T, r *rig) {
				r.dialed.CleanCloseMeansUnprocessed = c.mesh
				client, _ := r.connect()
				br := bufio.NewReader(client)
				say(t, client, get(""))
				want(t, br, 200, "")
				say(t, client, c.request)
				res, _, err := hear(br, "")
				if err != nil {
					t.Fatal(err)
				}
				if c.retried != (res.StatusCode == 200) || c.retried != (r.dialCount() == 2) {
					t.Errorf("answer %d with %d connections, want a retry: %v", res.StatusCode, r.dialCount(), c.retried)
				}
				client.Close()
			})
		})
	}
}

func TestANewConnectionIsNotRetried(t *testing.T) {
	app := func(_ *memnet.Conn, br *bufio.Reader) { _ = readHead(br) }
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		say(t, client, get(""))
		want(t, bufio.NewReader(client), 502, "EOF")
		if r.dialCount() != 1 {
			t.Errorf("%d connections, want 1", r.dialCount())
		}
		client.Close()
	})
}

func TestAnAnswerThatBeganIsNotRetried(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		oneThenCloses(false)(nc, br)
		_, _ = io.WriteString(nc, "H")
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		say(t, client, get(""))
		want(t, br, 200, "")
		say(t, client, get(""))
		want(t, br, 502, message.ErrUnexpectedEnd.Error())
		client.Close()
	})
}

func TestBytesBehindAnAnswerPoisonNothing(t *testing.T) {
	app := func(nc *memnet.Conn, br *bufio.Reader) {
		for readHead(br) == nil {
			_, _ = io.WriteString(nc, ok("Content-Length: 4\r\n", "good")+ok("Content-Length: 4\r\n", "evil"))
		}
	}
	inBubble(t, app, func(t *testing.T, r *rig) {
		client, _ := r.connect()
		br := bufio.NewReader(client)
		for range 3 {
			say(t, client, get(""))
			want(t, br, 200, "good")
		}
		if r.dialCount() != 3 {
			t.Errorf("%d connections, want one for each request", r.dialCount())
		}
		client.Close()
	})
}

// tcpPool hands out connections to a listener, whose ends come over accepted.
func tcpPool(t *testing.T, l limits.Limits) (p *Pool, accepted chan net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted = make(chan net.Conn, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- nc
		}
	}()
	p = NewPool(PoolOptions{
		ClientOptions: ClientOptions{Limits: l, Buffers: new(Buffers)},
		Dial: func(ctx context.Context) (Dialed, error) {
			nc, err := new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
			return Dialed{Conn: nc}, err
		},
	})
	t.Cleanup(func() {
		p.Close()
		ln.Close()
		<-done
		close(accepted)
		for nc := range accepted {
			nc.Close()
		}
	})
	return p, accepted
}

// eventually polls what a kernel does in its own time.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.NewTicker(time.Millisecond); !cond(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// An idle connection that can be read from has ended, or lies.
func TestAnIdleConnectionThatCanBeReadIsNotUsed(t *testing.T) {
	for name, disturb := range map[string]func(net.Conn){
		"an end":  func(nc net.Conn) { nc.Close() },
		"a reset": func(nc net.Conn) { _ = nc.(*net.TCPConn).SetLinger(0); nc.Close() },
		"a byte":  func(nc net.Conn) { _, _ = nc.Write([]byte("H")) },
	} {
		t.Run(name, func(t *testing.T) {
			p, accepted := tcpPool(t, limits.Default())
			first, err := p.Get(t.Context(), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			theirs := <-accepted
			defer theirs.Close()
			first.Release(true)
			second, err := p.Get(t.Context(), time.Now())
			if err != nil || second != first || !second.Reused() {
				t.Fatalf("a quiet connection is not used again: %v", err)
			}
			second.Release(true)
			disturb(theirs)
			eventually(t, "the disturbance is not seen", func() bool {
				p.Sweep(time.Now())
				_, idle := p.Stats()
				return idle == 0
			})
			third, err := p.Get(t.Context(), time.Now())
			if err != nil || third == first || third.Reused() {
				t.Errorf("a connection that can be read was used again: %v", err)
			}
			third.Release(false)
		})
	}
}

func TestPoolBounds(t *testing.T) {
	l := limits.Default()
	l.UpstreamConnections, l.UpstreamIdle = 3, 1
	r := newRig(t, l, func(_ *memnet.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })
	defer r.close()
	var all []*ClientConn
	for range 3 {
		c, err := r.pool.Get(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if _, err := r.pool.Get(t.Context(), time.Now()); !errors.Is(err, message.ErrUpstreamLimit) {
		t.Errorf("the fourth connection: %v", err)
	}
	if _, err := r.pool.Fresh(t.Context()); !errors.Is(err, message.ErrUpstreamLimit) {
		t.Errorf("a fresh connection over the limit: %v", err)
	}
	for _, c := range all {
		c.Release(true)
	}
	if busy, idle := r.pool.Stats(); busy != 0 || idle != 1 {
		t.Errorf("%d busy and %d idle, want 0 and 1", busy, idle)
	}
	c, err := r.pool.Fresh(t.Context())
	if err != nil || c.Reused() {
		t.Errorf("Fresh gave a used connection: %v", err)
	}
	c.Release(false)
	c.Close() // may be called again
	r.pool.Close()
	r.pool.Close()
	if _, err := r.pool.Get(t.Context(), time.Now()); !errors.Is(err, message.ErrPoolClosed) {
		t.Errorf("a closed pool: %v", err)
	}
}

func TestADialThatFailsFreesItsPlace(t *testing.T) {
	l := limits.Default()
	l.UpstreamConnections = 1
	p := poolOf(t, l)
	for range 3 {
		if _, err := p.Get(t.Context(), time.Now()); !errors.Is(err, errNoMore) {
			t.Errorf("the error of the dialer: %v", err)
		}
	}
}

func TestIdleConnectionsAreSweptAndRetired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limits.Default()
		r := newRig(t, l, func(_ *memnet.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })
		defer r.close()
		c, err := r.pool.Get(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		c.Release(true)
		r.pool.Sweep(time.Now().Add(l.UpstreamIdleTimeout))
		if _, idle := r.pool.Stats(); idle != 1 {
			t.Error("swept too early")
		}
		r.pool.Sweep(time.Now().Add(l.UpstreamIdleTimeout + 1))
		if busy, idle := r.pool.Stats(); busy+idle != 0 {
			t.Errorf("%d busy and %d idle after the sweep", busy, idle)
		}

		r.dialed.RetireAt = time.Now().Add(time.Second)
		if c, err = r.pool.Get(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		c.Release(true)
		again, err := r.pool.Get(t.Context(), time.Now().Add(time.Second))
		if err != nil || again != c {
			t.Errorf("retired too early: %v", err)
		}
		again.Release(true)
		next, err := r.pool.Get(t.Context(), time.Now().Add(time.Second+1))
		if err != nil || next == c {
			t.Errorf("used after its retirement: %v", err)
		}
		next.Release(false)
	})
}

func TestCloseIfEndsIdleAndBusyConnections(t *testing.T) {
	r := newRig(t, limits.Default(), func(_ *memnet.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })
	defer r.close()
	var conns []*ClientConn
	for range 3 {
		c, err := r.pool.Get(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	conns[0].Release(true)
	spared := conns[2].NetConn()
	r.pool.CloseIf(func(nc net.Conn) bool { return nc != spared })
	if busy, idle := r.pool.Stats(); busy != 1 || idle != 0 {
		t.Errorf("%d busy and %d idle, want 1 and 0", busy, idle)
	}
	conns[1].Release(true) // its exchange may not have noticed
	if busy, idle := r.pool.Stats(); busy != 1 || idle != 0 {
		t.Errorf("%d busy and %d idle after the release of a closed one, want 1 and 0", busy, idle)
	}
	conns[2].Release(true)
}

// endsWithIt reads like TLS: the end comes with the last bytes.
type endsWithIt struct{ *scriptConn }

func (c endsWithIt) Read(p []byte) (int, error) {
	n, err := c.scriptConn.Read(p)
	if len(c.segments) == 0 || len(c.segments[0]) == 0 {
		err = io.EOF
	}
	return n, err
}

func TestAnEndThatComesWithTheAnswerIsNotReused(t *testing.T) {
	upstream := endsWithIt{&scriptConn{segments: whole(status("HTTP/1.1 200 OK"))}}
	pool := poolOf(t, limits.Default(), upstream)
	client := &scriptConn{segments: whole(get(""))}
	_ = testServer(limits.Default()).NewConn(client).Serve(func(x *Exchange) {
		up, err := pool.Get(t.Context(), x.Started)
		if err != nil {
			t.Error(err)
			return
		}
		if _, f := x.Forward(up, &message.Edits{}); f != nil {
			t.Error(f)
		}
	})
	if !strings.HasPrefix(client.sent.String(), "HTTP/1.1 200 OK") {
		t.Errorf("the client got %q", client.sent.String())
	}
	if busy, idle := pool.Stats(); busy != 0 || idle != 0 {
		t.Errorf("%d busy and %d idle, want none", busy, idle)
	}
}
