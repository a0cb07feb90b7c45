package http2

import (
	"encoding/binary"
	"strings"
	"testing"

	wire "golang.org/x/net/http2"
)

// A frameCase is what a client says, and what becomes of it: see outcome.
type frameCase struct {
	name string
	say  func(p *peer)
	want string
}

const (
	isProtocol   = "GOAWAY PROTOCOL_ERROR: "
	isSize       = "GOAWAY FRAME_SIZE_ERROR: "
	isClosed     = "GOAWAY STREAM_CLOSED: "
	isFlow       = "GOAWAY FLOW_CONTROL_ERROR: "
	isCompress   = "GOAWAY COMPRESSION_ERROR: "
	isCalm       = "GOAWAY ENHANCE_YOUR_CALM: "
	wrongSize    = "a frame has the wrong size for its type"
	notOpened    = " on a stream that was not opened"
	notDecoded   = "a header section that cannot be decoded"
	longerBody   = "malformed: the body is longer than its content-length"
	shorterBody  = "malformed: the body is shorter than its content-length"
	dependsOnIts = "a stream that depends on itself"
)

func u32(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

func setting(id uint16, n uint32) string {
	return string(binary.BigEndian.AppendUint16(nil, id)) + u32(n)
}

// greeted is a case behind the greeting.
func greeted(name string, say func(p *peer), want string) frameCase {
	return frameCase{name, func(p *peer) { p.greet(); say(p) }, want}
}

var connectionCases = []frameCase{
	{"another preface", func(p *peer) { p.raw("GET / HTTP/1.1\r\n\r\n") }, isProtocol + "the connection does not begin with the preface of HTTP/2"},
	{"a preface that differs at its end", func(p *peer) { p.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r") }, isProtocol + "the connection does not begin with the preface of HTTP/2"},
	{"the first frame is a request", func(p *peer) { p.raw(wire.ClientPreface); p.get(1) }, isProtocol + "the first frame is not SETTINGS"},
	{"the first frame is PING", func(p *peer) {
		p.raw(wire.ClientPreface)
		p.frame(wire.FramePing, 0, 0, "12345678")
	}, isProtocol + "the first frame is not SETTINGS"},
	greeted("a request", func(p *peer) { p.get(1) }, "1 GET / a"),
	greeted("two requests", func(p *peer) { p.get(1); p.get(3) }, "1 GET / a; 3 GET / a"),
	greeted("requests with gaps in their numbers", func(p *peer) { p.get(1); p.get(101) }, "1 GET / a; 101 GET / a"),
	greeted("an even number", func(p *peer) { p.get(2) }, isProtocol+"a stream of a client with an even number"),
	greeted("a number lower than one before", func(p *peer) { p.get(5); p.get(3) }, isClosed+"HEADERS on a stream that was closed"),
	greeted("a frame over its size", func(p *peer) { p.post(1); p.data(1, true, strings.Repeat("x", mostFrame+1)) }, isSize+"a frame is over the size that we announced"),
	greeted("an unknown frame", func(p *peer) { p.frame(0xfa, 0xff, 7, "x"); p.get(1) }, "1 GET / a"),
	greeted("an unknown frame over its size", func(p *peer) { p.frame(0xfa, 0, 0, strings.Repeat("x", mostFrame+1)) }, isSize+"a frame is over the size that we announced"),
	greeted("PRIORITY_UPDATE", func(p *peer) { p.frame(0x10, 0, 0, u32(1)+"u=1"); p.get(1) }, "1 GET / a"),
	greeted("PUSH_PROMISE", func(p *peer) { p.frame(wire.FramePushPromise, wire.FlagPushPromiseEndHeaders, 1, u32(2)) }, isProtocol+"a PUSH_PROMISE that nobody asked for"),
	greeted("GOAWAY of a client", func(p *peer) { p.frame(wire.FrameGoAway, 0, 0, u32(0)+u32(0)); p.get(1) }, "1 GET / a"),
	greeted("GOAWAY that is too short", func(p *peer) { p.frame(wire.FrameGoAway, 0, 0, u32(0)) }, isSize+wrongSize),
	greeted("GOAWAY on a stream", func(p *peer) { p.frame(wire.FrameGoAway, 0, 1, u32(0)+u32(0)) }, isProtocol+"a frame is malformed"),
}

var controlCases = []frameCase{
	greeted("SETTINGS of no whole settings", func(p *peer) { p.frame(wire.FrameSettings, 0, 0, "12345") }, isSize+wrongSize),
	greeted("SETTINGS on a stream", func(p *peer) { p.frame(wire.FrameSettings, 0, 1, "") }, isProtocol+"a frame is malformed"),
	greeted("an acknowledgement with settings", func(p *peer) { p.frame(wire.FrameSettings, wire.FlagSettingsAck, 0, setting(1, 0)) }, isSize+wrongSize),
	greeted("ENABLE_PUSH of 2", func(p *peer) { p.frame(wire.FrameSettings, 0, 0, setting(2, 2)) }, isProtocol+"a setting is out of its range"),
	greeted("a window over 2^31-1", func(p *peer) { p.frame(wire.FrameSettings, 0, 0, setting(4, 1<<31)) }, isFlow+"a frame is malformed"),
	greeted("a window over 2^31-1 behind another", func(p *peer) { p.frame(wire.FrameSettings, 0, 0, setting(4, 1)+setting(4, 1<<31)) }, isFlow+"an initial window over 2^31-1"),
	greeted("a frame size below the least", func(p *peer) { p.frame(wire.FrameSettings, 0, 0, setting(5, 16383)) }, isProtocol+"a setting is out of its range"),
	greeted("a frame size over the most", func(p *peer) { p.frame(wire.FrameSettings, 0, 0, setting(5, 1<<24)) }, isProtocol+"a setting is out of its range"),
	greeted("ENABLE_CONNECT_PROTOCOL of 2", func(p *peer) { p.frame(wire.FrameSettings, 0, 0, setting(8, 2)) }, isProtocol+"a setting is out of its range"),
	greeted("a setting that nobody knows", func(p *peer) { p.frame(wire.FrameSettings, 0, 0, setting(0xfafa, 7)); p.get(1) }, "1 GET / a"),
	greeted("PING of 7 bytes", func(p *peer) { p.frame(wire.FramePing, 0, 0, "1234567") }, isSize+wrongSize),
	greeted("PING on a stream", func(p *peer) { p.frame(wire.FramePing, 0, 1, "12345678") }, isProtocol+"a frame is malformed"),
	greeted("PING and its answer", func(p *peer) {
		p.frame(wire.FramePing, 0, 0, "12345678")
		p.frame(wire.FramePing, 1, 0, "12345678")
		p.get(1)
	}, "1 GET / a"),
	greeted("WINDOW_UPDATE of 0", func(p *peer) { p.frame(wire.FrameWindowUpdate, 0, 0, u32(0)) }, isProtocol+"a frame is malformed"),
	greeted("WINDOW_UPDATE of 0 on a stream", func(p *peer) { p.post(1); p.frame(wire.FrameWindowUpdate, 0, 1, u32(0)) }, "1 POST / a malformed: a control frame is malformed; RST 1 PROTOCOL_ERROR"),
	greeted("WINDOW_UPDATE of 5 bytes", func(p *peer) { p.frame(wire.FrameWindowUpdate, 0, 0, "12345") }, isSize+wrongSize),
	greeted("WINDOW_UPDATE on an idle stream", func(p *peer) { p.frame(wire.FrameWindowUpdate, 0, 1, u32(1)) }, isProtocol+"WINDOW_UPDATE"+notOpened),
	greeted("WINDOW_UPDATE of 0 on an idle stream", func(p *peer) { p.frame(wire.FrameWindowUpdate, 0, 1, u32(0)) }, isProtocol+"a frame"+notOpened),
	greeted("WINDOW_UPDATE on a stream that has ended", func(p *peer) { p.get(1); p.frame(wire.FrameWindowUpdate, 0, 1, u32(1)); p.get(3) }, "1 GET / a; 3 GET / a"),
	greeted("the connection's window over 2^31-1", func(p *peer) { p.frame(wire.FrameWindowUpdate, 0, 0, u32(mostWindow)) }, isFlow+"the connection's window over 2^31-1"),
	greeted("a stream's window over 2^31-1", func(p *peer) { p.post(1); p.frame(wire.FrameWindowUpdate, 0, 1, u32(mostWindow)) }, "1 POST / a malformed: a stream's window over 2^31-1; RST 1 FLOW_CONTROL_ERROR"),
	greeted("a stream's window over 2^31-1 by a setting", func(p *peer) {
		p.post(1)
		p.frame(wire.FrameWindowUpdate, 0, 1, u32(mostWindow-firstWindow))
		p.frame(wire.FrameSettings, 0, 0, setting(4, firstWindow+1))
	}, isFlow+"a window over 2^31-1"),
	greeted("RST_STREAM of 5 bytes", func(p *peer) { p.post(1); p.frame(wire.FrameRSTStream, 0, 1, "12345") }, isSize+wrongSize),
	greeted("RST_STREAM on stream 0", func(p *peer) { p.frame(wire.FrameRSTStream, 0, 0, u32(8)) }, isProtocol+"a frame is malformed"),
	greeted("RST_STREAM on an idle stream", func(p *peer) { p.frame(wire.FrameRSTStream, 0, 1, u32(8)) }, isProtocol+"RST_STREAM"+notOpened),
	greeted("RST_STREAM in a body", func(p *peer) { p.post(1); p.frame(wire.FrameRSTStream, 0, 1, u32(8)); p.get(3) }, "1 POST / a stream reset: CANCEL; 3 GET / a"),
	greeted("PRIORITY of 4 bytes", func(p *peer) { p.frame(wire.FramePriority, 0, 1, "1234") }, isSize+wrongSize),
	greeted("PRIORITY on stream 0", func(p *peer) { p.frame(wire.FramePriority, 0, 0, "12345") }, isProtocol+"PRIORITY frame with stream ID 0"),
	greeted("PRIORITY on an idle stream", func(p *peer) { p.frame(wire.FramePriority, 0, 1, u32(3)+"x"); p.get(1) }, "1 GET / a"),
	greeted("PRIORITY of a stream on itself", func(p *peer) { p.frame(wire.FramePriority, 0, 1, u32(1)+"x") }, isProtocol+dependsOnIts),
	greeted("PRIORITY of an open stream on itself", func(p *peer) { p.post(1); p.frame(wire.FramePriority, 0, 1, u32(1)+"x") }, "1 POST / a malformed: "+dependsOnIts+"; RST 1 PROTOCOL_ERROR"),
}

var headerFrameCases = []frameCase{
	greeted("HEADERS on stream 0", func(p *peer) { p.headers(0, true, getLines()...) }, isProtocol+"HEADERS on stream 0"),
	greeted("HEADERS with padding", func(p *peer) {
		p.frame(wire.FrameHeaders, wire.FlagHeadersPadded|wire.FlagHeadersEndHeaders|wire.FlagHeadersEndStream, 1, "\x05"+string(p.section(getLines()...))+"\x00\x00\x00\x00\x00")
	}, "1 GET / a"),
	greeted("HEADERS with padding over its size", func(p *peer) {
		p.frame(wire.FrameHeaders, wire.FlagHeadersPadded|wire.FlagHeadersEndHeaders|wire.FlagHeadersEndStream, 1, "\xff"+string(p.section(getLines()...)))
	}, isProtocol+"padding that is longer than its frame"),
	greeted("padded HEADERS of nothing", func(p *peer) {
		p.frame(wire.FrameHeaders, wire.FlagHeadersPadded|wire.FlagHeadersEndHeaders, 1, "")
	}, isSize+"a padded frame without a length of its padding"),
	greeted("HEADERS with priority", func(p *peer) {
		p.frame(wire.FrameHeaders, wire.FlagHeadersPriority|wire.FlagHeadersEndHeaders|wire.FlagHeadersEndStream, 1, u32(3)+"x"+string(p.section(getLines()...)))
	}, "1 GET / a"),
	greeted("HEADERS without its priority", func(p *peer) {
		p.frame(wire.FrameHeaders, wire.FlagHeadersPriority|wire.FlagHeadersEndHeaders, 1, "1234")
	}, isSize+"HEADERS without its priority"),
	greeted("HEADERS that depends on itself", func(p *peer) {
		p.frame(wire.FrameHeaders, wire.FlagHeadersPriority|wire.FlagHeadersEndHeaders|wire.FlagHeadersEndStream, 1, u32(1)+"x"+string(p.section(getLines()...)))
	}, isProtocol+dependsOnIts),
	greeted("a head in two frames", func(p *peer) { splitHead(p, 1, 2) }, "1 GET / a"),
	greeted("a head in sixteen frames", func(p *peer) { splitHead(p, 1, 16) }, "1 GET / a"),
	greeted("a head in seventeen frames", func(p *peer) { splitHead(p, 1, 17) }, isCalm+"a head in too many frames, or far over its limit"),
	greeted("a head of empty frames", func(p *peer) {
		p.frame(wire.FrameHeaders, 0, 1, "")
		for range 20 {
			p.frame(wire.FrameContinuation, 0, 1, "")
		}
	}, isCalm+"a head in too many frames, or far over its limit"),
	greeted("a head far over its limit", func(p *peer) {
		p.frame(wire.FrameHeaders, 0, 1, string(p.section(with("x: "+strings.Repeat("\x80", 5000))...)))
		p.frame(wire.FrameContinuation, wire.FlagContinuationEndHeaders, 1, string(p.section("y: "+strings.Repeat("\x80", 5000))))
	}, isCalm+"a head in too many frames, or far over its limit"),
	greeted("CONTINUATION without HEADERS", func(p *peer) { p.frame(wire.FrameContinuation, wire.FlagContinuationEndHeaders, 1, "x") }, isProtocol+"unexpected CONTINUATION for stream 1"),
	greeted("CONTINUATION of another stream", func(p *peer) {
		p.frame(wire.FrameHeaders, 0, 1, string(p.section(getLines()...)))
		p.frame(wire.FrameContinuation, wire.FlagContinuationEndHeaders, 3, "")
	}, isProtocol+"got CONTINUATION for stream 3; expected stream 1"),
	greeted("another frame inside of a head", func(p *peer) {
		p.frame(wire.FrameHeaders, 0, 1, string(p.section(getLines()...)))
		p.frame(wire.FramePing, 0, 0, "12345678")
	}, isProtocol+"got PING for stream 0; expected CONTINUATION following HEADERS for stream 1"),
	greeted("another request inside of a head", func(p *peer) {
		p.frame(wire.FrameHeaders, 0, 1, string(p.section(getLines()...)))
		p.get(3)
	}, isProtocol+"got HEADERS for stream 3; expected CONTINUATION following HEADERS for stream 1"),
	greeted("HPACK of index 0", func(p *peer) { p.frame(wire.FrameHeaders, 5, 1, "\x80") }, isCompress+notDecoded),
	greeted("HPACK of an index that is not there", func(p *peer) { p.frame(wire.FrameHeaders, 5, 1, "\xff\x10") }, isCompress+notDecoded),
	greeted("HPACK that is cut off", func(p *peer) { p.frame(wire.FrameHeaders, 5, 1, "\x82\x40\x05abc") }, isCompress+"a header section that is cut off"),
	greeted("HPACK with a table over its size", func(p *peer) { p.frame(wire.FrameHeaders, 5, 1, "\x3f\xe2\x1f\x82") }, isCompress+notDecoded),
	greeted("HPACK with a string over twice the limit", func(p *peer) {
		p.frame(wire.FrameHeaders, 5, 1, "\x40\x01x\x7f\x81\x3f"+strings.Repeat("a", 8192))
	}, isCalm+"a head in too many frames, or far over its limit"),
	greeted("HPACK with padding of Huffman's code that is too long", func(p *peer) { p.frame(wire.FrameHeaders, 5, 1, "\x40\x01x\x82\x1f\xff") }, isCompress+notDecoded),
}

// splitHead sends a request in n frames.
func splitHead(p *peer, id uint32, n int) {
	block := string(p.section(getLines()...))
	for i := range n {
		kind, flags, part := wire.FrameContinuation, wire.Flags(0), ""
		if i == 0 {
			kind, flags = wire.FrameHeaders, wire.FlagHeadersEndStream
		}
		if i < len(block) {
			part = block[i : i+1]
		}
		if i == n-1 {
			flags |= wire.FlagHeadersEndHeaders
			part = block[min(i, len(block)):]
		}
		p.frame(kind, flags, id, part)
	}
}

var bodyCases = []frameCase{
	greeted("a body", func(p *peer) { p.post(1); p.data(1, true, "hello") }, `1 POST / a "hello"`),
	greeted("a body in pieces", func(p *peer) { p.post(1); p.data(1, false, "hel"); p.data(1, false, ""); p.data(1, true, "lo") }, `1 POST / a "hello"`),
	greeted("an end of its own", func(p *peer) { p.post(1); p.data(1, false, "hello"); p.data(1, true, "") }, `1 POST / a "hello"`),
	greeted("two bodies at a time", func(p *peer) { p.post(1); p.post(3); p.data(3, true, "b"); p.data(1, true, "a") }, `1 POST / a "a"; 3 POST / a "b"`),
	greeted("a body of GET", func(p *peer) { p.headers(1, false, getLines()...); p.data(1, true, "x") }, `1 GET / a "x"`),
	greeted("a body with padding", func(p *peer) { p.post(1); p.frame(wire.FrameData, 9, 1, "\x03hello\x00\x00\x00") }, `1 POST / a "hello"`),
	greeted("a body of nothing but padding", func(p *peer) { p.post(1); p.frame(wire.FrameData, 9, 1, "\x03\x00\x00\x00") }, `1 POST / a`),
	greeted("padding over its size", func(p *peer) { p.post(1); p.frame(wire.FrameData, 9, 1, "\x06hello") }, isProtocol+"padding that is longer than its frame"),
	greeted("padded DATA of nothing", func(p *peer) { p.post(1); p.frame(wire.FrameData, 9, 1, "") }, isSize+"a padded frame without a length of its padding"),
	greeted("DATA on stream 0", func(p *peer) { p.data(0, true, "x") }, isProtocol+"DATA on stream 0"),
	greeted("DATA on an idle stream", func(p *peer) { p.data(1, true, "x") }, isProtocol+"DATA"+notOpened),
	greeted("DATA on an even stream", func(p *peer) { p.get(3); p.data(2, true, "x") }, isProtocol+"DATA"+notOpened),
	greeted("DATA behind the end", func(p *peer) { p.post(1); p.data(1, true, "x"); p.data(1, true, "y") }, "1 POST / a malformed: DATA on a stream that was closed; RST 1 STREAM_CLOSED"),
	greeted("DATA behind a request without a body", func(p *peer) { p.get(1); p.data(1, true, "y") }, "1 GET / a malformed: DATA on a stream that was closed; RST 1 STREAM_CLOSED"),
	greeted("DATA behind RST_STREAM", func(p *peer) { p.post(1); p.frame(wire.FrameRSTStream, 0, 1, u32(8)); p.data(1, true, "y") }, "1 POST / a stream reset: CANCEL; RST 1 STREAM_CLOSED"),
	greeted("a length that is kept", func(p *peer) { p.post(1, "content-length: 5"); p.data(1, true, "hello") }, `1 POST / a "hello"`),
	greeted("a length with leading zeros", func(p *peer) { p.post(1, "content-length: 0005"); p.data(1, true, "hello") }, `1 POST / a "hello"`),
	greeted("a body over its length", func(p *peer) { p.post(1, "content-length: 5"); p.data(1, true, "hello!") }, "1 POST / a "+longerBody+"; RST 1 PROTOCOL_ERROR"),
	greeted("a body over a length of 0", func(p *peer) { p.post(1, "content-length: 0"); p.data(1, true, "x") }, "1 POST / a "+longerBody+"; RST 1 PROTOCOL_ERROR"),
	greeted("a second frame over the length", func(p *peer) { p.post(1, "content-length: 5"); p.data(1, false, "hello"); p.data(1, true, "!") }, "1 POST / a "+longerBody+"; RST 1 PROTOCOL_ERROR"),
	greeted("a body under its length", func(p *peer) { p.post(1, "content-length: 5"); p.data(1, true, "hell") }, "1 POST / a "+shorterBody+"; RST 1 PROTOCOL_ERROR"),
	greeted("a body under its length before trailers", func(p *peer) { p.post(1, "content-length: 5"); p.data(1, false, "hell"); p.headers(1, true, "x: y") }, "1 POST / a "+shorterBody+"; RST 1 PROTOCOL_ERROR"),
	greeted("a length over the limit of the body", func(p *peer) { p.post(1, "content-length: 1048577") }, "1 POST / a body: the body is over its limit; RST 1 NO_ERROR"),
	greeted("trailers", func(p *peer) { p.post(1); p.data(1, false, "x"); p.headers(1, true, "a: b", "c: d") }, `1 POST / a "x" +a=b +c=d`),
	greeted("trailers without a body", func(p *peer) { p.post(1); p.headers(1, true, "a: b") }, `1 POST / a +a=b`),
	greeted("trailers that are not passed on", func(p *peer) {
		p.post(1)
		p.headers(1, true, "host: b", "content-length: 7", "te: x", "authorization: c", "cookie: d", "trailer: e", "x-forwarded-client-cert: f", "x-outrider-peer: g", "ok: i")
	}, `1 POST / a +ok=i`),
	greeted("trailers that do not end the stream", func(p *peer) { p.post(1); p.headers(1, false, "a: b") }, "1 POST / a malformed: trailers that do not end the stream; RST 1 PROTOCOL_ERROR"),
	greeted("a pseudo-header field in trailers", func(p *peer) { p.post(1); p.headers(1, true, ":path: /") }, "1 POST / a malformed: a pseudo-header field in a trailer section; RST 1 PROTOCOL_ERROR"),
	greeted("a second request for trailers", func(p *peer) { p.post(1); p.get(1) }, "1 POST / a malformed: a pseudo-header field in a trailer section; RST 1 PROTOCOL_ERROR"),
	greeted("upper case in trailers", func(p *peer) { p.post(1); p.headers(1, true, "A: b") }, "1 POST / a malformed: "+noUpper+"; RST 1 PROTOCOL_ERROR"),
	greeted("connection in trailers", func(p *peer) { p.post(1); p.headers(1, true, "connection: b") }, "1 POST / a malformed: "+noHop+"; RST 1 PROTOCOL_ERROR"),
	greeted("transfer-encoding in trailers", func(p *peer) { p.post(1); p.headers(1, true, "transfer-encoding: b") }, "1 POST / a malformed: "+noHop+"; RST 1 PROTOCOL_ERROR"),
	greeted("a framing trailer with an underscore", func(p *peer) { p.post(1); p.headers(1, true, "content_length: b") }, "1 POST / a malformed: "+noUnderline+"; RST 1 PROTOCOL_ERROR"),
	greeted("CRLF in trailers", func(p *peer) { p.post(1); p.headers(1, true, "a: b\r\nc: d") }, "1 POST / a malformed: "+noControl+"; RST 1 PROTOCOL_ERROR"),
	greeted("trailers over their limit", func(p *peer) { p.post(1); p.headers(1, true, "a: "+strings.Repeat("b", 512)) }, "1 POST / a head: the header section is over its limit"),
	greeted("HEADERS behind the end", func(p *peer) { p.post(1); p.data(1, true, "x"); p.headers(1, true, "a: b") }, "1 POST / a malformed: HEADERS on a stream that was closed; RST 1 STREAM_CLOSED"),
}

func TestFrames(t *testing.T) {
	count := 0
	for _, table := range [][]frameCase{connectionCases, controlCases, headerFrameCases, bodyCases} {
		for _, c := range table {
			count++
			t.Run(c.name, func(t *testing.T) {
				if got := outcome(t, testLimits(), false, c.say); got != c.want {
					t.Errorf("%s\nwant %s", got, c.want)
				}
			})
		}
	}
	if count < 100 {
		t.Errorf("%d cases, want at least 100", count)
	}
}
