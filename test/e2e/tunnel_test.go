package e2e

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/outrider-mesh/outrider/internal/testkit"
)

func TestAWebSocketPassesAndIsCutOffByAPolicy(t *testing.T) {
	t.Parallel()
	app := serveApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			hello(w, r)
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, b); err != nil {
				return
			}
		}
	})
	dir := t.TempDir()
	allow := func(path string) string {
		return access("Allow", `{from: [{principals: ["`+checkout+`"]}], to: [{paths: ["`+path+`"]}]}`)
	}
	testkit.WritePolicies(t, dir, allow("/{**}"))
	p := newPair(t, side{forward: app, directory: dir}, side{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c, _, err := websocket.Dial(ctx, "ws://"+p.out.Address(t, "out")+"/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for _, text := range []string{"one", strings.Repeat("x", 20000)} {
		if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.Read(ctx); err != nil || string(b) != text {
			t.Fatalf("read %d bytes, %v", len(b), err)
		}
	}
	testkit.WritePolicies(t, dir, allow("/other"))
	if _, b, err := c.Read(ctx); err == nil {
		t.Errorf("the tunnel is open although its request would be denied: %q", b)
	} else if ctx.Err() != nil {
		t.Error("the tunnel is open although its request would be denied")
	}
	p.in.Log.AwaitReason(t, "policy_changed")
}

func TestConnectIsRefusedUnlessConfigured(t *testing.T) {
	t.Parallel()
	app := serveTCP(t, func(c *netConn) {
		r := newWire(t, c)
		req, err := http.ReadRequest(r.r)
		if err != nil || req.Method != http.MethodConnect {
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		io.Copy(c, r.r)
	})
	const request = "CONNECT db.example.org:5432 HTTP/1.1\r\nHost: db.example.org:5432\r\n\r\n"
	refused := newPair(t, side{forward: app}, side{listener: ", connect: Forward"})
	w := dial(t, refused.out.Address(t, "out"))
	w.send(request)
	w.answer().refused(t, 405, "method_refused")
	outRefuses := newPair(t, side{forward: app, listener: ", connect: Forward"}, side{})
	w = dial(t, outRefuses.out.Address(t, "out"))
	w.send(request)
	w.answer().refused(t, 405, "method_refused")

	p := newPair(t, side{forward: app, listener: ", connect: Forward"}, side{listener: ", connect: Forward"})
	w = dial(t, p.out.Address(t, "out"))
	w.send(request + "early")
	line, err := w.r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
		t.Fatalf("%q, %v", line, err)
	}
	for line != "\r\n" {
		if line, err = w.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if name, _, _ := strings.Cut(strings.ToLower(line), ":"); name == "content-length" || name == "transfer-encoding" {
			t.Errorf("an answer to CONNECT holds %q", line)
		}
	}
	w.reads("early")
	w.send("late")
	w.reads("late")
	w.closeWrite()
	if rest, err := w.ended(); rest != "" || err != nil {
		t.Errorf("ended with %q, %v", rest, err)
	}
}
