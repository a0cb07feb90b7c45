package httpflow_test

import (
	"testing"

	"github.com/outrider-mesh/outrider/proxy/accesslog"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
	"github.com/outrider-mesh/outrider/proxy/httpflow"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

func overHTTP1(method string, events bool) httpflow.Call {
	return httpflow.Call{V1: &http1.Exchange{Request: http1.Request{Method: method}, Events: events}}
}

func overHTTP2(method, protocol string, status int, events bool) httpflow.Call {
	return httpflow.Call{V2: &http2.Exchange{
		Request: http2.Request{Method: method, Protocol: protocol}, Status: status, Events: events,
	}}
}

// A gRPC call is known by its head, which only the engine reads: test/e2e has it.
func TestStreamsAreToldFromRequests(t *testing.T) {
	cases := []struct {
		name     string
		call     httpflow.Call
		upgraded bool
		want     flow.Class
	}{
		{"a request", overHTTP1("GET", false), false, flow.NoStream},
		{"events", overHTTP1("GET", true), false, flow.EventStream},
		{"an upgrade", overHTTP1("GET", false), true, flow.Upgrade},
		{"a tunnel", overHTTP1("CONNECT", false), true, flow.Connect},
		{"a tunnel that was not granted", overHTTP1("CONNECT", false), false, flow.NoStream},
		{"a request over HTTP/2", overHTTP2("GET", "", 200, false), false, flow.NoStream},
		{"events over HTTP/2", overHTTP2("GET", "", 200, true), false, flow.EventStream},
		{"a tunnel over HTTP/2", overHTTP2("CONNECT", "", 200, false), false, flow.Connect},
		{"a WebSocket over HTTP/2", overHTTP2("CONNECT", "websocket", 200, false), false, flow.ExtendedConnect},
		{"a WebSocket that was not granted", overHTTP2("CONNECT", "websocket", 403, false), false, flow.NoStream},
		{"one that was never answered", overHTTP2("CONNECT", "websocket", 0, false), false, flow.NoStream},
	}
	if len(cases) < 11 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		conn := &flow.Connection{Direction: flow.Inbound}
		rec := &httpflow.Recorder{Conn: conn, Metrics: telemetry.New().Connection(conn), IDs: accesslog.NewIDs()}
		q := rec.Begin(c.call)
		q.Upgraded = c.upgraded
		rec.End(c.call)
		if q.Stream != c.want {
			t.Errorf("%s: %v, want %v", c.name, q.Stream, c.want)
		}
	}
}
