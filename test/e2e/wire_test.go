package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/hop"
)

// A wire is a connection on which a test speaks for itself.
type wire struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func newWire(t testing.TB, c net.Conn) *wire {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &wire{Conn: c, t: t, r: bufio.NewReader(c)}
}

// dial connects in plaintext.
func dial(t testing.TB, addr string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newWire(t, c)
}

// dialMesh connects as a peer that shows the identity of src and offers these
// protocols.
func dialMesh(t testing.TB, addr string, src identity.Source, protocols ...string) *wire {
	t.Helper()
	w, err := tryMesh(t, addr, src, protocols...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func tryMesh(t testing.TB, addr string, src identity.Source, protocols ...string) (*wire, error) {
	t.Helper()
	cfg := mtls.ClientConfig(src, mtls.ClientOptions{Expected: expect(t, payments), NextProtos: protocols})
	return tryTLS(t, addr, cfg)
}

func tryTLS(t testing.TB, addr string, cfg *tls.Config) (*wire, error) {
	t.Helper()
	w := dial(t, addr)
	tc := tls.Client(w.Conn, cfg)
	if err := tc.HandshakeContext(t.Context()); err != nil {
		return nil, err
	}
	return newWire(t, tc), nil
}

func expect(t testing.TB, id string) mtls.Expected {
	t.Helper()
	e, err := mtls.NewExpected(identitytest.ID(t, id))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// h1 is what an Outrider offers for HTTP.
const h1 = hop.ALPNHTTP1

func (w *wire) send(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		w.t.Fatalf("sending %.40q: %v", text, err)
	}
}

// An answer is a response, and how its body ended.
type answer struct {
	*http.Response
	body string
	err  error // of the body: nil if it was complete
}

// answer reads a response.
func (w *wire) answer() answer {
	w.t.Helper()
	a, err := w.tryAnswer()
	if err != nil {
		w.t.Fatalf("reading an answer: %v", err)
	}
	return a
}

func (w *wire) tryAnswer() (answer, error) {
	res, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{Response: res, body: string(b), err: err}, nil
}

// get asks for a path.
func (w *wire) get(path string) answer {
	w.t.Helper()
	w.send("GET " + path + " HTTP/1.1\r\nHost: payments\r\n\r\n")
	return w.answer()
}

// lastly asks for a path and ends the connection: by then the sidecar is done with
// the request, and the hop that carried it is free.
func (w *wire) lastly(path string) answer {
	w.t.Helper()
	a := w.get(path)
	w.closeWrite()
	if rest, err := w.ended(); rest != "" || err != nil {
		w.t.Errorf("after the last answer came %q, %v", rest, err)
	}
	return a
}

// ended waits for the end of the connection and returns what came before it; err
// is nil for an orderly end.
func (w *wire) ended() (rest string, err error) {
	w.t.Helper()
	b, err := io.ReadAll(w.r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Fatalf("the connection did not end; it said %.200q", b)
	}
	return string(b), err
}

// closeWrite ends the sending side.
func (w *wire) closeWrite() {
	w.t.Helper()
	if err := w.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		w.t.Fatal(err)
	}
}

// wants fails the test unless the answer has this status.
func (a answer) wants(t testing.TB, status int) answer {
	t.Helper()
	if a.StatusCode != status || a.err != nil {
		t.Fatalf("status %d (body %.300q, %v), want %d", a.StatusCode, a.body, a.err, status)
	}
	return a
}

// refused fails the test unless the answer is a refusal of ours with this status
// and reason.
func (a answer) refused(t testing.TB, status int, reason string) answer {
	t.Helper()
	a.wants(t, status)
	want := `details="` + reason + `"`
	if got := a.Header.Get("Proxy-Status"); !strings.HasPrefix(got, "outrider; error=") || !strings.Contains(got, want) {
		t.Fatalf("Proxy-Status %q, want %q in it", got, want)
	}
	if !strings.Contains(a.body, reason) {
		t.Fatalf("the body %q does not name the reason %q", a.body, reason)
	}
	return a
}
