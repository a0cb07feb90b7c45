package conformance_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/internal/testkit"
)

// A stream is an end of a TCP connection, or of TLS over one.
type stream interface {
	net.Conn
	CloseWrite() error
}

// A tcpCase is a conversation. Both halves run at the same time, each over its
// end of the connection, and both must come to an end.
type tcpCase struct {
	name           string
	server, client func(t *testing.T, c stream)
	// times is how many clients there are at once; 0 is one.
	times int
	// unheard: the client may be gone before the server hears of it.
	unheard bool
	// declared: only a port that is declared carries this. Where the protocol is
	// to be detected, a client that ends without a byte has nothing to be detected
	// by, and is let go; what resembles HTTP is refused.
	declared bool
}

// acceptAll serves every connection until the test ends, and then waits for
// those who serve.
func acceptAll(t *testing.T, handle func(stream)) (addr string) {
	t.Helper()
	ln := listen(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := ln.AcceptTCP()
			if err != nil {
				return // the test is over
			}
			serving.Go(func() {
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(patience))
				handle(nc)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	return ln.Addr().String()
}

func TestTCP(t *testing.T) {
	for _, mode := range []struct {
		name, protocol string
		connect        func(t *testing.T, app, protocol string) func() (stream, error)
	}{
		{"declared", "TCP", throughTwo},
		{"detected", "", throughTwo},
		{"a SPIFFE client without a sidecar", "TCP", throughOne},
	} {
		t.Run(mode.name, func(t *testing.T) {
			ran := 0
			for _, c := range tcpCases(t) {
				if c.declared && mode.protocol == "" {
					continue
				}
				ran++
				t.Run(c.name, func(t *testing.T) { c.run(t, mode.protocol, mode.connect) })
			}
			atLeast(t, "conversations over TCP", ran, 21)
		})
	}
}

// What another server might take for a request does not reach the application where
// nothing says that it is none: it would bring headers that only a sidecar may write.
func TestLookalikesOfHTTP(t *testing.T) {
	reached := make(chan string, 1)
	app := acceptAll(t, func(s stream) {
		if b, _ := io.ReadAll(s); len(b) > 0 {
			reached <- string(b)
		}
	})
	ways := map[string]func() (stream, error){"two sidecars": throughTwo(t, app, ""), "one": throughOne(t, app, "")}
	ran := 0
	for name, connect := range ways {
		for _, l := range lookalikes {
			s, err := connect()
			if err != nil {
				t.Fatal(err)
			}
			s.SetDeadline(time.Now().Add(patience))
			say(t, s, l.text)
			if b, _ := io.ReadAll(s); !bytes.HasPrefix(b, []byte("HTTP/1.1 ")) || bytes.HasPrefix(b, []byte("HTTP/1.1 2")) {
				t.Errorf("%s, through %s: %q", l.name, name, b)
			}
			s.Close()
			ran++
		}
	}
	atLeast(t, "lookalikes of HTTP", ran, 8)
	select {
	case b := <-reached:
		t.Errorf("the application was told %q", b)
	default:
	}
}

// atOnce bounds the conversations that are under way: each begins with a
// handshake, and a few hundred of them at once outlast the connect timeout on a
// starved machine.
const atOnce = 16

// run holds the conversation and waits until both halves are over: a sidecar
// that is stopped before has every right to cut them off.
func (c tcpCase) run(t *testing.T, protocol string, reach func(t *testing.T, app, protocol string) func() (stream, error)) {
	times := max(c.times, 1)
	var served counter
	app := acceptAll(t, func(s stream) {
		defer served.Add(1)
		c.server(t, s)
	})
	connect := reach(t, app, protocol)
	var clients sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for range times {
		places <- struct{}{}
		clients.Go(func() {
			defer func() { <-places }()
			s, err := connect()
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			s.SetDeadline(time.Now().Add(patience))
			c.client(t, s)
		})
	}
	clients.Wait()
	if !c.unheard {
		testkit.Eventually(t, "every connection was served to its end", func() bool { return int(served.Load()) == times })
	}
}

// throughTwo returns how a client reaches the application with two sidecars in
// between.
func throughTwo(t *testing.T, app, protocol string) func() (stream, error) {
	t.Helper()
	m := startMesh(t, meshOptions{App: app, Protocol: protocol, Calling: "  limits: {detectTimeout: 20ms}"})
	return func() (stream, error) {
		nc, err := net.Dial("tcp", m.Front)
		if err != nil {
			return nil, err
		}
		return nc.(*net.TCPConn), nil
	}
}

// throughOne is the same for a client that speaks mutual TLS itself.
func throughOne(t *testing.T, app, protocol string) func() (stream, error) {
	t.Helper()
	m := startInbound(t, meshOptions{App: app, Protocol: protocol})
	config := m.clientTLS(t, checkout)
	return func() (stream, error) {
		c, err := tls.Dial("tcp", m.Port, config)
		if err != nil {
			return nil, fmt.Errorf("mutual TLS: %w", err)
		}
		return c, nil
	}
}
