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
func start(t *testing.T, serve func(net.Listener) error) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- serve(ln) }()
	t.Cleanup(func() {
		ln.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func TestEveryRequestIsAnsweredOverOneConnection(t *testing.T) {
	addr := start(t, New().Serve)
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	cases := []struct {
		method, path string
		body         int
		size         int
	}{
		{"GET", "/0", 0, 0},
		{"GET", "/1", 0, 1},
		{"GET", "/16384?a=b", 0, 16384},
		{"GET", "/", 0, 1024},
		{"GET", "/1048577", 0, 1024},
		{"GET", "/-1", 0, 1024},
		{"POST", "/v1/charges", 10, 1024},
		{"POST", "/5", 100_000, 5},
		{"PUT", "/5", 20_000, 5},
		{"HEAD", "/2000", 0, 0},
		{"GET", "/7", 0, 7},
	}
	for _, c := range cases {
		req, err := http.NewRequest(c.method, "http://"+addr+c.path, bytes.NewReader(make([]byte, c.body)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", c.method, c.path, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || !bytes.Equal(body, Body(c.size)) {
			t.Errorf("%s %s: status %d, %d bytes, %v; want %d bytes", c.method, c.path, resp.StatusCode, len(body), err, c.size)
		}
	}
}

func TestPipelinedRequestsInPiecesAreAnsweredInOrder(t *testing.T) {
	conn, err := net.Dial("tcp", start(t, New().Serve))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const requests = "POST /1 HTTP/1.1\r\ncontent-length: 8\r\nHost: a\r\n\r\n12345678GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
	for i := range len(requests) {
		if _, err := io.WriteString(conn, requests[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	s := New()
	want := string(s.answer([]byte("/1"))) + string(s.answer([]byte("/2")))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestWhatIsNotUnderstoodClosesTheConnection(t *testing.T) {
	for name, request := range map[string]string{
		"a head over the bound": "GET /0 HTTP/1.1\r\nX: " + strings.Repeat("x", maxHead),
		"chunks":                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a length of words":     "POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
		"a negative length":     "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"no target":             "hello\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", start(t, New().Serve))
		if err != nil {
			t.Fatal(err)
		}
		// The server may close while this is still being written.
		_, writeErr := io.WriteString(conn, request)
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%s: read %d bytes (write: %v), want the connection closed", name, n, errors.Join(writeErr, err))
		}
		conn.Close()
	}
}

func TestTheEcho(t *testing.T) {
	conn, err := net.Dial("tcp", start(t, New().Echo))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, text := range []string{"a", "hello, world"} {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
			t.Errorf("got %q, %v", got, err)
		}
	}
}
