package http2

import (
	"strings"
	"testing"
)

// The rules that many cases break.
const (
	noName      = "a header field name is not a token"
	noUpper     = "a header field name is not in lower case"
	noControl   = "a header field value holds a control byte"
	noSpace     = "white space around a header field value"
	noHop       = "a field that belongs to a connection of HTTP/1.1"
	noTE        = "te asks for something other than trailers"
	noLength    = "content-length is not a number"
	noTwo       = "more than one content-length"
	noUnderline = "a framing field is spelled with an underscore"
	noPseudo    = "a pseudo-header field that does not belong here"
	noLate      = "a pseudo-header field behind another field"
	noTwice     = "a pseudo-header field twice"
	noMethod    = "no :method, or one that is not a token"
	noScheme    = "no :scheme, or one that is neither http nor https"
	noTarget    = "the request target holds a byte that is not allowed"
	noForm      = "the request target is not in origin-form"
	noEscape    = "the path holds a percent sign that is not an escape"
	noHost      = "neither :authority nor host"
	noBadHost   = ":authority or host is malformed"
	noTwoHosts  = "more than one host"
	noOtherHost = ":authority and host differ"
	noExpect    = "Expect asks for something other than 100-continue"
)

// A headCase is a request head without a body, and what becomes of it: an accepted
// one's method, target and host, or the rule that it breaks.
type headCase struct {
	name  string
	lines []string
	want  string
}

// with is a GET with more fields, host a pseudo-header in its place, and so on.
func with(lines ...string) []string { return append(getLines(), lines...) }

func method(m string) []string {
	return []string{":method: " + m, ":scheme: http", ":authority: a", ":path: /"}
}

func scheme(s string) []string {
	return []string{":method: GET", ":scheme: " + s, ":authority: a", ":path: /"}
}

func authority(s string) []string {
	return []string{":method: GET", ":scheme: http", ":authority: " + s, ":path: /"}
}

func path(s string) []string {
	return []string{":method: GET", ":scheme: http", ":authority: a", ":path: " + s}
}

func hosts(lines ...string) []string {
	return append([]string{":method: GET", ":scheme: http", ":path: /"}, lines...)
}

var refusedHeads = []headCase{
	{"a name with an upper-case letter", with("X-a: b"), noUpper},
	{"a name whose last letter is in upper case", with("x-A: b"), noUpper},
	{"a name with a space", with("x a: b"), noName},
	{"a name with a tab", with("x\ta: b"), noName},
	{"a name with a slash", with("x/a: b"), noName},
	{"a name with parentheses", with("x(a): b"), noName},
	{"a name with an at sign", with("x@a: b"), noName},
	{"a name in quotes", with("\"a\": b"), noName},
	{"a name with a NUL", with("x\x00: b"), noName},
	{"a name with a control byte", with("x\x0b: b"), noName},
	{"a name with a DEL", with("x\x7f: b"), noName},
	{"a name with a byte above ASCII", with("x\xc3\xa4: b"), noName},
	{"a name with CR", with("x\ra: b"), noName},
	{"a name with LF", with("x\na: b"), noName},
	{"a NUL in a value", with("x: b\x00c"), noControl},
	{"CR in a value", with("x: b\rc"), noControl},
	{"LF in a value", with("x: b\nc"), noControl},
	{"CRLF in a value", with("x: b\r\nc: d"), noControl},
	{"a vertical tab in a value", with("x: b\x0bc"), noControl},
	{"a form feed in a value", with("x: b\x0cc"), noControl},
	{"a backspace in a value", with("x: b\x08"), noControl},
	{"an escape byte in a value", with("x: \x1b[0m"), noControl},
	{"a DEL in a value", with("x: b\x7f"), noControl},
	{"a space before a value", with("x:  b"), noSpace},
	{"a space behind a value", with("x: b "), noSpace},
	{"a tab before a value", with("x: \tb"), noSpace},
	{"a tab behind a value", with("x: b\t"), noSpace},
	{"a value of nothing but a space", with("x:  "), noSpace},

	{"connection", with("connection: close"), noHop},
	{"connection with nothing in it", with("connection:"), noHop},
	{"keep-alive", with("keep-alive: timeout=5"), noHop},
	{"proxy-connection", with("proxy-connection: close"), noHop},
	{"transfer-encoding", with("transfer-encoding: chunked"), noHop},
	{"transfer-encoding of identity", with("transfer-encoding: identity"), noHop},
	{"upgrade", with("upgrade: websocket"), noHop},
	{"te for something else", with("te: gzip"), noTE},
	{"te for trailers and something else", with("te: trailers, deflate"), noTE},
	{"te for nothing", with("te:"), noTE},
	{"te for trailers in another case", with("te: Trailers"), noTE},
	{"a second te for something else", with("te: trailers", "te: gzip"), noTE},
	{"content-length with an underscore", with("content_length: 5"), noUnderline},
	{"transfer-encoding with an underscore", with("transfer_encoding: chunked"), noUnderline},

	{"a length that is a list", with("content-length: 0, 0"), noLength},
	{"a length with a plus", with("content-length: +5"), noLength},
	{"a length with a minus", with("content-length: -0"), noLength},
	{"a hexadecimal length", with("content-length: 0x5"), noLength},
	{"a length with a fraction", with("content-length: 5.0"), noLength},
	{"a length in quotes", with("content-length: \"5\""), noLength},
	{"an empty length", with("content-length:"), noLength},
	{"a length of other digits of Unicode", with("content-length: \xd9\xa5"), noLength},
	{"a length over 63 bits", with("content-length: 9223372036854775808"), noLength},
	{"two equal lengths", with("content-length: 0", "content-length: 0"), noTwo},
	{"two different lengths", with("content-length: 0", "content-length: 5"), noTwo},
	{"a length without a body", with("content-length: 5"), "content-length of a request without a body"},

	{"a pseudo-header field that nobody knows", append(getLines(), ":color: red"), noPseudo},
	{"the pseudo-header field of responses", append(getLines(), ":status: 200"), noPseudo},
	{"only the pseudo-header field of responses", []string{":status: 200"}, noPseudo},
	{"a pseudo-header field of nothing but a colon", append(getLines(), ":: red"), noPseudo},
	{"a pseudo-header field in upper case", append([]string{":Method: GET"}, getLines()...), noPseudo},
	{"a pseudo-header field behind another field", with("x: b", ":path: /b"), noLate},
	{":method behind another field", []string{":scheme: http", ":authority: a", ":path: /", "x: y", ":method: GET"}, noLate},
	{"two :methods", append(getLines(), ":method: GET"), noTwice},
	{"two :schemes", append(getLines(), ":scheme: http"), noTwice},
	{"two :paths", append(getLines(), ":path: /"), noTwice},
	{"two :authorities", append(getLines(), ":authority: a"), noTwice},
	{"no fields at all", nil, noMethod},
	{"no :method", []string{":scheme: http", ":authority: a", ":path: /"}, noMethod},
	{"an empty :method", method(""), noMethod},
	{"a :method with a space", method("GET /"), noMethod},
	{"a :method with CRLF", method("GET / HTTP/1.1\r\nhost: b\r\n\r\n"), noMethod},
	{"a :method with a slash", method("GE/T"), noMethod},
	{"a :method with a NUL", method("GET\x00"), noMethod},
	{"a :method with a byte above ASCII", method("G\xc3\x89T"), noMethod},
	{"no :scheme", []string{":method: GET", ":authority: a", ":path: /"}, noScheme},
	{"an empty :scheme", scheme(""), noScheme},
	{"another :scheme", scheme("ftp"), noScheme},
	{"a :scheme in upper case", scheme("HTTP"), noScheme},
	{"a :scheme that is a URI", scheme("http://b/"), noScheme},
	{"a :scheme with CRLF", scheme("http\r\n"), noScheme},
	{"no :path", []string{":method: GET", ":scheme: http", ":authority: a"}, noTarget},
	{"an empty :path", path(""), noTarget},
	{"a space in :path", path("/a b"), noTarget},
	{"a version in :path", path("/ HTTP/1.1"), noTarget},
	{"CRLF in :path", path("/\r\nx: y"), noTarget},
	{"a tab in :path", path("/a\tb"), noTarget},
	{"a NUL in :path", path("/a\x00"), noTarget},
	{"a byte above ASCII in :path", path("/\xc3\xa9"), noTarget},
	{"a fragment in :path", path("/a#b"), noTarget},
	{"a URI for a :path", path("http://b/"), noForm},
	{"a relative :path", path("a"), noForm},
	{"a :path of only a query", path("?a"), noForm},
	{"a backslash for a :path", path(`\a`), noForm},
	{"an asterisk with GET", path("*"), "the target * with a method other than OPTIONS"},
	{"an escape without digits", path("/%"), noEscape},
	{"an escape with one digit", path("/%4"), noEscape},
	{"an escape with a letter that is no digit", path("/%4g"), noEscape},
	{"no :authority and no host", hosts(), noHost},
	{"an empty :authority", authority(""), noHost},
	{"an empty host", hosts("host:"), noHost},
	{"an :authority with userinfo", authority("u@a"), noBadHost},
	{"an :authority with a path", authority("a/b"), noBadHost},
	{"an :authority with a scheme", authority("http://a"), noBadHost},
	{"an :authority with a space", authority("a b"), noBadHost},
	{"an :authority with CRLF", authority("a\r\nx: y"), noBadHost},
	{"an :authority with a comma and a slash", authority("a,b/"), noBadHost},
	{"an :authority with an escape", authority("a%2eb"), noBadHost},
	{"an :authority that is only a port", authority(":80"), noBadHost},
	{"an :authority with an empty port", authority("a:"), noBadHost},
	{"an :authority with a port in letters", authority("a:http"), noBadHost},
	{"an :authority with an open bracket", authority("[::1"), noBadHost},
	{"an :authority with a zone", authority("[fe80::1%25eth0]"), noBadHost},
	{"an :authority with a byte above ASCII", authority("\xc3\xa9"), noBadHost},
	{"a host with userinfo", hosts("host: u@a"), noBadHost},
	{"two hosts", hosts("host: a", "host: a"), noTwoHosts},
	{"two hosts beside an :authority", with("host: a", "host: a"), noTwoHosts},
	{"a host other than :authority", with("host: b"), noOtherHost},
	{"a host with a port beside :authority without", with("host: a:80"), noOtherHost},
	{"an empty host beside :authority", with("host:"), noOtherHost},
	{"a host beside an empty :authority", append(authority(""), "host: a"), noOtherHost},
	{"Expect asks for something else", with("expect: 200-ok"), noExpect},
	{"Expect asks for nothing", with("expect:"), noExpect},
	{"a second Expect asks for something else", with("expect: 100-continue", "expect: x"), noExpect},
	{":protocol without CONNECT", append(getLines(), ":protocol: websocket"), ":protocol with a method other than CONNECT"},
}

func TestRefusedHeads(t *testing.T) {
	for _, c := range refusedHeads {
		t.Run(c.name, func(t *testing.T) {
			got := outcome(t, testLimits(), false, func(p *peer) {
				p.greet()
				p.headers(1, true, c.lines...)
				p.get(3) // the connection goes on
			})
			// What is malformed is answered, and its stream reset.
			want := "1 malformed: " + c.want + "; 3 GET / a; RST 1 PROTOCOL_ERROR"
			if got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
	if len(refusedHeads) < 120 {
		t.Errorf("%d cases, want at least 120", len(refusedHeads))
	}
}

// What is over a limit or not allowed here is no violation of the protocol: it is
// answered and the stream ends in order.
var limitedHeads = []headCase{
	{"a :path over its limit", path("/" + strings.Repeat("a", 256)), "target: the request target is too long"},
	{"a value over the limit of the head", with("x: " + strings.Repeat("a", 4096)), "head: the header section is over its limit"},
	{"fields that are over the limit of the head together", with("x: "+strings.Repeat("a", 2000), "y: "+strings.Repeat("b", 2000)), "head: the header section is over its limit"},
	{"one field too many", with(strings.Split(strings.Repeat("x: b|", 20)+"x: b", "|")...), "head: too many header fields"},
	{"CONNECT where it is not configured", []string{":method: CONNECT", ":authority: a:443"}, "method: CONNECT is not configured here"},
	{
		"a protocol other than websocket",
		[]string{":method: CONNECT", ":scheme: http", ":authority: a", ":path: /", ":protocol: connect-udp"},
		"method: a protocol other than websocket",
	},
}

func TestHeadsOverALimit(t *testing.T) {
	for _, c := range limitedHeads {
		t.Run(c.name, func(t *testing.T) {
			got := outcome(t, testLimits(), false, func(p *peer) {
				p.greet()
				p.headers(1, true, c.lines...)
			})
			if want := "1 " + c.want; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

var acceptedHeads = []headCase{
	{"the shortest request", []string{":method: G", ":scheme: http", ":path: /", "host: a"}, "G / a"},
	{"a method of all token bytes", method("!#$%&'*+-.^_`|~09azAZ"), "!#$%&'*+-.^_`|~09azAZ / a"},
	{"pseudo-header fields in another order", []string{":path: /", ":authority: a", ":method: GET", ":scheme: https"}, "GET / a"},
	{"OPTIONS of the server", []string{":method: OPTIONS", ":scheme: http", ":authority: a", ":path: *"}, "OPTIONS * a"},
	{"a path of two slashes", path("//a/b"), "GET //a/b a"},
	{"a query with broken escapes", path("/?%zz=%"), "GET /?%zz=% a"},
	{"a path with escapes", path("/%2F%41"), "GET /%2F%41 a"},
	{"a URI in the path", path("/http://b/"), "GET /http://b/ a"},
	{"bytes of the target that URIs don't have", path("/{a}|\"<>^`"), "GET /{a}|\"<>^` a"},
	{"a target of just its limit", path("/" + strings.Repeat("a", 255)), "GET /" + strings.Repeat("a", 255) + " a"},
	{"an :authority with a port", authority("a.b-c_d:8080"), "GET / a.b-c_d:8080"},
	{"an :authority with an IPv6 address", authority("[2001:DB8::1]:65535"), "GET / [2001:DB8::1]:65535"},
	{"a host in place of :authority", hosts("host: b:1"), "GET / b:1"},
	{"a host that is :authority", with("host: a"), "GET / a"},
	{"a host that is :authority in another case", append(authority("Shop"), "host: shOP"), "GET / Shop"},
	{"te for trailers", with("te: trailers"), "GET / a"},
	{"a field without a value", with("x:"), "GET / a"},
	{"a value with bytes above ASCII", with("x: \xff\xc3\xa9"), "GET / a"},
	{"a value with a tab inside", with("x: b\tc"), "GET / a"},
	{"a value that looks like a field", with("x: content-length: 5"), "GET / a"},
	{"a length of 0 without a body", with("content-length: 0"), "GET / a"},
	{"a length with leading zeros", with("content-length: 000"), "GET / a"},
	{"as many fields as the limit allows", with(strings.Split(strings.Repeat("x: b|", 19)+"x: b", "|")...), "GET / a"},
	{"Expect", with("expect: 100-Continue"), "GET / a"},
	{"websocket over HTTP/2", []string{":method: CONNECT", ":scheme: https", ":authority: a", ":path: /chat?x", ":protocol: websocket"}, "CONNECT /chat?x a"},
	{"proxy-authorization", with("proxy-authorization: x"), "GET / a"},
	{"what only a sidecar may set", with("x-outrider-peer: x", "x-forwarded-client-cert: y"), "GET / a"},
}

func TestAcceptedHeads(t *testing.T) {
	for _, c := range acceptedHeads {
		t.Run(c.name, func(t *testing.T) {
			got := outcome(t, testLimits(), false, func(p *peer) {
				p.greet()
				p.headers(1, true, c.lines...)
			})
			if want := "1 " + c.want; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
	if len(acceptedHeads) < 27 {
		t.Errorf("%d cases, want at least 27", len(acceptedHeads))
	}
}

var connects = []headCase{
	{"CONNECT to a name", []string{":method: CONNECT", ":authority: a:443"}, "1 CONNECT a:443 a:443"},
	{"CONNECT to an IPv6 address", []string{":method: CONNECT", ":authority: [::1]:443"}, "1 CONNECT [::1]:443 [::1]:443"},
	{"CONNECT without a port", []string{":method: CONNECT", ":authority: a"}, "malformed: the target of CONNECT is not host:port"},
	{"CONNECT with a :path", []string{":method: CONNECT", ":authority: a:1", ":path: /"}, "malformed: CONNECT with a :scheme or a :path"},
	{"CONNECT with a :scheme", []string{":method: CONNECT", ":authority: a:1", ":scheme: http"}, "malformed: CONNECT with a :scheme or a :path"},
	{"CONNECT without an :authority", []string{":method: CONNECT", "host: a:1"}, "malformed: CONNECT without an :authority"},
	{"CONNECT with a length", []string{":method: CONNECT", ":authority: a:1", "content-length: 0"}, "malformed: CONNECT with a content-length"},
	{"websocket without a :path", []string{":method: CONNECT", ":authority: a", ":scheme: http", ":protocol: websocket"}, "malformed: " + noTarget},
	{"websocket without a :scheme", []string{":method: CONNECT", ":authority: a", ":path: /", ":protocol: websocket"}, "malformed: " + noScheme},
	{"websocket to an asterisk", []string{":method: CONNECT", ":scheme: http", ":authority: a", ":path: *", ":protocol: websocket"}, "malformed: the target * with a method other than OPTIONS"},
}

func TestConnectWhereConfigured(t *testing.T) {
	for _, c := range connects {
		t.Run(c.name, func(t *testing.T) {
			got := outcome(t, testLimits(), true, func(p *peer) {
				p.greet()
				p.headers(1, true, c.lines...)
			})
			want := c.want
			if strings.HasPrefix(want, "malformed") {
				want = "1 " + want + "; RST 1 PROTOCOL_ERROR"
			}
			if got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
	if len(connects) < 10 {
		t.Errorf("%d cases, want at least 10", len(connects))
	}
}
