package app

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves until the test ends and returns the address.
func start(t *testing.T, sizes ...int) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- New(sizes).Serve(ln) }()
	t.Cleanup(func() {
		ln.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func TestEachSizeIsServedOverOneConnection(t *testing.T) {
	addr := start(t, 0, 1, 16384)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	cases := []struct {
		path         string
		status, size int
	}{{"/0", 200, 0}, {"/1", 200, 1}, {"/16384", 200, 16384}, {"/7", 404, 0}, {"/", 404, 0}}
	for _, c := range cases {
		resp, err := client.Get("http://" + addr + c.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !bytes.Equal(body, Body(c.size)) {
			t.Errorf("%s: status %d, %d bytes, %v; want %d, %d bytes", c.path, resp.StatusCode, len(body), err, c.status, c.size)
		}
	}
}

func TestPipelinedRequestsInPiecesAreAnsweredInOrder(t *testing.T) {
	conn, err := net.Dial("tcp", start(t, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const requests = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, piece := range []string{requests[:20], requests[20:40], requests[40:]} {
		if _, err := io.WriteString(conn, piece); err != nil {
			t.Fatal(err)
		}
	}
	want := string(response(1)) + string(response(2))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAHeadOverTheBoundClosesTheConnection(t *testing.T) {
	conn, err := net.Dial("tcp", start(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The server may close while this is still being written.
	_, writeErr := io.WriteString(conn, "GET /0 HTTP/1.1\r\nX: "+strings.Repeat("x", maxHead))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d bytes (write: %v), want the connection closed", n, errors.Join(writeErr, err))
	}
}
