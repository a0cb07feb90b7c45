package target

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// accepting serves raw connections, one after the other, until the test ends.
func accepting(t *testing.T, serve func(conn net.Conn)) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serve(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String()
}

// Ctrl-C ends a call to a server that says nothing, long before its timeout; and
// what calls in another context afterwards has a connection of its own.
func TestTheEndOfAContextEndsACall(t *testing.T) {
	for _, c := range []struct{ scheme, answer string }{
		{"http", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"tcp", "ping"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		conns := 0
		address := accepting(t, func(conn net.Conn) {
			if conns++; conns == 2 {
				conn.Read(make([]byte, 1000))
				io.WriteString(conn, c.answer)
				return
			}
			for requests := 0; ; requests++ {
				if _, err := conn.Read(make([]byte, 1000)); err != nil {
					return
				}
				if requests == 0 {
					io.WriteString(conn, c.answer)
					continue
				}
				cancel() // and no answer
			}
		})
		o := Options{URL: c.scheme + "://" + address, Body: []byte("ping")}
		if c.scheme == "tcp" {
			o.Protocol = TCP
		}
		to, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		caller, err := to.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer caller.Close()
		if _, err := caller.Call(ctx); err != nil {
			t.Errorf("%s: the first call: %v", c.scheme, err)
		}
		_, err = caller.Call(ctx)
		if f, ok := errors.AsType[*Failure](err); !ok || f.Kind != Canceled {
			t.Errorf("%s: the call that nobody answers: %v", c.scheme, err)
		}
		if _, err := caller.Call(t.Context()); err != nil {
			t.Errorf("%s: a call after it: %v", c.scheme, err)
		}
	}
}

// A connection that ended with a context between two calls is not used again.
func TestAConnectionOfAnEndedContextIsReplaced(t *testing.T) {
	s := serveHTTP(t, false)
	to, err := New(Options{URL: s.url})
	if err != nil {
		t.Fatal(err)
	}
	caller, err := to.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	const blocks = 3
	for range blocks {
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 {
			if _, err := caller.Call(ctx); err != nil {
				t.Error(err)
			}
		}
		cancel()
	}
	if got := s.conns.Load(); got != blocks {
		t.Errorf("%d connections for %d contexts that ended", got, blocks)
	}
}

// A head without end is refused long before it fills the memory.
func TestAHeadWithoutEndIsRefused(t *testing.T) {
	for name, line := range map[string]string{
		"one line":        strings.Repeat("x", 4096),
		"many fields":     "X-Field: " + strings.Repeat("x", 4000) + "\r\n",
		"interim answers": "\r\nHTTP/1.1 102 Processing\r\n",
	} {
		address := accepting(t, func(conn net.Conn) {
			conn.Read(make([]byte, 1000))
			for _, err := io.WriteString(conn, "HTTP/1.1 102 Processing\r\n"); err == nil; {
				_, err = io.WriteString(conn, line)
			}
		})
		to, err := New(Options{URL: "http://" + address})
		if err != nil {
			t.Fatal(err)
		}
		caller, err := to.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = caller.Call(t.Context())
		caller.Close()
		if f, ok := errors.AsType[*Failure](err); !ok || f.Kind != Malformed {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}
