package target

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/loadtest/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a server of a test.
type served struct {
	url   string
	tls   *tls.Config
	conns atomic.Int64 // accepted
}

// answer is what the HTTP servers do: it echoes what came.
func answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch r.URL.Path {
	case "/teapot":
		w.WriteHeader(http.StatusTeapot)
	case "/hang":
		<-r.Context().Done()
		return
	case "/cut":
		panic(http.ErrAbortHandler)
	case "/close":
		w.Header().Set("Connection", "close")
	}
	fmt.Fprintf(w, "%s %s %s %q %q %s", r.Method, r.URL.RequestURI(), r.Host, r.Header.Get("X-Test"), body, r.Proto)
}

func serveHTTP(t *testing.T, secure bool) *served {
	t.Helper()
	s := new(served)
	server := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	server.Config.ErrorLog = nil
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetHTTP2(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	if secure {
		server.EnableHTTP2 = true
		server.StartTLS()
		s.tls = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// serveSPIFFE speaks HTTP/1.1 and HTTP/2 over mutual TLS.
func serveSPIFFE(t *testing.T) *served {
	t.Helper()
	ca := identitytest.NewCA(t, "example.org")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:   http.HandlerFunc(answer),
		TLSConfig: mtls.ServerConfig(ca.Source(t, "spiffe://example.org/server"), mtls.ServerOptions{NextProtos: []string{"h2", "http/1.1"}}),
	}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(ln, "", "") }()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	expected, err := mtls.NewExpected(identitytest.ID(t, "spiffe://example.org/server"))
	if err != nil {
		t.Fatal(err)
	}
	return &served{
		url: "https://" + ln.Addr().String(),
		tls: mtls.ClientConfig(ca.Source(t, "spiffe://example.org/client"), mtls.ClientOptions{Expected: expected}),
	}
}

func serveHTTP3(t *testing.T) *served {
	t.Helper()
	web := serveHTTP(t, true) // for its certificate
	cert := httptest.NewTLSServer(nil)
	defer cert.Close()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	server := &http3.Server{Handler: http.HandlerFunc(answer), TLSConfig: http3.ConfigureTLSConfig(cert.TLS)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(udp) }()
	t.Cleanup(func() {
		server.Close()
		<-done
		udp.Close()
	})
	return &served{url: "https://" + udp.LocalAddr().String(), tls: web.tls}
}

func serveGRPC(t *testing.T) *served {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.WaitForHandlers(true))
	h := health.NewServer()
	h.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, h)
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return &served{url: "http://" + ln.Addr().String()}
}

func serveEcho(t *testing.T) *served {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- app.New().Echo(ln) }()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return &served{url: "tcp://" + ln.Addr().String()}
}

// call makes a target and one caller, and calls n times.
func call(t *testing.T, s *served, o Options, n int) (Answer, error) {
	t.Helper()
	o.URL, o.TLS = s.url+o.URL, s.tls
	target, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := target.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var a Answer
	for range n {
		if a, err = c.Call(t.Context()); err != nil {
			return a, err
		}
	}
	return a, nil
}

func TestEveryProtocolOverEverySecurity(t *testing.T) {
	plain, secure, spiffe, quic := serveHTTP(t, false), serveHTTP(t, true), serveSPIFFE(t), serveHTTP3(t)
	rpc, echo := serveGRPC(t), serveEcho(t)
	header := []Field{{"X-Test", "yes"}}
	cases := []struct {
		name  string
		at    *served
		opts  Options
		proto string // what the server must have seen
	}{
		{"HTTP/1.1", plain, Options{URL: "/a?b=c", Header: header}, "HTTP/1.1"},
		{"HTTP/1.1 over TLS", secure, Options{URL: "/a?b=c", Header: header}, "HTTP/1.1"},
		{"HTTP/1.1 over mutual TLS", spiffe, Options{URL: "/a?b=c", Header: header}, "HTTP/1.1"},
		{"HTTP/2", plain, Options{URL: "/a?b=c", Protocol: HTTP2, Header: header}, "HTTP/2.0"},
		{"HTTP/2 over TLS", secure, Options{URL: "/a?b=c", Protocol: HTTP2, Header: header}, "HTTP/2.0"},
		{"HTTP/2 over mutual TLS", spiffe, Options{URL: "/a?b=c", Protocol: HTTP2, Header: header}, "HTTP/2.0"},
		{"HTTP/3", quic, Options{URL: "/a?b=c", Protocol: HTTP3, Header: header}, "HTTP/3.0"},
	}
	for _, c := range cases {
		for _, body := range []string{"", "hello"} {
			t.Run(c.name+" "+body, func(t *testing.T) {
				o := c.opts
				o.Body, o.Host = []byte(body), "payments"
				got, err := call(t, c.at, o, 3)
				if err != nil {
					t.Fatal(err)
				}
				method := "GET"
				if body != "" {
					method = "POST"
				}
				want := len(fmt.Sprintf("%s /a?b=c payments %q %q %s", method, "yes", body, c.proto))
				if got.Status != 200 || got.Bytes != int64(want) {
					t.Errorf("%+v, want %d bytes", got, want)
				}
			})
		}
	}
	t.Run("gRPC", func(t *testing.T) {
		if got, err := call(t, rpc, Options{URL: "/grpc.health.v1.Health/Check", Protocol: GRPC}, 3); err != nil || got.Bytes == 0 {
			t.Errorf("%+v, %v", got, err)
		}
		_, err := call(t, rpc, Options{URL: "/grpc.health.v1.Health/Nothing", Protocol: GRPC}, 1)
		if f, ok := errors.AsType[*Failure](err); !ok || f.Kind != Status || !strings.Contains(err.Error(), "grpc-status 12") {
			t.Errorf("a method that nobody has: %v", err)
		}
	})
	t.Run("TCP", func(t *testing.T) {
		if got, err := call(t, echo, Options{Protocol: TCP, Body: bytes.Repeat([]byte("abc"), 10_000)}, 3); err != nil || got.Bytes != 30_000 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestFailuresAreSorted(t *testing.T) {
	plain := serveHTTP(t, false)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	for _, p := range []Protocol{HTTP1, HTTP2} {
		for _, c := range []struct {
			path string
			kind Kind
		}{
			{"/teapot", Status},
			{"/hang", Timeout},
			{"/cut", Closed},
		} {
			_, err := call(t, plain, Options{URL: c.path, Protocol: p, Timeout: 300 * time.Millisecond}, 1)
			f, ok := errors.AsType[*Failure](err)
			if p == HTTP2 && c.kind == Closed {
				// Only its stream is reset, of which the client says no more
				// than that it is an error of the protocol.
				c.kind = Malformed
			}
			if !ok || f.Kind != c.kind {
				t.Errorf("%s %s: %v, want %s", p, c.path, err, c.kind)
			}
		}
		target, err := New(Options{URL: "http://" + nobody.Addr().String(), Protocol: p})
		if err != nil {
			t.Fatal(err)
		}
		_, err = target.Open(t.Context())
		if f, ok := errors.AsType[*Failure](err); !ok || f.Kind != Connect {
			t.Errorf("%s, nobody listens: %v", p, err)
		}
	}
}

func TestACallerGoesOnAfterAFailure(t *testing.T) {
	for _, p := range []Protocol{HTTP1, HTTP2} {
		s := serveHTTP(t, false)
		var o Options
		o.URL, o.Protocol = s.url+"/close", p
		target, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		c, err := target.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if a, err := c.Call(t.Context()); err != nil {
				t.Errorf("%s: %+v, %v", p, a, err)
			}
		}
		c.Close()
		if got := s.conns.Load(); p == HTTP1 && got != 3 {
			t.Errorf("%s: %d connections for three requests whose answers close", p, got)
		}
	}
}

func TestAnAnswerOfAnotherLengthIsAFailure(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- app.New().Serve(ln) }()
	defer func() { ln.Close(); <-done }()
	for _, c := range []struct {
		path   string
		length *int64
		ok     bool
	}{
		{"/0", new(int64(0)), true},
		{"/100", new(int64(100)), true},
		{"/100", nil, true},
		{"/100", new(int64(99)), false},
		{"/100", new(int64(0)), false},
		{"/0", new(int64(1)), false},
	} {
		target, err := New(Options{URL: "http://" + ln.Addr().String() + c.path, Length: c.length})
		if err != nil {
			t.Fatal(err)
		}
		caller, err := target.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = caller.Call(t.Context())
		caller.Close()
		f, failed := errors.AsType[*Failure](err)
		if (err == nil) != c.ok || failed && f.Kind != Malformed {
			t.Errorf("%s, want %v: %v", c.path, c.length, err)
		}
	}
}

func TestAnAnswerThatEndsItsConnectionIsAFailureIfItMustPersist(t *testing.T) {
	s := serveHTTP(t, false)
	for _, c := range []struct {
		path       string
		persistent bool
		ok         bool
	}{{"/", true, true}, {"/close", false, true}, {"/close", true, false}} {
		target, err := New(Options{URL: s.url + c.path, Persistent: c.persistent})
		if err != nil {
			t.Fatal(err)
		}
		caller, err := target.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = caller.Call(t.Context())
		caller.Close()
		f, failed := errors.AsType[*Failure](err)
		if (err == nil) != c.ok || failed && f.Kind != Closed {
			t.Errorf("%s, persistent=%t: %v", c.path, c.persistent, err)
		}
	}
}

func TestAnEchoThatIsNoneIsAFailure(t *testing.T) {
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
			io.ReadFull(conn, make([]byte, 5))
			io.WriteString(conn, "HELLO")
			conn.Close()
		}
	}()
	defer func() { ln.Close(); <-done }()
	target, err := New(Options{URL: "tcp://" + ln.Addr().String(), Protocol: TCP, Body: []byte("hello")})
	if err != nil {
		t.Fatal(err)
	}
	c, err := target.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 { // the second on a new connection
		if _, err := c.Call(t.Context()); !errors.Is(err, errEcho) {
			t.Errorf("%v", err)
		}
	}
}

func TestCallersShareConnections(t *testing.T) {
	s := serveHTTP(t, false)
	target, err := New(Options{URL: s.url, Protocol: HTTP2, Streams: 4})
	if err != nil {
		t.Fatal(err)
	}
	var callers []Caller
	for range 10 {
		c, err := target.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		callers = append(callers, c)
		if _, err := c.Call(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.conns.Load(); got != 3 {
		t.Errorf("ten callers, four to a connection, took %d connections", got)
	}
	for _, c := range callers {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestACancelledCallIsNobodysFailure(t *testing.T) {
	s := serveHTTP(t, false)
	target, err := New(Options{URL: s.url + "/hang", Protocol: HTTP2})
	if err != nil {
		t.Fatal(err)
	}
	c, err := target.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Call(ctx)
	if f, ok := errors.AsType[*Failure](err); !ok || f.Kind != Canceled {
		t.Errorf("%v", err)
	}
}

func TestDescriptionsThatAreRefused(t *testing.T) {
	cases := []struct {
		opts Options
		says string
	}{
		{Options{}, "HOST:PORT"},
		{Options{URL: "localhost:80"}, "HOST:PORT"},
		{Options{URL: "http://"}, "HOST:PORT"},
		{Options{URL: "http://user@h/"}, "without user"},
		{Options{URL: "http://h/#x"}, "without user and fragment"},
		{Options{URL: "http://h:port/"}, "invalid port"},
		{Options{URL: "ftp://h/"}, `scheme "ftp"`},
		{Options{URL: "tcp://h:1", Protocol: HTTP1}, `scheme "tcp"`},
		{Options{URL: "http://h/", Protocol: TCP, Body: []byte("x")}, `scheme "http"`},
		{Options{URL: "tcp://h", Protocol: TCP, Body: []byte("x")}, "a port is missing"},
		{Options{URL: "tcp://h:1", Protocol: TCP}, "body is empty"},
		{Options{URL: "http://h/", Protocol: HTTP3}, "always encrypted"},
		{Options{URL: "http://h/", TLS: new(tls.Config)}, "but it is plaintext"},
		{Options{URL: "tcp://h:1", Protocol: TCP, Body: []byte("x"), TLS: new(tls.Config)}, "but it is plaintext"},
		{Options{URL: "http://h/", Protocol: "spdy"}, `protocol "spdy"`},
		{Options{URL: "http://h/", Method: "GET /"}, "no token"},
		{Options{URL: "http://h/", Method: "GET", Protocol: GRPC}, "always POST"},
		{Options{URL: "http://h/", Host: "a b"}, `host "a b"`},
		{Options{URL: "http://h/", Header: []Field{{"a b", "c"}}}, "malformed"},
		{Options{URL: "http://h/", Header: []Field{{"a", "c\r\nd: e"}}}, "malformed"},
		{Options{URL: "http://h/", Header: []Field{{"Content-length", "3"}}}, "cannot be set"},
		{Options{URL: "http://h/", Header: []Field{{"transfer-encoding", "chunked"}}}, "cannot be set"},
		{Options{URL: "http://h/", Status: 700}, "status 700"},
		{Options{URL: "http://h/", Status: 100}, "status 100"},
		{Options{URL: "http://h/", Length: new(int64(-1))}, "length -1"},
	}
	if len(cases) < 25 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if _, err := New(c.opts); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q in it", c.opts, err, c.says)
		}
	}
	_, err := New(Options{URL: "ftp://h/", Method: "a b", Protocol: HTTP2, Status: 1})
	for _, says := range []string{"ftp", "no token", "status 1"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("several mistakes: %v, want %q in it", err, says)
		}
	}
}

func BenchmarkHTTP1Call(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 1024)) }))
	defer server.Close()
	target, err := New(Options{URL: server.URL})
	if err != nil {
		b.Fatal(err)
	}
	c, err := target.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Call(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
