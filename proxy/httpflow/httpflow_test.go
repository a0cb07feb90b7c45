package httpflow_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/proxy/accesslog"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/httpflow"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/message"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

// serve sends text to a server that calls handle for each request, and returns
// the answers and the access log.
func serve(t *testing.T, text string, handle func(*httpflow.Recorder, *http1.Exchange, *flow.Request)) (answers string, records []map[string]any) {
	t.Helper()
	client, server := net.Pipe()
	var log bytes.Buffer
	ids := accesslog.NewIDs()
	conn := &flow.Connection{Direction: flow.Inbound, Listener: "http", Protocol: flow.HTTP1}
	rec := &httpflow.Recorder{
		Conn: conn, Metrics: telemetry.New().Connection(conn),
		Log: accesslog.New(accesslog.Options{Output: &log, IDs: ids}), IDs: ids,
	}
	l := limits.Default()
	l.LingerTimeout = time.Millisecond
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = http1.NewServer(http1.ServerOptions{Limits: l, Buffers: new(http1.Buffers)}).NewConn(server).Serve(func(x *http1.Exchange) {
			q := rec.Begin(httpflow.Call{V1: x})
			defer rec.End(httpflow.Call{V1: x})
			handle(rec, x, q)
		})
	}()
	go func() {
		_, _ = io.WriteString(client, text) // the server may stop reading
	}()
	b, err := io.ReadAll(client)
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	_ = client.Close()
	<-done
	if err := rec.Log.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(log.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		records = append(records, r)
	}
	return string(b), records
}

const last = "connection: close\r\n\r\n"

func TestARequestIsDescribed(t *testing.T) {
	var got flow.Request
	_, records := serve(t, "POST /a%2Fb?q=1?2 HTTP/1.1\r\nhost: Payments:8080\r\nx-a: 1\r\ncontent-length: 5\r\n"+last+"hello",
		func(_ *httpflow.Recorder, x *http1.Exchange, q *flow.Request) {
			got = *q
			if v, ok := q.Header.Get("x-a"); v != "1" || !ok {
				t.Errorf("x-a: %q, %t", v, ok)
			}
			_ = x.Respond(200, nil, []byte("world!"))
		})
	if got.Method != "POST" || got.Target != "/a%2Fb?q=1?2" || got.Path != "/a%2Fb" || got.Query != "q=1?2" ||
		got.Host != "Payments:8080" || got.Proto != "HTTP/1.1" || got.Started.IsZero() || got.Conn.Listener != "http" {
		t.Errorf("%+v", got)
	}
	if len(records) != 1 || records[0]["status"] != 200.0 || records[0]["reason"] != nil {
		t.Errorf("records %v", records)
	}
}

func TestTwoRequestsOfAConnectionDoNotMix(t *testing.T) {
	first := true
	_, records := serve(t, "GET /one HTTP/1.1\r\nhost: x\r\n\r\nGET /two HTTP/1.0\r\nhost: x\r\n\r\n",
		func(rec *httpflow.Recorder, x *http1.Exchange, q *flow.Request) {
			if first {
				first = false
				rec.Refuse(httpflow.Call{V1: x}, flow.Refusal{Reason: flow.AccessDenied, Detail: "secret policy"})
				return
			}
			if q.Refusal != (flow.Refusal{}) || q.DecisionID != "" || q.Proto != "HTTP/1.0" {
				t.Errorf("the second starts as %+v", q)
			}
			_ = x.Respond(204, nil, nil)
		})
	if len(records) != 2 || records[0]["reason"] != "access_denied" || records[1]["reason"] != nil {
		t.Errorf("records %v", records)
	}
}

func TestARefusalIsAnsweredAndFoundByItsID(t *testing.T) {
	answers, records := serve(t, "GET / HTTP/1.1\r\nhost: x\r\n"+last, func(rec *httpflow.Recorder, x *http1.Exchange, _ *flow.Request) {
		rec.Refuse(httpflow.Call{V1: x}, flow.Refusal{Reason: flow.AccessDenied, Detail: "denied by shop/secret rule 7"})
	})
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answers)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 403 || strings.Contains(answers, "secret") {
		t.Errorf("answer %q, %v", answers, err)
	}
	id := res.Header.Get("X-Outrider-Decision")
	if len(records) != 1 || id == "" || records[0]["decision_id"] != id || !strings.Contains(string(body), id) {
		t.Errorf("id %q in %v", id, records)
	}
	if records[0]["detail"] != "denied by shop/secret rule 7" {
		t.Errorf("the log does not explain: %v", records[0])
	}
}

// Some reasons have no answer: then the connection is cut off.
func TestARefusalWithoutAnAnswerEndsTheConnection(t *testing.T) {
	answers, records := serve(t, "GET / HTTP/1.1\r\nhost: x\r\n\r\n", func(rec *httpflow.Recorder, x *http1.Exchange, _ *flow.Request) {
		rec.Refuse(httpflow.Call{V1: x}, flow.Refusal{Reason: flow.ClientClosed})
	})
	if answers != "" || len(records) != 1 || records[0]["reason"] != "client_closed" {
		t.Errorf("answer %q, records %v", answers, records)
	}
}

// A tunnel has counted its bytes by itself; what came with the head is added.
func TestBytesOfATunnelAreKept(t *testing.T) {
	var got *flow.Request
	serve(t, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n"+last+"hello", func(_ *httpflow.Recorder, x *http1.Exchange, q *flow.Request) {
		got = q
		if _, _, err := x.Body.Peek(5); err != nil {
			t.Error(err)
		}
		_ = x.Respond(200, nil, []byte("world!"))
		q.Received, q.Sent = 100, 200
	})
	if got.Received != 105 || got.Sent != 206 {
		t.Errorf("%d received, %d sent", got.Received, got.Sent)
	}
}

// https://www.w3.org/TR/trace-context/#traceparent-header
var traceparent = regexp.MustCompile(`^traceparent: (00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2})\r\n$`)

func TestATraceIsBegun(t *testing.T) {
	seen := map[string]bool{}
	const requests = 50
	_, records := serve(t, strings.Repeat("GET / HTTP/1.1\r\nhost: x\r\n\r\n", requests-1)+"GET / HTTP/1.1\r\nhost: x\r\n"+last,
		func(rec *httpflow.Recorder, x *http1.Exchange, q *flow.Request) {
			line := rec.Traceparent()
			m := traceparent.FindStringSubmatch(string(line))
			if m == nil {
				t.Fatalf("%q is no traceparent", line)
			}
			if strings.Trim(m[2], "0") == "" || strings.Trim(m[3], "0") == "" || seen[m[2]] || seen[m[3]] {
				t.Errorf("%q is zero, or was there before", line)
			}
			seen[m[2]], seen[m[3]] = true, true
			if q.Trace != m[1] {
				t.Errorf("noted %q of %q", q.Trace, line)
			}
			_ = x.Respond(204, nil, nil)
		})
	if len(records) != requests || len(seen) != 2*requests {
		t.Fatalf("%d records, %d ids", len(records), len(seen))
	}
	for _, r := range records {
		trace, _ := r["trace"].(string)
		if id := strings.Split(trace+"--", "-")[1]; !seen[id] {
			t.Errorf("the log notes %q", trace)
		}
	}
}

func TestATraceIsKept(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	serve(t, "GET / HTTP/1.1\r\nhost: x\r\nTraceparent: "+trace+"\r\n"+last, func(rec *httpflow.Recorder, x *http1.Exchange, q *flow.Request) {
		if line := rec.Traceparent(); line != nil || q.Trace != trace {
			t.Errorf("added %q to %q", line, q.Trace)
		}
		_ = x.Respond(204, nil, nil)
	})
}

// The note of it is a copy, and all that is allocated.
func TestATraceCostsOneAllocation(t *testing.T) {
	var rec httpflow.Recorder
	x := new(http1.Exchange)
	if n := testing.AllocsPerRun(100, func() {
		rec.Begin(httpflow.Call{V1: x})
		rec.Traceparent()
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestWhyNoRequestCouldBeRead(t *testing.T) {
	broken := func(k message.ErrorKind) error { return &message.ProtocolError{Kind: k, Rule: "some rule"} }
	for _, c := range []struct {
		err  error
		want flow.Reason
	}{
		{broken(message.Malformed), flow.BadRequest},
		{broken(message.HeadTooLarge), flow.HeadTooLarge},
		{broken(message.TargetTooLong), flow.HeadTooLarge},
		{broken(message.BodyTooLarge), flow.BodyTooLarge},
		{broken(message.UnsupportedVersion), flow.BadRequest},
		{broken(message.UnsupportedCoding), flow.BadRequest},
		{broken(message.MethodRefused), flow.MethodRefused},
		{broken(99), flow.BadRequest},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, flow.RequestTimeout},
		{io.EOF, flow.ClientClosed},
		{message.ErrUnexpectedEnd, flow.ClientClosed},
		{net.ErrClosed, flow.ClientClosed},
	} {
		if got := httpflow.RefusalOf(c.err); got.Reason != c.want || got.Detail == "" {
			t.Errorf("%v: %+v, want %v", c.err, got, c.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		addr net.Addr
		want string
	}{
		{&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80}, "10.0.0.1:80"}, // 16 bytes inside
		{&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 443}, "[2001:db8::1]:443"},
		{&net.UnixAddr{Name: "/run/x"}, netip.AddrPort{}.String()},
	} {
		if got := httpflow.AddrPortOf(c.addr); got.String() != c.want {
			t.Errorf("%v: %v", c.addr, got)
		}
	}
}
