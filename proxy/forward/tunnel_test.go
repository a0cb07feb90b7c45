package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/hop"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

const patience = 30 * time.Second

// ends is a tunnel under way: the client and the server talk, ours lie between.
type ends struct {
	client, server net.Conn
	flow           flow.Connection
	done           chan struct{}
}

// loopback returns the two ends of a TCP connection.
func loopback(t *testing.T) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, nc := range []net.Conn{a, b} {
		t.Cleanup(func() { _ = nc.Close() })
		if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	return a, b
}

func tunnelled(t *testing.T, idle time.Duration) *ends {
	t.Helper()
	client, fromClient := loopback(t)
	toServer, server := loopback(t)
	e := &ends{client: client, server: server}
	e.run(t, fromClient, toServer, idle)
	return e
}

func (e *ends) run(t *testing.T, client, up net.Conn, idle time.Duration) {
	e.done = make(chan struct{})
	f := &Forwarder{TCPIdleTimeout: idle}
	go func() {
		defer close(e.done)
		f.TCP(&e.flow, client, up)
	}()
	t.Cleanup(func() {
		_ = e.client.Close()
		_ = e.server.Close()
		<-e.done
	})
}

func closeWriteOf(t *testing.T, nc net.Conn) {
	t.Helper()
	if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
}

func send(t *testing.T, nc net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(nc, text); err != nil {
		t.Errorf("sending %.20q: %v", text, err)
	}
}

func expect(t *testing.T, nc net.Conn, text string) {
	t.Helper()
	b := make([]byte, len(text))
	if n, err := io.ReadFull(nc, b); err != nil || string(b) != text {
		t.Errorf("received %.20q, %v; want %.20q", b[:n], err, text)
	}
}

func expectEnd(t *testing.T, nc net.Conn) {
	t.Helper()
	if n, err := nc.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d, %v; want an orderly end", n, err)
	}
}

func (e *ends) check(t *testing.T, reason flow.Reason, received, sent int64) {
	t.Helper()
	<-e.done
	if e.flow.Refusal.Reason != reason {
		t.Errorf("refusal %+v, want %v", e.flow.Refusal, reason)
	}
	if e.flow.Received != received || e.flow.Sent != sent {
		t.Errorf("%d bytes received and %d sent, want %d and %d", e.flow.Received, e.flow.Sent, received, sent)
	}
}

func TestEitherEndMayEndItsSideFirst(t *testing.T) {
	for _, clientFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("client first: %t", clientFirst), func(t *testing.T) {
			e := tunnelled(t, time.Minute)
			first, second := e.client, e.server
			if !clientFirst {
				first, second = e.server, e.client
			}
			send(t, first, "question")
			closeWriteOf(t, first)
			expect(t, second, "question")
			expectEnd(t, second)
			send(t, second, "a long answer") // after the end of the other direction
			expect(t, first, "a long answer")
			closeWriteOf(t, second)
			expectEnd(t, first)
			if clientFirst {
				e.check(t, flow.None, 8, 13)
			} else {
				e.check(t, flow.None, 13, 8)
			}
		})
	}
}

func TestMuchTrafficBothWays(t *testing.T) {
	e := tunnelled(t, time.Minute)
	data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
	var wg sync.WaitGroup
	for _, ends := range [][2]net.Conn{{e.client, e.server}, {e.server, e.client}} {
		wg.Go(func() {
			send(t, ends[0], string(data))
			closeWriteOf(t, ends[0])
		})
		wg.Go(func() {
			got, err := io.ReadAll(ends[1])
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("received %d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	e.check(t, flow.None, 1<<20, 1<<20)
}

// reset ends a connection as a crash does.
func reset(nc net.Conn) {
	_ = nc.(*net.TCPConn).SetLinger(0)
	_ = nc.Close()
}

func TestAResetIsPassedOnAsOne(t *testing.T) {
	for _, c := range []struct {
		name      string
		of, other func(*ends) net.Conn
		reason    flow.Reason
	}{
		{"the client resets", (*ends).clientEnd, (*ends).serverEnd, flow.ClientClosed},
		{"the server resets", (*ends).serverEnd, (*ends).clientEnd, flow.UpstreamClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := tunnelled(t, time.Minute)
			send(t, c.of(e), "half")
			expect(t, c.other(e), "half")
			reset(c.of(e))
			if n, err := c.other(e).Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the other end reads %d, %v; a stream that was cut off must not look complete", n, err)
			}
			<-e.done
			if e.flow.Refusal.Reason != c.reason {
				t.Errorf("refusal %+v, want %v", e.flow.Refusal, c.reason)
			}
		})
	}
}

func (e *ends) clientEnd() net.Conn { return e.client }
func (e *ends) serverEnd() net.Conn { return e.server }

// mesh returns a hop over TCP and its two TCP ends.
func mesh(t *testing.T) (client, server *hop.Conn) {
	t.Helper()
	ca := identitytest.NewCA(t, "example.org")
	a, b := ca.Source(t, "spiffe://example.org/a"), ca.Source(t, "spiffe://example.org/b")
	expected, err := mtls.NewExpected(b.ID())
	if err != nil {
		t.Fatal(err)
	}
	x, y := loopback(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		var err error
		server, err = hop.Accept(ctx, y, b, mtls.ServerConfig(b, mtls.ServerOptions{NextProtos: hop.ServerProtocols()}))
		done <- err
	}()
	client, err = hop.Dial(ctx, x, a, mtls.ClientConfig(a, mtls.ClientOptions{
		Expected: expected, NextProtos: hop.ClientProtocols(flow.TCP),
	}))
	if err = errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestHalfCloseOverTLS(t *testing.T) {
	client, fromClient := loopback(t)
	up, server := mesh(t)
	e := &ends{client: client, server: server}
	e.run(t, fromClient, up, time.Minute)
	send(t, client, "question")
	closeWriteOf(t, client)
	expect(t, server, "question")
	expectEnd(t, server) // close_notify
	send(t, server, "answer")
	closeWriteOf(t, server)
	expect(t, client, "answer")
	expectEnd(t, client)
	e.check(t, flow.None, 8, 6)
}

// RFC 8446 §6.1: close_notify says that a stream is complete.
func TestAStreamThatWasCutOffGetsNoCloseNotify(t *testing.T) {
	client, fromClient := loopback(t)
	up, server := mesh(t)
	e := &ends{client: client, server: server}
	e.run(t, fromClient, up, time.Minute)
	send(t, client, "half")
	expect(t, server, "half")
	reset(client)
	_, err := server.Read(make([]byte, 1))
	if err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the server reads %v, which looks like a goodbye", err)
	}
	e.check(t, flow.ClientClosed, 4, 0)
}

// piped is a tunnel in fake time. Pipes know no half-close and no reset.
func piped(idle time.Duration) *ends {
	client, fromClient := net.Pipe()
	toServer, server := net.Pipe()
	e := &ends{client: client, server: server, done: make(chan struct{})}
	f := &Forwarder{TCPIdleTimeout: idle}
	go func() {
		defer close(e.done)
		f.TCP(&e.flow, fromClient, toServer)
	}()
	return e
}

// A tunnel of which one direction is silent is not idle.
func TestATunnelIsIdleOnlyIfBothDirectionsAre(t *testing.T) {
	const idle = time.Minute
	for _, c := range []struct {
		name     string
		from, to func(*ends) net.Conn
	}{
		{"the client is silent", (*ends).serverEnd, (*ends).clientEnd},
		{"the server is silent", (*ends).clientEnd, (*ends).serverEnd},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := piped(idle)
				for range 50 { // almost as long as both may be silent, each time
					time.Sleep(idle - time.Second) //nolint:forbidigo // fake time
					send(t, c.from(e), "x")
					expect(t, c.to(e), "x")
				}
				start := time.Now()
				<-e.done // now both are silent
				if took := time.Since(start); took != idle {
					t.Errorf("it was idle for %v", took) // fake time
				}
				if r := e.flow.Refusal; r.Reason != flow.RequestTimeout && r.Reason != flow.UpstreamTimeout || !strings.Contains(r.Detail, "idle") {
					t.Errorf("refusal %+v", r)
				}
				if e.flow.Sent+e.flow.Received != 50 {
					t.Errorf("%d bytes were sent and %d received", e.flow.Sent, e.flow.Received)
				}
				expectEnd(t, e.client)
				expectEnd(t, e.server)
			})
		})
	}
}

func TestAnEndThatTakesNothingIsToBlame(t *testing.T) {
	for _, c := range []struct {
		name   string
		from   func(*ends) net.Conn
		reason flow.Reason
	}{
		{"the server", (*ends).clientEnd, flow.UpstreamTimeout},
		{"the client", (*ends).serverEnd, flow.RequestTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := piped(time.Minute)
				time.Sleep(59 * time.Second) //nolint:forbidigo // fake time; it is idle too, but that comes later
				if _, err := c.from(e).Write([]byte("x")); err != nil {
					t.Error(err)
				}
				time.Sleep(30 * time.Second) //nolint:forbidigo // fake time
				go func() {
					_, _ = c.from(e).Write([]byte("y")) // is not taken: the tunnel waits for the other end
				}()
				<-e.done
				if r := e.flow.Refusal; r.Reason != c.reason {
					t.Errorf("refusal %+v, want %v", r, c.reason)
				}
			})
		})
	}
}

func TestWhatWasReadAheadGoesFirst(t *testing.T) {
	client, fromClient := loopback(t)
	toServer, server := loopback(t)
	tu := newTunnel(fromClient, toServer)
	tu.toUp.ahead, tu.toClient.ahead = []byte("early "), []byte("eager ")
	done := make(chan [2]int64, 1)
	go func() {
		received, sent := tu.run(time.Minute)
		done <- [2]int64{received, sent}
	}()
	send(t, client, "bird")
	send(t, server, "beaver")
	expect(t, server, "early bird")
	expect(t, client, "eager beaver")
	closeWriteOf(t, client)
	closeWriteOf(t, server)
	if got := <-done; got != [2]int64{10, 12} {
		t.Errorf("counted %v", got)
	}
	if r := tu.refusal(); r != (flow.Refusal{}) {
		t.Errorf("refusal %+v", r)
	}
}

// Abort of the tracked connection, as after a policy change, ends both ends.
func TestAnAbortFromOutsideEndsTheTunnel(t *testing.T) {
	client, fromClient := loopback(t)
	toServer, server := loopback(t)
	e := &ends{client: client, server: server}
	e.run(t, fromClient, toServer, time.Minute)
	send(t, client, "x")
	expect(t, server, "x")
	socket.Abort(fromClient)
	for _, nc := range []net.Conn{client, server} {
		if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("an end reads %v", err)
		}
	}
	e.check(t, flow.None, 1, 0) // whoever aborted says why
}

// one is a connection without half-close.
type one struct{ net.Conn }

func TestAnEndThatCannotBeHalfClosedIsClosed(t *testing.T) {
	a, b := net.Pipe()
	closeWrite(one{a})
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the other end reads %v", err)
	}
	c, d := net.Pipe()
	closeWrite(unsupported{c})
	if _, err := d.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the other end reads %v", err)
	}
}

type unsupported struct{ net.Conn }

func (unsupported) CloseWrite() error { return errors.ErrUnsupported }
