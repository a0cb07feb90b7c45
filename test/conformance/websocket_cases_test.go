package conformance_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func wsCases() []wsCase {
	return slices.Concat(wsMessages(), wsCompressed(), wsServerTalk(), wsCloses())
}

// wsMessages are echoes of sizes around the limits of a frame's length fields
// and of our buffers.
func wsMessages() (cases []wsCase) {
	for _, n := range []int{0, 1, 125, 126, 4 << 10, 65535, 65536, 1 << 20} {
		for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
			message := sized(n)
			if kind == websocket.MessageBinary {
				message = random(n)
			}
			cases = append(cases, wsCase{
				name: fmt.Sprintf("%v of %d bytes", kind, n), path: "/echo",
				talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) {
					roundTrip(t, ctx, c, kind, message)
					must(t, "close", c.Close(websocket.StatusNormalClosure, ""))
				},
			})
		}
	}
	return append(cases, wsCase{name: "a message of 5 MB", path: "/echo", talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) {
		roundTrip(t, ctx, c, websocket.MessageBinary, random(5<<20))
	}}, wsCase{name: "a message in many fragments", path: "/echo", talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) {
		w, err := c.Writer(ctx, websocket.MessageText)
		must(t, "begin", err)
		for i := range 200 {
			_, err := w.Write(sized(i))
			must(t, "write", err)
		}
		must(t, "end", w.Close())
		if _, got, err := c.Read(ctx); err != nil || len(got) != 199*200/2 {
			t.Errorf("%d bytes came back, %v", len(got), err)
		}
	}}, wsCase{name: "two thousand messages", path: "/echo", talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) {
		sent := make(chan error, 1)
		go func() {
			for i := range 2000 {
				if err := c.Write(ctx, websocket.MessageText, []byte(strconv.Itoa(i))); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		inOrder(t, ctx, c, 2000)
		must(t, "write", <-sent)
	}})
}

// inOrder reads the numbers from 0.
func inOrder(t *testing.T, ctx context.Context, c *websocket.Conn, n int) { //nolint:revive // t comes first in tests
	t.Helper()
	for i := range n {
		if _, got, err := c.Read(ctx); err != nil || string(got) != strconv.Itoa(i) {
			t.Fatalf("message %d is %q, %v", i, got, err)
		}
	}
}

func wsCompressed() []wsCase {
	talk := func(t *testing.T, ctx context.Context, c *websocket.Conn) {
		for _, n := range []int{10, 1000, 100_000} {
			roundTrip(t, ctx, c, websocket.MessageText, sized(n))
		}
		must(t, "close", c.Close(websocket.StatusNormalClosure, ""))
	}
	return []wsCase{
		{
			name: "compressed, each message alone", path: "/echo", talk: talk,
			opts: websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover},
		},
		{
			name: "compressed with context", path: "/echo", talk: talk,
			opts: websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover},
		},
	}
}

func wsServerTalk() []wsCase {
	return []wsCase{
		{
			name: "the server speaks first and knows who listens", path: "/first",
			opts: websocket.DialOptions{HTTPHeader: http.Header{"X-Outrider-Peer": {"spiffe://evil"}}},
			talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) {
				if _, got, err := c.Read(ctx); err != nil || string(got) != checkout {
					t.Errorf("the server took us for %q, %v", got, err)
				}
				roundTrip(t, ctx, c, websocket.MessageText, []byte("and back"))
			},
		},
		{name: "many messages of the server", path: "/many?n=3000", talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) {
			inOrder(t, ctx, c, 3000)
			closedWith(t, ctx, c, websocket.StatusNormalClosure, "")
		}},
		{name: "messages together with the answer to the handshake", path: "/eager", talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) {
			inOrder(t, ctx, c, 1001)
			closedWith(t, ctx, c, websocket.StatusNormalClosure, "")
		}},
		{name: "the server pings", path: "/ping", talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) {
			closedWith(t, ctx, c, websocket.StatusNormalClosure, "five pongs came")
		}},
		{name: "the client pings", path: "/echo", talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) {
			reading := c.CloseRead(ctx)
			for range 5 {
				must(t, "ping", c.Ping(ctx))
			}
			c.CloseNow()
			<-reading.Done()
		}},
		{
			name: "a subprotocol", path: "/echo", opts: websocket.DialOptions{Subprotocols: []string{"chat.v1", "chat.v3"}},
			talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) {
				if got := c.Subprotocol(); got != "chat.v1" {
					t.Errorf("subprotocol %q", got)
				}
				roundTrip(t, ctx, c, websocket.MessageText, []byte("hello"))
			},
		},
		{name: "the server cuts the connection", path: "/cut", talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) {
			must(t, "write", c.Write(ctx, websocket.MessageText, []byte("bye")))
			if _, _, err := c.Read(ctx); err == nil || websocket.CloseStatus(err) != -1 {
				t.Errorf("read: %v", err)
			}
		}},
		{name: "the client cuts the connection", path: "/echo", talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) {
			roundTrip(t, ctx, c, websocket.MessageText, []byte("hello"))
			c.CloseNow()
		}},
	}
}

func wsCloses() (cases []wsCase) {
	for _, code := range []websocket.StatusCode{1000, 1001, 1008, 1011, 3000, 4999} {
		cases = append(cases,
			wsCase{
				name: fmt.Sprintf("the client closes with %d", code), path: "/echo",
				talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) {
					roundTrip(t, ctx, c, websocket.MessageText, []byte("hello"))
					// Close waits for the server's own close frame.
					must(t, "close", c.Close(code, "enough"))
				},
			},
			wsCase{
				name: fmt.Sprintf("the server closes with %d", code), path: fmt.Sprintf("/close?code=%d&reason=enough", code),
				talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) {
					closedWith(t, ctx, c, code, "enough")
				},
			})
	}
	long := strings.Repeat("y", 123) // the most a close frame holds, RFC 6455 §5.5
	return append(cases, wsCase{
		name: "the longest reason", path: "/close?code=4000&reason=" + long,
		talk: func(t *testing.T, ctx context.Context, c *websocket.Conn) { closedWith(t, ctx, c, 4000, long) },
	})
}

// closedWith reads the server's close frame.
func closedWith(t *testing.T, ctx context.Context, c *websocket.Conn, code websocket.StatusCode, reason string) { //nolint:revive // t comes first in tests
	t.Helper()
	_, message, err := c.Read(ctx)
	if websocket.CloseStatus(err) != code || !strings.Contains(err.Error(), strconv.Quote(reason)) {
		t.Errorf("read %q and %v, want the end with %d %q", message, err, code, reason)
	}
}
