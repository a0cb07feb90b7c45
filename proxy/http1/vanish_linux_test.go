package http1

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// silentApp accepts one connection, reads a request, and never answers. What it
// sends on the channel is how its connection ended.
func silentApp(t *testing.T) (addr string, asked chan struct{}, ended chan error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	asked, ended = make(chan struct{}), make(chan error, 1)
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		if _, err := nc.Read(make([]byte, 4096)); err != nil {
			ended <- err
			return
		}
		close(asked)
		_, err = nc.Read(make([]byte, 1))
		ended <- err
	}()
	return ln.Addr().String(), asked, ended
}

func TestAClientThatWentAwayIsNotWorkedFor(t *testing.T) {
	addr, asked, ended := silentApp(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := testServer(limits.Default()).NewConn(accepted)
	pool := NewPool(PoolOptions{
		ClientOptions: ClientOptions{Limits: limits.Default(), Buffers: new(Buffers)},
		Dial: func(ctx context.Context) (Dialed, error) {
			var d net.Dialer
			nc, err := d.DialContext(ctx, "tcp", addr)
			return Dialed{Conn: nc}, err
		},
	})
	defer pool.Close()
	failure := make(chan *message.Failure, 1)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = c.Serve(func(x *Exchange) {
			up, err := pool.Get(t.Context(), x.Started)
			if err != nil {
				t.Error(err)
				x.Abort()
				return
			}
			_, f := x.Forward(up, &message.Edits{})
			failure <- f
		})
	}()
	if _, err := io.WriteString(client, get("")); err != nil {
		t.Fatal(err)
	}
	<-asked
	for range 10 {
		c.AbandonIfGone() // the client waits: nothing must happen
	}
	select {
	case f := <-failure:
		t.Fatalf("abandoned under a client that waits: %v", f)
	default:
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for waiting := true; waiting; <-tick.C {
		c.AbandonIfGone()
		select {
		case <-ended:
			waiting = false
		default:
		}
	}
	f := <-failure
	if f == nil || f.Side != message.ClientSide || !f.Unsent {
		t.Errorf("failure is %+v, want one of the client, unsent", f)
	}
	<-served
	if busy, idle := pool.Stats(); busy+idle != 0 {
		t.Errorf("%d connections in use and %d idle, want none", busy, idle)
	}
}
