package conformance_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// webSockets is a server that does with a connection what the path says.
func webSockets(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	accept := func(path string, serve func(ctx context.Context, c *websocket.Conn, r *http.Request)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
				Subprotocols: []string{"chat.v2", "chat.v1"}, CompressionMode: websocket.CompressionContextTakeover,
			})
			if err != nil {
				return // Accept has answered
			}
			defer c.CloseNow()
			c.SetReadLimit(-1)
			ctx, cancel := context.WithTimeout(r.Context(), patience)
			defer cancel()
			serve(ctx, c, r)
		})
	}
	accept("/echo", func(ctx context.Context, c *websocket.Conn, _ *http.Request) { echoMessages(ctx, c) })
	accept("/whole", func(ctx context.Context, c *websocket.Conn, _ *http.Request) { // each message in one frame
		for {
			kind, message, err := c.Read(ctx)
			if err != nil || c.Write(ctx, kind, message) != nil {
				return
			}
		}
	})
	accept("/first", func(ctx context.Context, c *websocket.Conn, r *http.Request) {
		if c.Write(ctx, websocket.MessageText, []byte(r.Header.Get("X-Outrider-Peer"))) == nil {
			echoMessages(ctx, c)
		}
	})
	accept("/close", func(_ context.Context, c *websocket.Conn, r *http.Request) {
		code, _ := strconv.Atoi(r.URL.Query().Get("code"))
		c.Close(websocket.StatusCode(code), r.URL.Query().Get("reason"))
	})
	accept("/many", func(ctx context.Context, c *websocket.Conn, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		for i := range n {
			if c.Write(ctx, websocket.MessageText, []byte(strconv.Itoa(i))) != nil {
				return
			}
		}
		c.Close(websocket.StatusNormalClosure, "")
	})
	accept("/ping", func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		ctx = c.CloseRead(ctx)
		for range 5 {
			if err := c.Ping(ctx); err != nil {
				t.Errorf("the server's ping: %v", err)
			}
		}
		c.Close(websocket.StatusNormalClosure, "five pongs came")
	})
	accept("/cut", func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		c.Read(ctx)
	})
	mux.HandleFunc("/refused", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not for you", http.StatusUnauthorized) })
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, greeting) })
	mux.HandleFunc("/eager", eager)
	return mux
}

func echoMessages(ctx context.Context, c *websocket.Conn) {
	for {
		kind, r, err := c.Reader(ctx)
		if err != nil {
			return
		}
		w, err := c.Writer(ctx, kind)
		if err != nil {
			return
		}
		if _, err := io.Copy(w, r); err != nil || w.Close() != nil {
			return
		}
	}
}

// eager sends a message in one write with the answer to the handshake, and a
// thousand more behind it.
func eager(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455 §4.2.2
	nc, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer nc.Close()
	b := fmt.Appendf(nil, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	for i := range 1001 {
		b = append(b, frame(websocket.MessageText, strconv.Itoa(i))...)
	}
	b = append(b, 0x88, 2, 0x03, 0xe8) // close, 1000
	nc.Write(b)
	io.Copy(io.Discard, nc) // until the client has closed
}

// frame is an unmasked frame, RFC 6455 §5.2, of less than 126 bytes.
func frame(kind websocket.MessageType, payload string) []byte {
	return append([]byte{0x80 | byte(kind), byte(len(payload))}, payload...)
}

// A wsCase is a conversation as the client has it.
type wsCase struct {
	name, path string
	opts       websocket.DialOptions
	talk       func(t *testing.T, ctx context.Context, c *websocket.Conn)
}

func TestWebSocket(t *testing.T) {
	for _, mode := range []struct {
		name  string
		reach func(t *testing.T, app string) (base string, client *http.Client)
	}{
		{"declared", wsThroughTwo(meshOptions{Protocol: "HTTP"})},
		{"detected", wsThroughTwo(meshOptions{})},
		{"inspected", wsThroughTwo(meshOptions{Policies: inspecting})},
		{"a SPIFFE client without a sidecar", func(t *testing.T, app string) (string, *http.Client) {
			m := startInbound(t, meshOptions{App: app})
			return "https://" + m.Port, m.spiffeClient(t, checkout, "http/1.1")
		}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			base, client := mode.reach(t, serve(t, webSockets(t)))
			ran := 0
			for _, c := range wsCases() {
				ran++
				t.Run(c.name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					c.opts.HTTPClient = client
					conn, _, err := websocket.Dial(ctx, base+c.path, &c.opts)
					if err != nil {
						t.Fatal(err)
					}
					defer conn.CloseNow()
					conn.SetReadLimit(-1)
					c.talk(t, ctx, conn)
				})
			}
			ran += wsRefusals(t, base, client)
			ran += wsCrowd(t, base, client)
			atLeast(t, "conversations over WebSocket", ran, 45)
		})
	}
}

func wsThroughTwo(opts meshOptions) func(*testing.T, string) (string, *http.Client) {
	return func(t *testing.T, app string) (string, *http.Client) {
		t.Helper()
		opts.App = app
		return "http://" + startMesh(t, opts).Front, newClient(t)
	}
}

// wsRefusals are handshakes that fail. The connection goes on as HTTP.
func wsRefusals(t *testing.T, base string, client *http.Client) (ran int) {
	t.Helper()
	for _, c := range []struct {
		name, path string
		status     int
	}{
		{"the application refuses", "/refused", http.StatusUnauthorized},
		{"the application does not upgrade", "/page", http.StatusOK},
		{"there is no such path", "/missing", http.StatusNotFound},
	} {
		ran++
		t.Run(c.name, func(t *testing.T) {
			conn, res, err := websocket.Dial(t.Context(), base+c.path, &websocket.DialOptions{HTTPClient: client})
			if err == nil {
				conn.CloseNow()
			}
			if res == nil || res.StatusCode != c.status {
				t.Fatalf("answer %v, %v, want status %d", res, err, c.status)
			}
			exchange{path: "/page", status: 200, want: []byte(greeting)}.run(t, client, base)
		})
	}
	return ran
}

// wsCrowd is many conversations at once.
func wsCrowd(t *testing.T, base string, client *http.Client) (ran int) {
	t.Helper()
	const crowd = 20
	t.Run("many at once", func(t *testing.T) {
		var all sync.WaitGroup
		for n := range crowd {
			all.Go(func() {
				c, _, err := websocket.Dial(t.Context(), base+"/echo", &websocket.DialOptions{HTTPClient: client})
				if err != nil {
					t.Error(err)
					return
				}
				defer c.CloseNow()
				for i := range 50 {
					roundTrip(t, t.Context(), c, websocket.MessageText, fmt.Appendf(nil, "%d of %d", i, n))
				}
				must(t, "close", c.Close(websocket.StatusNormalClosure, ""))
			})
		}
		all.Wait()
	})
	return crowd
}

// roundTrip sends a message and wants it back.
func roundTrip(t *testing.T, ctx context.Context, c *websocket.Conn, kind websocket.MessageType, message []byte) { //nolint:revive // t comes first in tests
	t.Helper()
	written := make(chan error, 1)
	go func() { written <- c.Write(ctx, kind, message) }() // an echo of 1 MB begins before it is sent
	gotKind, got, err := c.Read(ctx)
	must(t, "write", <-written)
	if err != nil || gotKind != kind || !bytes.Equal(got, message) {
		t.Errorf("%d bytes of %v came back, %v; want %d of %v", len(got), gotKind, err, len(message), kind)
	}
}

// The client sends its first message without waiting for the answer to the
// handshake. It must reach the server behind the handshake, not as a request.
func TestWebSocketFrameBehindTheHandshake(t *testing.T) {
	m := startMesh(t, meshOptions{App: serve(t, webSockets(t)), Protocol: "HTTP"})
	nc := dial(t, m.Front)
	var b bytes.Buffer
	b.WriteString("GET /whole HTTP/1.1\r\nHost: payments\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	const messages = 20
	for i := range messages {
		text := "early " + strconv.Itoa(i)
		b.Write([]byte{0x81, 0x80 | byte(len(text))})
		b.Write(binary.BigEndian.AppendUint32(nil, 0)) // a mask that changes nothing
		b.WriteString(text)
	}
	if _, err := nc.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(nc)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	if got := res.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" { // RFC 6455 §1.3
		t.Errorf("accept %q", got)
	}
	for i := range messages {
		want := frame(websocket.MessageText, "early "+strconv.Itoa(i))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("frame %d: %q, %v, want %q", i, got, err, want)
		}
	}
}

// sized is a text of n bytes.
func sized(n int) []byte { return []byte(strings.Repeat("x", n)) }
