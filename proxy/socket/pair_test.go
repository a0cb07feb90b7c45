package socket_test

import (
	"net"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/proxy/socket"
)

// pair is a TCP connection over loopback: ours, as of wrap, and the other end.
type pair struct {
	ours  net.Conn
	other *net.TCPConn
}

// plain is what a wrapped connection is compared with.
func plain(nc net.Conn) net.Conn { return nc }

var wraps = []struct {
	name string
	wrap func(net.Conn) net.Conn
}{{"package net", plain}, {"wrapped", socket.Wrap}}

func newPair(t testing.TB, wrap func(net.Conn) net.Conn) pair {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := pair{ours: wrap(accepted), other: dialed.(*net.TCPConn)}
	t.Cleanup(func() {
		_ = p.ours.Close()
		_ = p.other.Close()
	})
	guard := time.Now().Add(time.Minute) // so that a bug fails instead of hanging
	for _, nc := range []net.Conn{p.ours, p.other} {
		if err := nc.SetDeadline(guard); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// smallBuffers makes the socket full soon.
func (p pair) smallBuffers(t testing.TB) {
	t.Helper()
	ours, ok := p.ours.(interface{ SetWriteBuffer(bytes int) error })
	if !ok {
		t.Fatalf("%T has no SetWriteBuffer", p.ours)
	}
	if err := ours.SetWriteBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	if err := p.other.SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
}
