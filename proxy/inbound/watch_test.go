package inbound_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/accept"
	"github.com/outrider-mesh/outrider/proxy/accesslog"
	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/enforce"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
	"github.com/outrider-mesh/outrider/proxy/inbound"
	"github.com/outrider-mesh/outrider/proxy/inspect"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

// plain reaches the application.
type plain struct{ net.Dialer }

func (d *plain) Dial(ctx context.Context, addr netip.AddrPort, _ flow.Protocol) (balance.Dialed, error) {
	nc, err := d.DialContext(ctx, "tcp", addr.String())
	return balance.Dialed{Conn: nc}, err
}

// A rig is a listener in front of an application that echoes, where everything is
// watched and no verdict is made before the test lets it.
type rig struct {
	*inbound.Listener

	log       bytes.Buffer
	access    *accesslog.Writer
	inspector inspect.Holder
	begun     chan struct{} // a value for each verdict that has begun
	release   chan struct{} // closed to let them end
	stop      func()        // ends the listener and what it waits for
}

func newRig(t *testing.T, l limits.Limits) *rig {
	t.Helper()
	r := &rig{begun: make(chan struct{}, 100), release: make(chan struct{})}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { _, _ = io.Copy(w, req.Body) }))
	ids := accesslog.NewIDs()
	r.access = accesslog.New(accesslog.Options{Output: &r.log, IDs: ids})
	r.inspector.Swap(r.watching(t))
	enforcer := new(enforce.Enforcer)
	set, err := authz.Compile(nil, authz.Options{Default: authz.AllowAll})
	if err != nil {
		t.Fatal(err)
	}
	enforcer.Publish(set)
	socket, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	metrics, buffers := telemetry.New(), new(http1.Buffers)
	to := &forward.Forwarder{Direction: flow.Inbound, Metrics: metrics, Destination: balance.New(balance.Options{
		Endpoints: []balance.Address{{AddrPort: netip.MustParseAddrPort(app.Listener.Addr().String()), Dial: new(plain)}},
		HTTP1:     http1.ClientOptions{Limits: l, Buffers: buffers},
		HTTP2:     http2.ClientOptions{Limits: l, Buffers: new(http2.Buffers)},
	})}
	ctx, cancel := context.WithCancel(t.Context())
	r.Listener = inbound.New(inbound.Options{
		Name: "in", Listener: socket, Protocol: flow.HTTP1, Strict: func() bool { return false },
		App: func() *forward.Forwarder { return to }, Base: ctx, Enforcer: enforcer, Inspector: &r.inspector,
		Tracker: new(drain.Tracker), Gate: accept.NewGate(100), Metrics: metrics, AccessLog: r.access, IDs: ids,
		HTTP1: buffers, HTTP2: new(http2.Buffers), Limits: l, Log: slog.New(slog.DiscardHandler),
	})
	running := make(chan struct{})
	go func() {
		defer close(running)
		_ = r.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-running
		r.Wait()
		if !r.inspector.Keep(1, 1) {
			t.Error("the listener has ended before all verdicts were made")
		}
		r.inspector.Drop(1)
		_ = socket.Close()
		to.Destination.Close()
		r.inspector.Close()
		app.Close()
	}
	return r
}

// watching is an inspector that only looks, and waits for the test before it tells.
func (r *rig) watching(t *testing.T) *inspect.Inspector {
	t.Helper()
	doc := config.InspectionPolicy{
		Metadata: config.Metadata{Name: "waf", Namespace: "shop"},
		Spec:     config.InspectionSpec{Mode: config.DetectOnly, CPUMillis: 10_000},
	}
	i, err := inspect.New([]config.InspectionPolicy{doc}, inspect.Options{
		Workload: authz.Workload{Namespace: "shop"}, Concurrency: 4,
		Bounds: func() inspect.Bounds { return inspect.Bounds{Wait: time.Minute, Budget: time.Hour} },
		Witness: func([]evidence.Hit) {
			r.begun <- struct{}{}
			<-r.release
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// records ends the rig and returns what it has written down of requests.
func (r *rig) records(t *testing.T) (all []map[string]any) {
	t.Helper()
	r.stop()
	if err := r.access.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(r.log.String()) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		if one["kind"] == "request" {
			all = append(all, one)
		}
	}
	return all
}

// A caller is a connection to the rig.
type caller struct {
	net.Conn
	r *bufio.Reader
}

func (r *rig) call(t *testing.T) caller {
	t.Helper()
	nc, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	return caller{nc, bufio.NewReader(nc)}
}

func (c caller) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// end has the listener end the connection.
func (c caller) end(t *testing.T) {
	t.Helper()
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c.r); len(rest) > 0 || err != nil {
		t.Errorf("at the end came %q, %v", rest, err)
	}
	_ = c.Close()
}

// post sends a body and wants it back.
func (c caller) post(t *testing.T, path, body string) {
	t.Helper()
	c.send(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: payments\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"%x\r\n%s\r\n0\r\n\r\n", path, len(body), body))
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != 200 || string(got) != body {
		t.Fatalf("%s: status %d, %q, %v", path, res.StatusCode, got, err)
	}
}

func TestNobodyWaitsForAVerdictThatOnlyWatches(t *testing.T) {
	r := newRig(t, limits.Default())
	c := r.call(t)
	c.post(t, "/first", "a UNION b")
	<-r.begun // and does not end
	c.post(t, "/second", "0123456789")
	<-r.begun
	other := r.call(t)
	other.post(t, "/third", "0123456789")
	<-r.begun
	c.end(t)
	other.end(t)
	close(r.release)
	seen := map[any]bool{}
	for _, one := range r.records(t) {
		waf, _ := one["waf"].(map[string]any)
		seen[one["path"]] = waf["outcome"] == "clean" && one["status"] == 200.0
	}
	if len(seen) != 3 || !seen["/first"] || !seen["/second"] || !seen["/third"] {
		t.Errorf("recorded as clean: %v", seen)
	}
}

// What is kept for verdicts is bounded. Beyond that nobody waits either, and that it was
// not looked at is written down.
func TestABacklogThatIsFullIsAnOverload(t *testing.T) {
	l := limits.Default()
	l.InspectionBacklog = 20 << 10 // the heads of two requests
	r := newRig(t, l)
	c := r.call(t)
	for range 3 {
		c.post(t, "/", "0123456789")
	}
	c.post(t, "/last", "0123456789") // which is read when those before it are over
	_ = c.Close()
	<-r.begun
	<-r.begun
	close(r.release)
	got := map[any]int{}
	for _, one := range r.records(t) {
		if one["path"] == "/last" {
			continue
		}
		waf, _ := one["waf"].(map[string]any)
		got[waf["outcome"]]++
		if waf["outcome"] == "not_inspected" && waf["uninspected"] != "overload" {
			t.Errorf("the record is %v", waf)
		}
	}
	if got["clean"] != 2 || got["not_inspected"] != 1 {
		t.Errorf("the outcomes are %v", got)
	}
	if !r.inspector.Keep(l.InspectionBacklog, l.InspectionBacklog) {
		t.Error("something is still kept")
	}
}

// Of what ends before its end is recorded what was seen.
func TestABodyThatEndsTooEarlyIsLookedAt(t *testing.T) {
	cases := []struct {
		name, path, text string
		clientEnds       bool
		uninspected      any
		inspected        float64
	}{
		{"whole", "/whole", "Content-Length: 4\r\n\r\nabcd", false, nil, 4},
		{"cut off", "/cut", "Content-Length: 40\r\n\r\nabcd", true, "unfinished", 4},
		{"cut off in a chunk", "/chunk", "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n9\r\nef", true, "unfinished", 6},
		{"broken", "/broken", "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\nx\r\n", false, "unfinished", 4},
	}
	if len(cases) < 4 {
		t.Fatalf("only %d cases", len(cases))
	}
	r := newRig(t, limits.Default())
	close(r.release)
	for _, tt := range cases {
		c := r.call(t)
		c.send(t, "POST "+tt.path+" HTTP/1.1\r\nHost: payments\r\nContent-Type: text/plain\r\n"+tt.text)
		if tt.clientEnds {
			_ = c.Conn.(*net.TCPConn).CloseWrite()
		}
		<-r.begun
		_ = c.Close()
	}
	seen := map[any]any{}
	for _, one := range r.records(t) {
		seen[one["path"]] = one["waf"]
	}
	for _, tt := range cases {
		waf, _ := seen[tt.path].(map[string]any)
		if waf["outcome"] != "clean" || waf["uninspected"] != tt.uninspected || waf["inspected_bytes"] != tt.inspected {
			t.Errorf("%s: the record is %v", tt.name, waf)
		}
	}
}
