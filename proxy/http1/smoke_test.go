package http1

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

// startProxy runs the engine in both roles between a client and target.
func startProxy(t testing.TB, target string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	buffers := new(Buffers)
	server := NewServer(ServerOptions{Limits: limits.Default(), Buffers: buffers})
	pool := NewPool(PoolOptions{
		ClientOptions: ClientOptions{Limits: limits.Default(), Buffers: buffers},
		Dial: func(ctx context.Context) (Dialed, error) {
			var d net.Dialer
			nc, err := d.DialContext(ctx, "tcp", target)
			return Dialed{Conn: nc}, err
		},
	})
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				c := server.NewConn(nc)
				_ = c.Serve(func(x *Exchange) {
					if x.Err != nil {
						_ = x.Respond(400, nil, []byte(x.Err.Error()))
						return
					}
					up, err := pool.Get(context.Background(), x.Started)
					if err != nil {
						_ = x.Respond(502, nil, []byte(err.Error()))
						return
					}
					if _, f := x.Forward(up, &Edits{}); f != nil && f.Unsent {
						_ = x.Respond(502, nil, []byte(f.Error()))
					}
				})
			}()
		}
	}()
	t.Cleanup(func() { ln.Close(); pool.Close() })
	return ln.Addr().String()
}

func TestSmoke(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Trailer", "X-T")
		fmt.Fprintf(w, "%s %s %d %v", r.Method, r.URL, len(body), r.Trailer)
		w.Header().Set("X-T", "v")
	}))
	defer app.Close()
	addr := startProxy(t, app.Listener.Addr().String())
	for _, n := range []int{0, 10, 5000, 100000, 3000000} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = bytes.NewReader(bytes.Repeat([]byte("x"), n))
			if chunked {
				body = io.MultiReader(body)
			}
			res, err := http.Post("http://"+addr+"/a?b=c", "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || !strings.HasPrefix(string(got), fmt.Sprintf("POST /a?b=c %d", n)) || res.Trailer.Get("X-T") != "v" {
				t.Fatalf("n=%d chunked=%v: %q %v %v", n, chunked, got, err, res.Trailer)
			}
		}
	}
}

func BenchmarkRelay(b *testing.B) {
	app := rawApp(b)
	addr := startProxy(b, app)
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	req := []byte("GET /index.html?x=1 HTTP/1.1\r\nHost: payments.shop\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		nc.Write(req)
		n, err := nc.Read(buf)
		if err != nil || n < 1000 {
			b.Fatal(n, err)
		}
	}
}

func rawApp(b testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	res := []byte("HTTP/1.1 200 OK\r\nContent-Length: 1024\r\nContent-Type: text/plain\r\n\r\n" + strings.Repeat("x", 1024))
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				buf := make([]byte, 4096)
				for {
					if _, err := nc.Read(buf); err != nil {
						return
					}
					nc.Write(res)
				}
			}()
		}
	}()
	return ln.Addr().String()
}
