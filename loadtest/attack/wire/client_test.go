package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/loadtest/target"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for a peer. It decides only how late a failure is
// noticed.
const patience = 20 * time.Second

// server hands each connection to handle, with its number from 1, and waits for
// all of them in the end.
func server(t *testing.T, handle func(n int64, c net.Conn, in *bufio.Reader)) (address string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = new(atomic.Int64)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := connections.Add(1)
			all.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				handle(n, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String(), connections
}

// client is one of an endpoint at address.
func client(t *testing.T, address string, timeout time.Duration) *Client {
	t.Helper()
	e, err := NewEndpoint(Options{URL: "http://" + address, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	c := e.Client()
	t.Cleanup(func() { c.Close() })
	return c
}

func get(body string) Message {
	return Message{Method: "GET", Bytes: []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n" + body)}
}

const (
	ok      = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
	refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\nX-Outrider-Decision: d1\r\n" +
		"Proxy-Status: outrider; error=http_request_denied; details=\"waf_blocked\"\r\n\r\n"
)

// answering answers every request with the next of texts; the last one again and
// again.
func answering(texts ...string) func(int64, net.Conn, *bufio.Reader) {
	var asked atomic.Int64
	return func(_ int64, c net.Conn, in *bufio.Reader) {
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			text := texts[min(int(asked.Add(1)), len(texts))-1]
			io.WriteString(c, text)
			if strings.Contains(text, "Connection: close") {
				return
			}
		}
	}
}

func TestAConnectionIsKeptUntilARefusalClosesIt(t *testing.T) {
	address, connections := server(t, answering(ok, ok, refused, ok))
	c := client(t, address, patience)
	for i, want := range []Answer{{Status: 200}, {Status: 200}, {Status: 403, Reason: "waf_blocked", Decision: "d1"}, {Status: 200}} {
		a, err := c.Send(t.Context(), get(""))
		if err != nil {
			t.Fatal(err)
		}
		if a.Took <= 0 {
			t.Errorf("answer %d took %s", i, a.Took)
		}
		if a.Took = 0; a != want {
			t.Errorf("answer %d is %+v, want %+v", i, a, want)
		}
	}
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestAnIdleConnectionThatWasClosedIsReplaced(t *testing.T) {
	address, connections := server(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err == nil {
			io.WriteString(c, ok)
		}
		// The end of the connection: nobody has announced it.
	})
	c := client(t, address, patience)
	for range 3 {
		if _, err := c.Send(t.Context(), get("")); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

func TestAFreshConnectionThatIsDroppedIsAnOutcome(t *testing.T) {
	address, connections := server(t, func(_ int64, _ net.Conn, in *bufio.Reader) { http.ReadRequest(in) })
	c := client(t, address, patience)
	for range 2 {
		_, err := c.Send(t.Context(), get(""))
		wants(t, err, target.Closed)
	}
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections, want one for each request", n)
	}
}

func wants(t *testing.T, err error, kind target.Kind) {
	t.Helper()
	if f, ok := errors.AsType[*target.Failure](err); !ok || f.Kind != kind {
		t.Errorf("%v, want a failure of kind %s", err, kind)
	}
}

// Who refuses by the head of a long request answers before its end. The answer
// must not be lost over the bytes that nobody takes.
func TestAnAnswerBeforeTheEndOfALongRequest(t *testing.T) {
	answered := make(chan struct{})
	address, _ := server(t, func(n int64, c net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		if n > 1 {
			io.WriteString(c, ok)
			return
		}
		io.WriteString(c, refused)
		<-answered // nothing of the body is ever read
	})
	c := client(t, address, time.Hour)       // who waits to be rid of the body waits in vain
	body := bytes.Repeat([]byte("x"), 8<<20) // more than sockets hold
	long := Message{Method: "POST", Bytes: append([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n"), body...)}
	a, err := c.Send(t.Context(), long)
	close(answered)
	if err != nil || a.Reason != "waf_blocked" {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := c.Send(t.Context(), get("")); err != nil || a.Status != 200 {
		t.Errorf("the next one: %+v, %v", a, err)
	}
}

func TestAnswersOfEveryKind(t *testing.T) {
	cases := []struct {
		name, text, method string
		status             int
		connections        int64 // for two requests
	}{
		{"interim answers come before the final one", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok, "GET", 200, 1},
		{"an answer to HEAD has no body", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "HEAD", 200, 1},
		{"no body", "HTTP/1.1 204 No Content\r\n\r\n", "GET", 204, 1},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "GET", 200, 1},
		{"a body up to the end", "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nhi", "GET", 404, 2},
		{"a tunnel is left", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "GET", 101, 2},
		{"bytes that nobody asked for end the connection", ok + "HTTP/1.1 200 OK\r\n", "GET", 200, 2},
		{"HTTP/1.0 closes", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "GET", 200, 2},
	}
	if len(cases) < 8 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			address, connections := server(t, answering(c.text))
			cl := client(t, address, patience)
			for range 2 {
				m := get("")
				m.Method = c.method
				m.Bytes = bytes.Replace(m.Bytes, []byte("GET"), []byte(c.method), 1)
				if a, err := cl.Send(t.Context(), m); err != nil || a.Status != c.status {
					t.Errorf("%+v, %v", a, err)
				}
			}
			if n := connections.Load(); n != c.connections {
				t.Errorf("%d connections, want %d", n, c.connections)
			}
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	cases := []struct {
		name, text string
		kind       target.Kind
	}{
		{"no HTTP", "SSH-2.0-OpenSSH\r\n", target.Malformed},
		{"half a head", "HTTP/1.1 200 OK\r\nConnection: close\r\n", target.Closed},
		{"half a body", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhi", target.Closed},
		{"interim answers without end", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxInterim+1), target.Malformed},
		{"a head without end", "HTTP/1.1 200 OK\r\n" + strings.Repeat("a: "+strings.Repeat("b", 1<<16)+"\r\n", maxAnswer>>16), target.Malformed},
		{"a body without end", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + strings.Repeat("a", maxAnswer), target.Malformed},
	}
	if len(cases) < 6 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			address, _ := server(t, answering(c.text))
			_, err := client(t, address, patience).Send(t.Context(), get(""))
			wants(t, err, c.kind)
		})
	}
}

func TestASilentServerTimesOut(t *testing.T) {
	over := make(chan struct{})
	address, connections := server(t, func(int64, net.Conn, *bufio.Reader) { <-over })
	defer close(over)
	_, err := client(t, address, 50*time.Millisecond).Send(t.Context(), get(""))
	wants(t, err, target.Timeout)
	if n := connections.Load(); n > 1 {
		t.Errorf("%d connections, want one", n)
	}
}

func TestCancellationEndsARequest(t *testing.T) {
	asked, over := make(chan struct{}), make(chan struct{})
	address, _ := server(t, func(_ int64, _ net.Conn, in *bufio.Reader) {
		http.ReadRequest(in)
		close(asked)
		<-over
	})
	defer close(over)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	_, err := client(t, address, patience).Send(ctx, get(""))
	wants(t, err, target.Canceled)
	_, err = client(t, address, patience).Send(ctx, get(""))
	wants(t, err, target.Canceled)
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = client(t, l.Addr().String(), patience).Send(t.Context(), get(""))
	wants(t, err, target.Connect)
}

func TestNewEndpoint(t *testing.T) {
	for _, good := range []struct{ url, address, host string }{
		{"http://a", "a:80", "a"},
		{"https://a/", "a:443", "a"},
		{"http://[::1]:8080", "[::1]:8080", "[::1]:8080"},
	} {
		e, err := NewEndpoint(Options{URL: good.url})
		if err != nil || e.address != good.address || e.Host != good.host {
			t.Errorf("%s: %+v, %v", good.url, e, err)
		}
	}
	for _, bad := range []string{"", "a:80", "ftp://a", "http://", "http://a/path", "http://a?q", "http://a#f", "http://u@a", "http://%zz"} {
		if e, err := NewEndpoint(Options{URL: bad}); err == nil {
			t.Errorf("%q: %+v", bad, e)
		}
	}
	if _, err := NewEndpoint(Options{URL: "http://a", TLS: new(tls.Config)}); err == nil {
		t.Error("an identity over plaintext is accepted")
	}
}

// Both ends prove a SPIFFE identity. With TLS 1.3 a server says only after the
// client's handshake that it does not accept who calls; that is no answer to a
// request, and no WAF's doing.
func TestMutualTLS(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	const id = "spiffe://example.org/ns/shop/sa/payments"
	handle := answering(ok)
	cfg := mtls.ServerConfig(ca.Source(t, id), mtls.ServerOptions{NextProtos: []string{"http/1.1"}})
	address, _ := server(t, func(n int64, c net.Conn, _ *bufio.Reader) {
		tc := tls.Server(c, cfg)
		handle(n, tc, bufio.NewReader(tc))
	})
	dial := func(id string, change func(*tls.Config)) (Answer, error) {
		expected, err := mtls.NewExpected(identitytest.ID(t, id))
		if err != nil {
			t.Fatal(err)
		}
		cfg := mtls.ClientConfig(ca.Source(t, "spiffe://example.org/ns/shop/sa/checkout"), mtls.ClientOptions{Expected: expected})
		change(cfg)
		e, err := NewEndpoint(Options{URL: "https://" + address, Timeout: patience, TLS: cfg})
		if err != nil {
			t.Fatal(err)
		}
		c := e.Client()
		defer c.Close()
		return c.Send(t.Context(), get(""))
	}
	if a, err := dial(id, func(*tls.Config) {}); err != nil || a.Status != 200 {
		t.Errorf("%+v, %v", a, err)
	}
	_, err := dial("spiffe://example.org/somebody/else", func(*tls.Config) {})
	wants(t, err, target.Connect)
	_, err = dial(id, func(c *tls.Config) {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return new(tls.Certificate), nil }
	})
	wants(t, err, target.Connect)
}
