package http2

import (
	"strings"
	"testing"

	wire "golang.org/x/net/http2"
)

const (
	getSent = ":method=GET :scheme=http :authority=a :path=/ END"
	// refused is what our rig answers when the next hop is at fault.
	badGateway = ":status=502 "
)

// answers is a case of a GET that the next hop answers.
func answers(name string, answer func(p *peer, id uint32), client string) relayCase {
	return relayCase{name: name, answer: answer, want: relayed{client: client, upstream: getSent}}
}

// ok is a head of status 200 with more fields.
func ok(lines ...string) []string { return append([]string{":status: 200"}, lines...) }

var relayedAnswers = []relayCase{
	answers("no body", func(p *peer, id uint32) { p.headers(id, true, ok()...) }, ":status=200 END"),
	answers("a body", func(p *peer, id uint32) { p.headers(id, false, ok("a: b")...); p.data(id, true, "hello") }, `:status=200 a=b "hello" END`),
	answers("a body of a length", func(p *peer, id uint32) {
		p.headers(id, false, ok("content-length: 5")...)
		p.data(id, true, "hello")
	}, `:status=200 content-length=5 "hello" END`),
	answers("an end of its own", func(p *peer, id uint32) {
		p.headers(id, false, ok()...)
		p.data(id, false, "hello")
		p.data(id, true, "")
	}, `:status=200 "hello" END`),
	answers("an empty body", func(p *peer, id uint32) { p.headers(id, false, ok()...); p.data(id, true, "") }, `:status=200 END`),
	answers("trailers", func(p *peer, id uint32) {
		p.headers(id, false, ok()...)
		p.data(id, false, "x")
		p.headers(id, true, "grpc-status: 0", "grpc-message: ok")
	}, `:status=200 "x" grpc-status=0 grpc-message=ok END`),
	answers("trailers without a body", func(p *peer, id uint32) { p.headers(id, false, ok()...); p.headers(id, true, "grpc-status: 5") }, `:status=200 grpc-status=5 END`),
	answers("trailers that are not passed on", func(p *peer, id uint32) {
		p.headers(id, false, ok()...)
		p.headers(id, true, "set-cookie: a", "content-type: b", "x-outrider-decision: c", "content-length: 9", "te: x")
	}, `:status=200 END`),
	answers("a head that is all there is", func(p *peer, id uint32) {
		p.headers(id, true, ok("content-type: application/grpc", "grpc-status: 5")...)
	}, `:status=200 content-type=application/grpc grpc-status=5 END`),
	answers("an interim response", func(p *peer, id uint32) {
		p.headers(id, false, ":status: 103", "link: </a>")
		p.headers(id, true, ok()...)
	}, `:status=103 link=</a> :status=200 END`),
	answers("as many interim responses as are allowed", func(p *peer, id uint32) {
		for range 3 {
			p.headers(id, false, ":status: 100")
		}
		p.headers(id, true, ok()...)
	}, `:status=100 :status=100 :status=100 :status=200 END`),
	answers("204", func(p *peer, id uint32) { p.headers(id, true, ":status: 204", "content-length: 0") }, `:status=204 END`),
	answers("304 with a length", func(p *peer, id uint32) { p.headers(id, true, ":status: 304", "content-length: 7") }, `:status=304 content-length=7 END`),
	answers("an error", func(p *peer, id uint32) { p.headers(id, false, ":status: 599"); p.data(id, true, "x") }, `:status=599 "x" END`),
	answers("fields that end here", func(p *peer, id uint32) {
		p.headers(id, true, ok("x-outrider-peer: a", "x_outrider_peer: a", "x-outrider-decision: b", "x-forwarded-client-cert: c", "proxy-authenticate: d", "te: trailers", "x: y")...)
	}, `:status=200 x=y END`),
	answers("a reset for the rest of the request", func(p *peer, id uint32) {
		p.headers(id, true, ok()...)
		p.frame(wire.FrameRSTStream, 0, id, u32(0))
	}, `:status=200 END`),
	answers("a frame that nobody knows", func(p *peer, id uint32) {
		p.frame(0xfa, 0, id, "x")
		p.headers(id, false, ok()...)
		p.frame(0xfa, 0, id, "x")
		p.data(id, true, "x")
	}, `:status=200 "x" END`),
	answers("padding", func(p *peer, id uint32) {
		p.headers(id, false, ok()...)
		p.frame(wire.FrameData, 9, id, "\x02hello\x00\x00")
	}, `:status=200 "hello" END`),
	{
		name: "HEAD with a length", ask: func(p *peer) { p.headers(1, true, method("HEAD")...) },
		answer: func(p *peer, id uint32) { p.headers(id, true, ok("content-length: 7")...) },
		want:   relayed{client: ":status=200 content-length=7 END", upstream: ":method=HEAD :scheme=http :authority=a :path=/ END"},
	},
	{
		name: "a request with a body and trailers",
		ask: func(p *peer) {
			p.post(1, "te: trailers")
			p.data(1, false, "hello")
			p.headers(1, true, "x: y")
		},
		answer: func(p *peer, id uint32) { p.headers(id, true, ok()...) },
		want:   relayed{client: ":status=200 END", upstream: `:method=POST :scheme=http :authority=a :path=/ te=trailers "hello" x=y END`},
	},
	{
		name: "websocket over HTTP/2",
		ask: func(p *peer) {
			p.headers(1, false, ":method: CONNECT", ":scheme: http", ":authority: a", ":path: /chat", ":protocol: websocket")
			p.data(1, true, "in")
		},
		answer: func(p *peer, id uint32) { p.headers(id, false, ok()...); p.data(id, true, "out") },
		want:   relayed{client: `:status=200 "out" END`, upstream: `:method=CONNECT :scheme=http :authority=a :path=/chat :protocol=websocket "in" END`},
	},
	{
		name: "CONNECT",
		ask: func(p *peer) {
			p.headers(1, false, ":method: CONNECT", ":authority: a:1")
			p.data(1, true, "in")
		},
		answer: func(p *peer, id uint32) { p.headers(id, false, ok()...); p.data(id, true, "out") },
		want:   relayed{client: `:status=200 "out" END`, upstream: `:method=CONNECT :authority=a:1 "in" END`},
	},
}

func TestRelayedAnswers(t *testing.T) {
	for i := range relayedAnswers {
		c := &relayedAnswers[i]
		t.Run(c.name, func(t *testing.T) {
			if got := carry(t, testLimits(), Dialed{}, c); got != c.want {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
		})
	}
	if len(relayedAnswers) < 22 {
		t.Errorf("%d cases, want at least 22", len(relayedAnswers))
	}
}

// A badAnswer is what a next hop does wrong, and the rule that it breaks. The client
// is answered 502 where it can be, and its stream reset where it cannot.
type badAnswer struct {
	name   string
	answer func(p *peer, id uint32)
	rule   string
	// begun is what the client had got by then; empty if nothing.
	begun string
	// told is what the next hop is told.
	told string
}

// bad is an answer of nothing but a head.
func bad(name, rule string, lines ...string) badAnswer {
	return badAnswer{name: name, rule: "malformed: " + rule, told: "RST:PROTOCOL_ERROR", answer: func(p *peer, id uint32) {
		p.headers(id, false, lines...)
		p.data(id, false, "x")
	}}
}

const noStatus = "no :status, or one that is not three digits"

var badAnswers = []badAnswer{
	bad("no status", noStatus, "a: b"),
	bad("an empty status", noStatus, ":status:"),
	bad("a status of two digits", noStatus, ":status: 20"),
	bad("a status of four digits", noStatus, ":status: 2000"),
	bad("a status with a space", noStatus, ":status: 20 "),
	bad("a status with a reason", noStatus, ":status: 200 OK"),
	bad("a negative status", noStatus, ":status: -20"),
	bad("a status in letters", noStatus, ":status: abc"),
	bad("a status below 100", "the status code is out of range", ":status: 099"),
	bad("a status over 599", "the status code is out of range", ":status: 600"),
	bad("101", "a 101 in HTTP/2", ":status: 101"),
	bad("two statuses", noTwice, ":status: 200", ":status: 200"),
	bad("a pseudo-header field of requests", noPseudo, ":status: 200", ":path: /"),
	bad("a pseudo-header field that nobody knows", noPseudo, ":status: 200", ":color: red"),
	bad("a status behind another field", noLate, "a: b", ":status: 200"),
	bad("upper case", noUpper, ok("A: b")...),
	bad("a name with a space", noName, ok("a b: c")...),
	bad("CRLF in a value", noControl, ok("a: b\r\nc: d")...),
	bad("LF in a value", noControl, ok("a: b\nc")...),
	bad("a NUL in a value", noControl, ok("a: b\x00")...),
	bad("white space behind a value", noSpace, ok("a: b ")...),
	bad("connection", noHop, ok("connection: close")...),
	bad("transfer-encoding", noHop, ok("transfer-encoding: chunked")...),
	bad("keep-alive", noHop, ok("keep-alive: x")...),
	bad("upgrade", noHop, ok("upgrade: h2c")...),
	bad("two lengths", noTwo, ok("content-length: 1", "content-length: 1")...),
	bad("a length that is no number", noLength, ok("content-length: 1x")...),
	bad("a framing field with an underscore", noUnderline, ok("content_length: 1")...),
	bad("a length in 204", "content-length in a response without a body", ":status: 204", "content-length: 1"),
	bad("a length in an interim response", "content-length in a response without a body", ":status: 103", "content-length: 1"),
	{
		name: "an interim response that ends the stream", rule: "malformed: an interim response that ends the stream",
		answer: func(p *peer, id uint32) { p.headers(id, true, ":status: 100") },
	},
	{
		name: "too many interim responses", rule: "too many interim responses", told: "RST:CANCEL", begun: "-",
		answer: func(p *peer, id uint32) {
			for range 4 {
				p.headers(id, false, ":status: 100")
			}
		},
	},
	{
		name: "a head over its limit", rule: "head: the header section is over its limit",
		answer: func(p *peer, id uint32) { p.headers(id, true, ok("a: "+strings.Repeat("b", 4096))...) },
	},
	{
		name: "too many fields", rule: "head: too many header fields",
		answer: func(p *peer, id uint32) {
			p.headers(id, true, ok(strings.Split(strings.Repeat("x: b|", 20)+"x: b", "|")...)...)
		},
	},
	{
		name: "DATA before the head", rule: "malformed: DATA before the head of its message",
		answer: func(p *peer, id uint32) { p.data(id, true, "x") },
	},
	{
		name: "a length without a body", rule: shorterBody,
		answer: func(p *peer, id uint32) { p.headers(id, true, ok("content-length: 1")...) },
	},
	{
		name: "a reset", rule: "stream reset: INTERNAL_ERROR", begun: "RST:INTERNAL_ERROR",
		answer: func(p *peer, id uint32) { p.frame(wire.FrameRSTStream, 0, id, u32(2)) },
	},
	{
		name: "a reset with a code that nobody knows", rule: "stream reset: unknown error code 0xfa", begun: "RST:unknown error code 0xfa",
		answer: func(p *peer, id uint32) { p.frame(wire.FrameRSTStream, 0, id, u32(0xfa)) },
	},
	{
		name: "a body over its length", rule: longerBody,
		answer: func(p *peer, id uint32) { p.headers(id, false, ok("content-length: 1")...); p.data(id, true, "xy") },
	},
	{
		name: "a body under its length", rule: shorterBody,
		answer: func(p *peer, id uint32) { p.headers(id, false, ok("content-length: 2")...); p.data(id, true, "x") },
	},
	{
		name: "a body that turns out to be over its length", rule: longerBody, told: "RST:PROTOCOL_ERROR",
		begun: `:status=200 content-length=1 "x" RST:INTERNAL_ERROR`,
		answer: func(p *peer, id uint32) {
			p.headers(id, false, ok("content-length: 1")...)
			p.data(id, false, "x")
			p.pause()
			p.data(id, false, "y")
		},
	},
	{
		name: "a body of 204", rule: longerBody,
		answer: func(p *peer, id uint32) { p.headers(id, false, ":status: 204"); p.data(id, true, "x") },
	},
	{
		name: "a body of 304", rule: longerBody,
		answer: func(p *peer, id uint32) { p.headers(id, false, ":status: 304"); p.data(id, true, "x") },
	},
	{
		name: "a reset in the body", rule: "stream reset: CANCEL", begun: `:status=200 "x" RST:CANCEL`,
		answer: func(p *peer, id uint32) {
			p.headers(id, false, ok()...)
			p.data(id, false, "x")
			p.frame(wire.FrameRSTStream, 0, id, u32(8))
		},
	},
	{
		name: "a reset without an error in the body", rule: "stream reset: NO_ERROR", begun: `:status=200 "x" RST:NO_ERROR`,
		answer: func(p *peer, id uint32) {
			p.headers(id, false, ok()...)
			p.data(id, false, "x")
			p.frame(wire.FrameRSTStream, 0, id, u32(0))
		},
	},
	{
		name: "trailers that do not end the stream", rule: "malformed: trailers that do not end the stream", told: "RST:PROTOCOL_ERROR",
		answer: func(p *peer, id uint32) { p.headers(id, false, ok()...); p.headers(id, false, "a: b") },
	},
	{
		name: "a second head for trailers", rule: "malformed: a pseudo-header field in a trailer section",
		answer: func(p *peer, id uint32) { p.headers(id, false, ok()...); p.headers(id, true, ok()...) },
	},
	{
		name: "trailers with upper case", rule: "malformed: " + noUpper,
		answer: func(p *peer, id uint32) { p.headers(id, false, ok()...); p.headers(id, true, "A: b") },
	},
	{
		name: "trailers over their limit", rule: "head: the header section is over its limit",
		answer: func(p *peer, id uint32) {
			p.headers(id, false, ok()...)
			p.headers(id, true, "a: "+strings.Repeat("b", 512))
		},
	},
	{
		name: "a connection that is over before the answer", rule: "connection ",
		answer: func(p *peer, _ uint32) { p.nc.Close() },
	},
	{
		name: "a connection that is over in the body", rule: "connection ", begun: `:status=200 "x" RST:INTERNAL_ERROR`,
		answer: func(p *peer, id uint32) {
			p.headers(id, false, ok()...)
			p.data(id, false, "x")
			p.flush()
			p.nc.Close()
		},
	},
	{
		name: "a push", rule: "malformed: a PUSH_PROMISE that nobody asked for", told: "GOAWAY:PROTOCOL_ERROR",
		answer: func(p *peer, id uint32) { p.frame(wire.FramePushPromise, 4, id, u32(2)+"\x82") },
	},
	{
		name: "a head on a stream that was not opened", rule: "malformed: HEADERS on a stream that was not opened", told: "GOAWAY:PROTOCOL_ERROR",
		answer: func(p *peer, id uint32) { p.headers(id+2, true, ok()...) },
	},
	{
		name: "a head on a stream of its own", rule: "malformed: HEADERS on a stream that was not opened", told: "GOAWAY:PROTOCOL_ERROR",
		answer: func(p *peer, _ uint32) { p.headers(2, true, ok()...) },
	},
	{
		name: "HPACK that cannot be decoded", rule: "malformed: a header section that cannot be decoded", told: "GOAWAY:COMPRESSION_ERROR",
		answer: func(p *peer, id uint32) { p.frame(wire.FrameHeaders, 5, id, "\x80") },
	},
	{
		name: "a frame over its size", rule: "malformed: a frame is over the size that we announced", told: "GOAWAY:FRAME_SIZE_ERROR",
		answer: func(p *peer, id uint32) { p.data(id, true, strings.Repeat("x", mostFrame+1)) },
	},
	{
		name: "a head in too many frames", rule: "malformed: a head in too many frames, or far over its limit", told: "GOAWAY:ENHANCE_YOUR_CALM",
		answer: func(p *peer, id uint32) {
			p.frame(wire.FrameHeaders, 0, id, "\x88")
			for range 20 {
				p.frame(wire.FrameContinuation, 0, id, "")
			}
		},
	},
	{
		name: "a goodbye that is an error", rule: "not begun: INTERNAL_ERROR",
		answer: func(p *peer, _ uint32) { p.frame(wire.FrameGoAway, 0, 0, u32(0)+u32(2)) },
	},
}

func TestBadAnswers(t *testing.T) {
	for _, c := range badAnswers {
		t.Run(c.name, func(t *testing.T) {
			got := carry(t, testLimits(), Dialed{}, &relayCase{answer: c.answer})
			if want := strings.TrimSpace(getSent + " " + c.told); !strings.HasPrefix(got.upstream, want) {
				t.Errorf("the next hop got %s\nwant %s", got.upstream, want)
			}
			if !strings.Contains(got.failure, c.rule) || !strings.HasPrefix(got.failure, "upstream") {
				t.Errorf("failure %s\nwant one of the next hop: %s", got.failure, c.rule)
			}
			switch {
			case c.begun == "-":
			case c.begun == "" && !strings.HasPrefix(got.client, badGateway):
				t.Errorf("the client got %s\nwant a 502", got.client)
			case c.begun != "" && got.client != c.begun:
				t.Errorf("the client got %s\nwant %s", got.client, c.begun)
			}
		})
	}
	if len(badAnswers) < 55 {
		t.Errorf("%d cases, want at least 55", len(badAnswers))
	}
}
