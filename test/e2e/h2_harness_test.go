package e2e

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/proxy/hop"
	"github.com/outrider-mesh/outrider/test/rawh2"
)

// h2 is what an Outrider offers for HTTP/2.
const h2 = hop.ALPNHTTP2

// serveH2 runs an application of HTTP/2 without TLS, and nothing else, until the test
// ends.
func serveH2(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := h2Server(h)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, s, ln)
	return ln.Addr().String()
}

func h2Server(h http.HandlerFunc) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{Handler: h, Protocols: protocols, ReadHeaderTimeout: time.Minute}
}

// serveOn serves until the test ends, or somebody closes the server before.
func serveOn(t testing.TB, s *http.Server, ln net.Listener) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(ln) // that it was closed is no news
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
}

// serveRaw runs an application that gets each connection of HTTP/2 raw, behind the
// prefaces.
func serveRaw(t testing.TB, handle func(*rawh2.Peer), settings ...http2.Setting) string {
	t.Helper()
	return serveTCP(t, func(c *net.TCPConn) {
		if p, err := rawh2.NewServer(c, settings...); err == nil {
			handle(p)
		}
	})
}

// An h2caller speaks HTTP/2 for itself.
type h2caller struct {
	*rawh2.Peer
	t testing.TB
	w *wire
}

func newCaller(t testing.TB, w *wire, settings ...http2.Setting) *h2caller {
	t.Helper()
	p, err := rawh2.NewClient(w, settings...)
	if err != nil {
		t.Fatal(err)
	}
	return &h2caller{Peer: p, t: t, w: w}
}

// dialH2 connects in plaintext, as an application does.
func dialH2(t testing.TB, addr string, settings ...http2.Setting) *h2caller {
	t.Helper()
	return newCaller(t, dial(t, addr), settings...)
}

// meshH2 connects as a sidecar does.
func meshH2(t testing.TB, addr string, src identity.Source, settings ...http2.Setting) *h2caller {
	t.Helper()
	return newCaller(t, dialMesh(t, addr, src, h2), settings...)
}

// ask makes a GET on a stream and reads the answer.
func (c *h2caller) ask(id uint32, path string) *rawh2.Answer {
	c.t.Helper()
	if err := c.Request(id, true, "GET", path); err != nil {
		c.t.Fatal(err)
	}
	return c.answer(id)
}

// grpc makes a call with those fields on a stream and reads the answer.
func (c *h2caller) grpc(id uint32, method string, fields ...string) *rawh2.Answer {
	c.t.Helper()
	if err := c.Call(id, true, method, fields...); err != nil {
		c.t.Fatal(err)
	}
	return c.answer(id)
}

func (c *h2caller) answer(id uint32) *rawh2.Answer {
	c.t.Helper()
	a, err := c.Answer(id)
	if err != nil {
		c.t.Fatalf("the answer on stream %d: %v, behind %+v", id, err, a)
	}
	return a
}

// must is for what has to be written.
func (c *h2caller) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// isHello fails the test unless a is what the application hello says.
func isHello(t testing.TB, a *rawh2.Answer) {
	t.Helper()
	if a.Last(":status") != "200" || string(a.Body) != "hello" {
		t.Fatalf("the answer is %+v, %q", a.Heads, a.Body)
	}
}

// isRefusal fails the test unless a is a refusal in the words of gRPC: a head and
// nothing else ("Trailers-Only"), whose decision is in the log of s.
func isRefusal(t testing.TB, s *testkit.Sidecar, a *rawh2.Answer, code, reason string) map[string]any {
	t.Helper()
	if !a.Alone || len(a.Body) > 0 {
		t.Errorf("the refusal is more than a head: %+v, %q", a.Heads, a.Body)
	}
	id := a.Last("x-outrider-decision")
	for name, want := range map[string]string{":status": "200", "content-type": "application/grpc", "grpc-status": code} {
		if got := a.Last(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := a.Last("proxy-status"); !strings.HasPrefix(got, "outrider; error=") || !strings.HasSuffix(got, `; details="`+reason+`"`) {
		t.Errorf("proxy-status is %q, want %q in it", got, reason)
	}
	message := a.Last("grpc-message")
	if id == "" || !strings.HasSuffix(message, "("+reason+", decision "+id+")") {
		t.Errorf("grpc-message is %q, the decision %q", message, id)
	}
	for _, b := range []byte(message) { // what else must be percent-encoded
		if b < 0x20 || b > 0x7e || b == '%' {
			t.Errorf("grpc-message %q has byte %#x", message, b)
		}
	}
	return s.Log.Await(t, "decision "+id, func(r map[string]any) bool { return r["decision_id"] == id && r["reason"] == reason })
}

// holds is an application that keeps what asks for /held until its caller is gone, and
// is grpcHello to everybody else.
func holds(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/held" {
		<-r.Context().Done()
		return
	}
	grpcHello(w, r)
}
