package http1

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
)

// benchRequest and benchResponse are small and plain: what is measured is the
// engine and the system calls.
var (
	benchRequest  = []byte("GET /index.html?x=1 HTTP/1.1\r\nHost: payments.shop\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	benchBody     = []byte("POST /index.html?x=1 HTTP/1.1\r\nHost: payments.shop\r\nContent-Length: 5\r\n\r\nhello")
	benchChunked  = []byte("POST /index.html?x=1 HTTP/1.1\r\nHost: payments.shop\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	benchResponse = []byte("HTTP/1.1 200 OK\r\nContent-Length: 1024\r\nContent-Type: text/plain\r\n\r\n" + strings.Repeat("x", 1024))
)

// loopback runs the engine between a client and an application that answers
// every read with the same bytes, over TCP. wrap, if not nil, is applied to both
// connections of the engine.
func loopback(t testing.TB, wrap func(net.Conn) net.Conn) (client net.Conn) {
	var wg sync.WaitGroup
	listen := func(serve func(net.Conn)) (addr string) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			nc, err := ln.Accept()
			ln.Close()
			if err == nil {
				defer nc.Close()
				serve(nc)
			}
		})
		return ln.Addr().String()
	}
	app := listen(answerAlways)
	pool, server := enginesTo(app, wrap)
	proxy := listen(func(nc net.Conn) {
		if wrap != nil {
			nc = wrap(nc)
		}
		_ = server.NewConn(nc).Serve(func(x *Exchange) { relayTo(t.Context(), pool, x) })
	})
	client, err := new(net.Dialer).DialContext(t.Context(), "tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		pool.Close()
		wg.Wait()
	})
	return client
}

func answerAlways(nc net.Conn) {
	buf := make([]byte, 4096)
	for {
		if _, err := nc.Read(buf); err != nil {
			return
		}
		if _, err := nc.Write(benchResponse); err != nil {
			return
		}
	}
}

func enginesTo(app string, wrap func(net.Conn) net.Conn) (*Pool, *Server) {
	buffers := new(Buffers)
	pool := NewPool(PoolOptions{
		ClientOptions: ClientOptions{Limits: limits.Default(), Buffers: buffers},
		Dial: func(ctx context.Context) (Dialed, error) {
			nc, err := new(net.Dialer).DialContext(ctx, "tcp", app)
			if wrap != nil && err == nil {
				nc = wrap(nc)
			}
			return Dialed{Conn: nc}, err
		},
	})
	return pool, NewServer(ServerOptions{Limits: limits.Default(), Buffers: buffers})
}

// noEdits is shared by all exchanges, as it would be by a stage without any.
var noEdits = new(message.Edits)

func relayTo(ctx context.Context, pool *Pool, x *Exchange) {
	up, err := pool.Get(ctx, x.Started)
	if err != nil {
		x.Abort()
		return
	}
	if _, f := x.Forward(up, noEdits); f != nil {
		x.Abort()
	}
}

// roundTrip sends one request and reads one answer.
func roundTrip(t testing.TB, client net.Conn, request, buf []byte) {
	if _, err := client.Write(request); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(benchResponse); {
		m, err := client.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
}

func BenchmarkRelay(b *testing.B) {
	for name, request := range map[string][]byte{"head": benchRequest, "body": benchBody, "chunked": benchChunked} {
		b.Run(name, func(b *testing.B) {
			client := loopback(b, nil)
			buf := make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				roundTrip(b, client, request, buf)
			}
		})
	}
}

func BenchmarkParseRequest(b *testing.B) {
	raw := []byte("GET /v1/charges?limit=10 HTTP/1.1\r\nHost: payments.shop.svc.cluster.local:8080\r\n" +
		"User-Agent: Go-http-client/1.1\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n" +
		"Authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n" +
		"X-Request-Id: 8e1c4f0a-55f1-4f64-a0a5-3f0a2e8d2f1b\r\n\r\n")
	var scan lineScanner
	var r Request
	rules := requestRules{targetBytes: 8192}
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		scan.reset()
		if n, err := scan.scan(raw, 100); n == 0 || err != nil {
			b.Fatal(n, err)
		}
		if err := r.parse(raw, scan.ends, rules); err != nil {
			b.Fatal(err)
		}
	}
}
