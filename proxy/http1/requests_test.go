package http1

import (
	"strings"
	"testing"
)

// The refusals that many cases share.
const (
	noBareLF      = "malformed: a line ends in LF without CR"
	noControl     = "malformed: a header field value holds a control byte"
	noFold        = "malformed: a header line starts with white space (obs-fold)"
	noToken       = "malformed: a header field name is not a token"
	noColon       = "malformed: a header line has no colon"
	noSpaceColon  = "malformed: white space before the colon of a header field"
	noLength      = "malformed: Content-Length is not a number"
	noTwoLengths  = "malformed: more than one Content-Length"
	noBoth        = "malformed: both Content-Length and Transfer-Encoding"
	noTwoCodings  = "malformed: more than one Transfer-Encoding"
	noCoding      = "coding: a transfer coding other than chunked"
	noUnderscore  = "malformed: a framing field is spelled with an underscore"
	noMethod      = "malformed: the request line does not begin with a method and one space"
	noTarget      = "malformed: the request line has no target or no version"
	noVersion     = "malformed: the request line does not end in one space and a version"
	noOtherHTTP   = "version: the version is neither HTTP/1.0 nor HTTP/1.1"
	noTargetByte  = "malformed: the request target holds a byte that is not allowed"
	noOtherForm   = "malformed: the request target is not in origin-form"
	noEscape      = "malformed: the path holds a percent sign that is not an escape"
	noHost        = "malformed: no Host"
	noTwoHosts    = "malformed: more than one Host"
	noBadHost     = "malformed: Host is empty or malformed"
	noConnect     = "method: CONNECT is not configured here"
	noExpect      = "malformed: Expect asks for something other than 100-continue"
	noOption      = "malformed: a Connection option is not a token"
	noDrop        = "malformed: Connection lists a field that must not be dropped"
	noLargeHead   = "head: the request head is over its limit"
	noManyFields  = "head: too many header fields"
	noLongTarget  = "target: the request target is too long"
	noChunkSize   = "malformed: a chunk size is not hexadecimal"
	noChunkTail   = "malformed: a chunk size is followed by something other than an extension"
	noChunkEnd    = "malformed: a chunk is not followed by CRLF"
	noChunkLF     = "malformed: a chunk size line ends in LF without CR"
	noChunkDigits = "malformed: a chunk size has too many digits"
	noChunkLine   = "malformed: a chunk size line is too long"
	noExtensions  = "malformed: chunk extensions over their limit"
	noTrailers    = "head: the trailer section is over its limit"
	noLargeBody   = "body: the body is over its limit"
	cutOff        = "connection closed inside of a message"
)

// A messageCase is bytes and what becomes of them.
type messageCase struct{ name, raw, want string }

// get is a request with these field lines, and a Host.
func get(fields string) string { return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" }

// host is a request with this Host.
func host(value string) string { return "GET / HTTP/1.1\r\nHost: " + value + "\r\n\r\n" }

// post is a request with these field lines and what follows them.
func post(fields, rest string) string {
	return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + rest
}

// chunks is a chunked request with this behind its head.
func chunks(rest string) string { return post("Transfer-Encoding: chunked\r\n", rest) }

// line is a request with this request line.
func line(l string) string { return l + "\r\nHost: a\r\n\r\n" }

var refusedRequestLines = []messageCase{
	{"an empty line before the request line", "\r\n" + get(""), noMethod},
	{"a bare LF before the request line", "\n" + get(""), noBareLF},
	{"a space before the method", line(" GET / HTTP/1.1"), noMethod},
	{"an empty method", line("/ HTTP/1.1"), noMethod},
	{"a method with a slash", line("GE/T / HTTP/1.1"), noMethod},
	{"a method with a colon", line("GET: / HTTP/1.1"), noMethod},
	{"a method with a control byte", line("G\x01T / HTTP/1.1"), noMethod},
	{"a method with a NUL", line("GET\x00 / HTTP/1.1"), noMethod},
	{"a method with a byte above ASCII", line("G\xc3\x89T / HTTP/1.1"), noMethod},
	{"a method in quotes", line(`"GET" / HTTP/1.1`), noMethod},
	{"a TLS record instead of a request", "\x16\x03\x01\x00\xf0\r\n\r\n", noMethod},
	{"a tab behind the method", line("GET\t/ HTTP/1.1"), noMethod},
	{"a method and nothing else", line("GET"), noMethod},
	{"a bare CR behind the method", line("GET\r/ HTTP/1.1"), noMethod},
	{"a request of HTTP/0.9", line("GET /"), noTarget},
	{"a target without a version", line("GET /a/long/path"), noVersion},
	{"no target", line("GET HTTP/1.1"), noTarget},
	{"an empty target between two spaces", line("GET  HTTP/1.1"), noTargetByte},
	{"two spaces behind the method", line("GET  / HTTP/1.1"), noTargetByte},
	{"two spaces before the version", line("GET /  HTTP/1.1"), noTargetByte},
	{"a tab before the version", line("GET /\tHTTP/1.1"), noVersion},
	{"a space behind the version", line("GET / HTTP/1.1 "), noVersion},
	{"a bare CR before the version", line("GET /\rHTTP/1.1"), noVersion},
	{"two CRs at the end of the request line", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", noVersion},
	{"the version in lower case", line("GET / http/1.1"), noVersion},
	{"a version without a minor", line("GET / HTTP/1"), noTarget},
	{"a version with two digits of minor", line("GET / HTTP/1.10"), noVersion},
	{"a version with two digits of major", line("GET / HTTP/11.1"), noVersion},
	{"a version of another protocol", line("GET / RTSP/1.0"), noVersion},
	{"a version with a comma", line("GET / HTTP/1,1"), noVersion},
	{"a version above 1.1", line("GET / HTTP/1.2"), noOtherHTTP},
	{"version 2", line("GET / HTTP/2.0"), noOtherHTTP},
	{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", noOtherHTTP},
	{"version 0.9 spelled out", line("GET / HTTP/0.9"), noOtherHTTP},
	{"a version that is not a number", line("GET / HTTP/x.y"), noOtherHTTP},
	{"a bare LF at the end of the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", noBareLF},

	{"a space in the target", line("GET /a b HTTP/1.1"), noTargetByte},
	{"a tab in the target", line("GET /a\tb HTTP/1.1"), noTargetByte},
	{"a NUL in the target", line("GET /a\x00b HTTP/1.1"), noTargetByte},
	{"a DEL in the target", line("GET /a\x7fb HTTP/1.1"), noTargetByte},
	{"a bare CR in the target", line("GET /a\rb HTTP/1.1"), noTargetByte},
	{"a bare LF in the target", line("GET /a\nb HTTP/1.1"), noBareLF},
	{"a byte above ASCII in the target", line("GET /\xc3\xa9 HTTP/1.1"), noTargetByte},
	{"a fragment in the target", line("GET /a#b HTTP/1.1"), noTargetByte},
	{"an absolute-form", line("GET http://a/b HTTP/1.1"), noOtherForm},
	{"an absolute-form with userinfo", line("GET http://u:p@a/ HTTP/1.1"), noOtherForm},
	{"an absolute-form of another scheme", line("GET ftp://a/ HTTP/1.1"), noOtherForm},
	{"an authority-form without CONNECT", line("GET a:80 HTTP/1.1"), noOtherForm},
	{"a relative path", line("GET a/b HTTP/1.1"), noOtherForm},
	{"only a query", line("GET ?a=b HTTP/1.1"), noOtherForm},
	{"a backslash for a slash", line(`GET \a HTTP/1.1`), noOtherForm},
	{"an asterisk with GET", line("GET * HTTP/1.1"), "malformed: the target * with a method other than OPTIONS"},
	{"an asterisk with options in lower case", line("options * HTTP/1.1"), "malformed: the target * with a method other than OPTIONS"},
	{"an asterisk and more", line("OPTIONS *a HTTP/1.1"), noOtherForm},
	{"an escape without digits", line("GET /a% HTTP/1.1"), noEscape},
	{"an escape with one digit", line("GET /%4 HTTP/1.1"), noEscape},
	{"an escape with a letter that is no digit", line("GET /%4g HTTP/1.1"), noEscape},
	{"an escape that runs into the query", line("GET /%4?1 HTTP/1.1"), noEscape},
	{"an escape in the style of JavaScript", line("GET /%u0041 HTTP/1.1"), noEscape},
	{"CONNECT where it is not configured", line("CONNECT a:443 HTTP/1.1"), noConnect},
	{"CONNECT with a path", line("CONNECT / HTTP/1.1"), noConnect},
	{"a target over its limit", line("GET /" + strings.Repeat("a", 256) + " HTTP/1.1"), noLongTarget},
	{"a query over the limit of the target", line("GET /?" + strings.Repeat("a", 255) + " HTTP/1.1"), noLongTarget},
}

var refusedRequestFields = []messageCase{
	{"no Host", "GET / HTTP/1.1\r\n\r\n", noHost},
	{"no Host in a request with other fields", "GET / HTTP/1.1\r\nA: b\r\n\r\n", noHost},
	{"two Hosts", get("Host: b\r\n"), noTwoHosts},
	{"two equal Hosts", get("Host: a\r\n"), noTwoHosts},
	{"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", noTwoHosts},
	{"an empty Host", host(""), noBadHost},
	{"a Host of white space", host("\t "), noBadHost},
	{"a Host with userinfo", host("u@a"), noBadHost},
	{"a Host with userinfo and password", host("u:p@a"), noBadHost},
	{"a Host with a path", host("a/b"), noBadHost},
	{"a Host with a scheme", host("http://a"), noBadHost},
	{"a Host with a query", host("a?b"), noBadHost},
	{"a Host with a fragment", host("a#b"), noBadHost},
	{"a Host with a space", host("a b"), noBadHost},
	{"a Host with a backslash", host(`a\b`), noBadHost},
	{"a Host with quotes", host(`"a"`), noBadHost},
	{"a Host with a byte above ASCII", host("\xc3\xa9"), noBadHost},
	{"a Host with an escape", host("a%2eb"), noBadHost},
	{"a Host that is only a port", host(":80"), noBadHost},
	{"a Host with an empty port", host("a:"), noBadHost},
	{"a Host with a port in letters", host("a:http"), noBadHost},
	{"a Host with a port of six digits", host("a:123456"), noBadHost},
	{"a Host with a negative port", host("a:-1"), noBadHost},
	{"a Host with two ports", host("a:1:2"), noBadHost},
	{"a Host with an IPv6 address without brackets", host("::1"), noBadHost},
	{"a Host with an open bracket", host("[::1"), noBadHost},
	{"a Host with a closing bracket", host("::1]"), noBadHost},
	{"a Host with empty brackets", host("[]"), noBadHost},
	{"a Host with something behind the bracket", host("[::1]a"), noBadHost},
	{"a Host with a zone", host("[fe80::1%25eth0]"), noBadHost},
	{"a Host with a name in brackets", host("[name]"), noBadHost},
	{"a bad Host in HTTP/1.0", "GET / HTTP/1.0\r\nHost: u@a\r\n\r\n", noBadHost},

	{"a folded field", get("A: b\r\n c\r\n"), noFold},
	{"a field folded with a tab", get("A: b\r\n\tc\r\n"), noFold},
	{"a fold of nothing but white space", get("A: b\r\n \r\n"), noFold},
	{"white space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", noFold},
	{"a folded Transfer-Encoding", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), noFold},
	{"a space before the colon", get("A : b\r\n"), noSpaceColon},
	{"a tab before the colon", get("A\t: b\r\n"), noSpaceColon},
	{"a space before the colon of Transfer-Encoding", post("Transfer-Encoding : chunked\r\n", ""), noSpaceColon},
	{"a space before the colon of Content-Length", post("Content-Length : 5\r\n", "hello"), noSpaceColon},
	{"a space in a name", get("A B: c\r\n"), noSpaceColon},
	{"a field without a colon", get("A\r\n"), noColon},
	{"an empty name", get(": b\r\n"), noToken},
	{"a name with a slash", get("A/B: c\r\n"), noToken},
	{"a name with parentheses", get("A(B): c\r\n"), noToken},
	{"a name with an at sign", get("A@B: c\r\n"), noToken},
	{"a name in quotes", get("\"A\": c\r\n"), noToken},
	{"a name with a NUL", get("A\x00: c\r\n"), noToken},
	{"a name with a control byte", get("A\x0b: c\r\n"), noToken},
	{"a name with a DEL", get("A\x7f: c\r\n"), noToken},
	{"a name with a byte above ASCII", get("\xc3\x84: c\r\n"), noToken},
	{"a name with a bare CR", get("A\r: c\r\n"), noToken},
	{"a NUL in a value", get("A: b\x00c\r\n"), noControl},
	{"a vertical tab in a value", get("A: b\x0bc\r\n"), noControl},
	{"a form feed in a value", get("A: b\x0cc\r\n"), noControl},
	{"a backspace in a value", get("A: b\x08c\r\n"), noControl},
	{"an escape byte in a value", get("A: \x1b[0m\r\n"), noControl},
	{"a DEL in a value", get("A: b\x7f\r\n"), noControl},
	{"a bare CR in a value", get("A: b\rC: d\r\n"), noControl},
	{"two CRs at the end of a field", get("A: b\r\r\n"), noControl},
	{"a bare LF at the end of a field", get("A: b\n"), noBareLF},
	{"a bare LF in a value", get("A: b\nTransfer-Encoding: chunked\r\n"), noBareLF},
	{"a bare LF at the end of the head", "GET / HTTP/1.1\r\nHost: a\r\n\n", noBareLF},
	{"bare LFs only", "GET / HTTP/1.1\nHost: a\n\n", noBareLF},
	{"a CR alone where the head should end", "GET / HTTP/1.1\r\nHost: a\r\n\rGET /b HTTP/1.1\r\n\r\n", noToken},

	{"Connection lists Host", get("Connection: host\r\n"), noDrop},
	{"Connection lists Content-Length", post("Connection: close, Content-Length\r\nContent-Length: 5\r\n", "hello"), noDrop},
	{"Connection lists Content_Length", get("Connection: content_length\r\n"), noDrop},
	{"Connection lists Expect", post("Connection: expect\r\nExpect: 100-continue\r\nContent-Length: 1\r\n", "x"), noDrop},
	{"Connection lists a name with a space", get("Connection: a b\r\n"), noOption},
	{"Connection lists something in quotes", get("Connection: \"close\"\r\n"), noOption},
	{"Connection lists a name with a colon", get("Connection: a:b\r\n"), noOption},
	{"Connection lists too many names", get("Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n"), "malformed: Connection lists too many fields"},
	{"two Connection fields list too many names", get("Connection: a,b,c,d,e,f,g,h,i\r\nConnection: j,k,l,m,n,o,p,q\r\n"), "malformed: Connection lists too many fields"},
	{"Expect asks for something else", get("Expect: 200-ok\r\n"), noExpect},
	{"Expect asks for two things", get("Expect: 100-continue, x\r\n"), noExpect},
	{"Expect asks for nothing", get("Expect:\r\n"), noExpect},
	{"a second Expect asks for something else", get("Expect: 100-continue\r\nExpect: x\r\n"), noExpect},

	{"a head over its limit", get("A: " + strings.Repeat("b", 2048) + "\r\n"), noLargeHead},
	{"a head that ends just over its limit", get("A: " + strings.Repeat("b", 2048-30) + "\r\n"), noLargeHead},
	{"a head over its limit without an end", "GET / HTTP/1.1\r\nA: " + strings.Repeat("b", 4000), noLargeHead},
	{"a request line over the limit of the head", "GET /" + strings.Repeat("a", 4000), noLargeHead},
	{"one field too many", get(strings.Repeat("A: b\r\n", 20)), noManyFields},
	{"too many fields without an end", "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 22), noManyFields},
	{"a connection that ends in the request line", "GET /", cutOff},
	{"a connection that ends between the fields", "GET / HTTP/1.1\r\nHost: a\r\n", cutOff},
	{"a connection that ends before the last LF", "GET / HTTP/1.1\r\nHost: a\r\n\r", cutOff},
}

var refusedRequestFraming = []messageCase{
	{"Content-Length and Transfer-Encoding", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), noBoth},
	{"Transfer-Encoding and Content-Length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), noBoth},
	{"Content-Length 0 and Transfer-Encoding", post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), noBoth},
	{"Content-Length and a Transfer-Encoding that is not chunked", post("Content-Length: 5\r\nTransfer-Encoding: identity\r\n", "hello"), noBoth},
	{"two equal Content-Lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), noTwoLengths},
	{"two different Content-Lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), noTwoLengths},
	{"two Content-Lengths in different case", post("Content-Length: 0\r\ncontent-length: 5\r\n", "hello"), noTwoLengths},
	{"a Content-Length that is a list of equals", post("Content-Length: 5, 5\r\n", "hello"), noLength},
	{"a Content-Length that is a list without spaces", post("Content-Length: 5,5\r\n", "hello"), noLength},
	{"a Content-Length with a plus", post("Content-Length: +5\r\n", "hello"), noLength},
	{"a Content-Length with a minus", post("Content-Length: -5\r\n", "hello"), noLength},
	{"a negative zero for Content-Length", post("Content-Length: -0\r\n", ""), noLength},
	{"a hexadecimal Content-Length", post("Content-Length: 0x5\r\n", "hello"), noLength},
	{"a Content-Length with hexadecimal digits", post("Content-Length: a\r\n", "0123456789"), noLength},
	{"a Content-Length with a fraction", post("Content-Length: 5.0\r\n", "hello"), noLength},
	{"a Content-Length with an exponent", post("Content-Length: 1e1\r\n", "hello"), noLength},
	{"a Content-Length with a space inside", post("Content-Length: 5 5\r\n", "hello"), noLength},
	{"a Content-Length in quotes", post("Content-Length: \"5\"\r\n", "hello"), noLength},
	{"a Content-Length with a thousands separator", post("Content-Length: 1_0\r\n", "0123456789"), noLength},
	{"an empty Content-Length", post("Content-Length:\r\n", ""), noLength},
	{"a Content-Length of white space", post("Content-Length: \t\r\n", ""), noLength},
	{"a Content-Length with other digits of Unicode", post("Content-Length: \xd9\xa5\r\n", "hello"), noLength},
	{"a Content-Length of 19 digits", post("Content-Length: 0000000000000000005\r\n", "hello"), noLength},
	{"a Content-Length of 2 to the power of 63", post("Content-Length: 9223372036854775808\r\n", "hello"), noLength},
	{"a Content-Length of 2 to the power of 64 and 5", post("Content-Length: 18446744073709551621\r\n", "hello"), noLength},
	{"a Content-Length with an underscore", post("Content_Length: 5\r\n", "hello"), noUnderscore},
	{"a Transfer-Encoding with an underscore", post("transfer_encoding: chunked\r\n", "0\r\n\r\n"), noUnderscore},
	{"both spellings of Content-Length", post("Content-Length: 5\r\nContent_Length: 6\r\n", "hello!"), noUnderscore},
	{"two Transfer-Encodings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), noTwoCodings},
	{"two different Transfer-Encodings", post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), noTwoCodings},
	{"the second Transfer-Encoding is identity", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"), noTwoCodings},
	{"a coding and chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), noCoding},
	{"chunked and a coding", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), noCoding},
	{"chunked and identity", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), noCoding},
	{"chunked twice in one field", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), noCoding},
	{"identity", post("Transfer-Encoding: identity\r\n", ""), noCoding},
	{"a coding that ends in chunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), noCoding},
	{"a coding that begins with chunked", post("Transfer-Encoding: chunkedx\r\n", "0\r\n\r\n"), noCoding},
	{"chunked with a parameter", post("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"), noCoding},
	{"chunked in quotes", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), noCoding},
	{"chunked with a comma before it", post("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"), noCoding},
	{"chunked with a comma behind it", post("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n"), noCoding},
	{"an empty Transfer-Encoding", post("Transfer-Encoding:\r\n", ""), noCoding},
	{"chunked with a vertical tab", post("Transfer-Encoding: chunked\x0b\r\n", "0\r\n\r\n"), noControl},
	{"chunked behind a vertical tab", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"), noControl},
	{"chunked with a no-break space", post("Transfer-Encoding: chunked\xa0\r\n", "0\r\n\r\n"), noCoding},
	{"chunked with a Kelvin sign for its k", post("Transfer-Encoding: chun\xe2\x84\xaaed\r\n", "0\r\n\r\n"), noCoding},
	{"Transfer-Encoding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "malformed: Transfer-Encoding in HTTP/1.0"},
	{"a length over the limit of the body", post("Content-Length: 1048577\r\n", ""), noLargeBody},
	{"a length over the limit with its body", post("Content-Length: 1048577\r\n", strings.Repeat("x", 1048577)), noLargeBody},
	{"chunks over the limit of the body", chunks(strings.Repeat("80000\r\n"+strings.Repeat("x", 0x80000)+"\r\n", 3) + "0\r\n\r\n"), noLargeBody},
	{"a body that is cut off", post("Content-Length: 5\r\n", "hell"), cutOff},
	{"a body that does not come", post("Content-Length: 5\r\n", ""), cutOff},
}

var refusedChunks = []messageCase{
	{"no chunk at all", chunks(""), cutOff},
	{"an empty chunk size", chunks("\r\n\r\n"), noChunkSize},
	{"a chunk extension without a size", chunks(";a=b\r\n\r\n"), noChunkSize},
	{"a chunk size with a plus", chunks("+5\r\nhello\r\n0\r\n\r\n"), noChunkSize},
	{"a chunk size with a minus", chunks("-5\r\nhello\r\n0\r\n\r\n"), noChunkSize},
	{"a chunk size with 0x", chunks("0x5\r\nhello\r\n0\r\n\r\n"), noChunkTail},
	{"a chunk size in letters that are no digits", chunks("g\r\nhello\r\n0\r\n\r\n"), noChunkSize},
	{"a chunk size with an h behind it", chunks("5h\r\nhello\r\n0\r\n\r\n"), noChunkTail},
	{"a chunk size with an underscore", chunks("0_5\r\nhello\r\n0\r\n\r\n"), noChunkTail},
	{"a chunk size with a fraction", chunks("5.0\r\nhello\r\n0\r\n\r\n"), noChunkTail},
	{"a chunk size with a comma", chunks("5,5\r\nhello\r\n0\r\n\r\n"), noChunkTail},
	{"a chunk size with a space before it", chunks(" 5\r\nhello\r\n0\r\n\r\n"), noChunkSize},
	{"a chunk size with a space behind it", chunks("5 \r\nhello\r\n0\r\n\r\n"), noChunkTail},
	{"a chunk size with a tab behind it", chunks("5\t\r\nhello\r\n0\r\n\r\n"), noChunkTail},
	{"a space before a chunk extension", chunks("5 ;a=b\r\nhello\r\n0\r\n\r\n"), noChunkTail},
	{"a chunk size with a NUL", chunks("5\x00\r\nhello\r\n0\r\n\r\n"), noChunkTail},
	{"a chunk size of 16 digits", chunks("0000000000000005\r\nhello\r\n0\r\n\r\n"), noChunkDigits},
	{"a chunk size over 64 bits", chunks("10000000000000005\r\nhello\r\n0\r\n\r\n"), noChunkDigits},
	{"a last chunk of 16 zeros", chunks("0000000000000000\r\n\r\n"), noChunkDigits},
	{"a chunk size line that ends in a bare LF", chunks("5\nhello\r\n0\r\n\r\n"), noChunkLF},
	{"a chunk size line that is a bare LF", chunks("\nhello"), noChunkLF},
	{"a last chunk that ends in a bare LF", chunks("0\n\r\n"), noChunkLF},
	{"a chunk size line that ends in two CRs", chunks("5\r\r\nhello\r\n0\r\n\r\n"), noChunkTail},
	{"a bare CR in a chunk extension", chunks("5;a\rb\r\nhello\r\n0\r\n\r\n"), noChunkTail},
	{"a bare LF in a chunk extension", chunks("5;a\nb\r\nhello\r\n0\r\n\r\n"), noChunkLF},
	{"a control byte in a chunk extension", chunks("5;a=\x01\r\nhello\r\n0\r\n\r\n"), noChunkTail},
	{"data that is longer than its chunk", chunks("4\r\nhello\r\n0\r\n\r\n"), noChunkEnd},
	{"data that is shorter than its chunk", chunks("6\r\nhello\r\n0\r\n\r\n"), noChunkEnd},
	{"a chunk without CRLF behind it", chunks("5\r\nhello0\r\n\r\n"), noChunkEnd},
	{"a chunk with a bare LF behind it", chunks("5\r\nhello\n0\r\n\r\n"), noChunkEnd},
	{"a chunk with a bare CR behind it", chunks("5\r\nhello\r0\r\n\r\n"), noChunkEnd},
	{"a chunk with two CRLFs behind it", chunks("5\r\nhello\r\n\r\n0\r\n\r\n"), noChunkSize},
	{"a chunk size line over its limit", chunks("5;" + strings.Repeat("a", 256) + "\r\nhello\r\n0\r\n\r\n"), noChunkLine},
	{"a chunk size line over its limit without an end", chunks("5;" + strings.Repeat("a", 6000)), noChunkLine},
	{"chunk extensions over the limit of one body", chunks(strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 50) + "0\r\n\r\n"), noExtensions},
	{"a connection that ends in a chunk", chunks("5\r\nhel"), cutOff},
	{"a connection that ends behind a chunk's data", chunks("5\r\nhello"), cutOff},
	{"a connection that ends behind a chunk", chunks("5\r\nhello\r\n"), cutOff},
	{"a connection that ends in a chunk size line", chunks("5\r\nhello\r\n0"), cutOff},
	{"a connection that ends before the trailers", chunks("5\r\nhello\r\n0\r\n"), cutOff},
	{"a connection that ends in the trailers", chunks("0\r\nA: b\r\n"), cutOff},

	{"a trailer with a bare LF", chunks("0\r\nA: b\n\r\n"), noBareLF},
	{"a trailer section that ends in a bare LF", chunks("0\r\nA: b\r\n\n"), noBareLF},
	{"a folded trailer", chunks("0\r\nA: b\r\n c\r\n\r\n"), noFold},
	{"a space before the colon of a trailer", chunks("0\r\nA : b\r\n\r\n"), noSpaceColon},
	{"a trailer without a colon", chunks("0\r\nA\r\n\r\n"), noColon},
	{"a trailer without a name", chunks("0\r\n: b\r\n\r\n"), noToken},
	{"a trailer with a NUL", chunks("0\r\nA: \x00\r\n\r\n"), noControl},
	{"a request where the trailers should end", chunks("0\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"), noSpaceColon},
	{"a framing trailer with an underscore", chunks("0\r\nContent_Length: 5\r\n\r\n"), noUnderscore},
	{"trailers over their limit", chunks("0\r\nA: " + strings.Repeat("b", 512) + "\r\n\r\n"), noTrailers},
	{"trailers over their limit without an end", chunks("0\r\nA: " + strings.Repeat("b", 1000)), noTrailers},
	{"too many trailers", chunks("0\r\n" + strings.Repeat("A: b\r\n", 22) + "\r\n"), noManyFields},
}

func TestRefusedRequests(t *testing.T) {
	server := testServer(testLimits())
	count := 0
	for _, table := range [][]messageCase{refusedRequestLines, refusedRequestFields, refusedRequestFraming, refusedChunks} {
		for _, c := range table {
			count++
			t.Run(c.name, func(t *testing.T) {
				for how, segments := range map[string][][]byte{"whole": whole(c.raw), "bytewise": bytewise(c.raw)} {
					if how == "bytewise" && len(c.raw) > 10_000 {
						continue
					}
					got := receive(server, segments)
					if len(got) != 1 {
						t.Fatalf("%s: %d requests, want one that is refused", how, len(got))
					}
					if d := describe(got[0].err); d != c.want {
						t.Errorf("%s: %s, want %s", how, d, c.want)
					}
				}
			})
		}
	}
	if count < 190 {
		t.Errorf("%d cases, want at least 190", count)
	}
}

var refusedConnects = []messageCase{
	{"CONNECT with a path", line("CONNECT / HTTP/1.1"), "malformed: the target of CONNECT is not host:port"},
	{"CONNECT without a port", line("CONNECT a HTTP/1.1"), "malformed: the target of CONNECT is not host:port"},
	{"CONNECT with an empty port", line("CONNECT a: HTTP/1.1"), "malformed: the target of CONNECT is not host:port"},
	{"CONNECT with a port of six digits", line("CONNECT a:123456 HTTP/1.1"), "malformed: the target of CONNECT is not host:port"},
	{"CONNECT without a host", line("CONNECT :80 HTTP/1.1"), "malformed: the target of CONNECT is not host:port"},
	{"CONNECT with userinfo", line("CONNECT u@a:80 HTTP/1.1"), "malformed: the target of CONNECT is not host:port"},
	{"CONNECT with an absolute-form", line("CONNECT http://a:80 HTTP/1.1"), "malformed: the target of CONNECT is not host:port"},
	{"CONNECT with a length", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "malformed: CONNECT with a body"},
	{"CONNECT with chunks", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "malformed: CONNECT with a body"},
	{"CONNECT to a name", line("CONNECT a:443 HTTP/1.1"), "accepted"},
	{"CONNECT to an IPv6 address", line("CONNECT [::1]:443 HTTP/1.1"), "accepted"},
}

func TestConnectWhereConfigured(t *testing.T) {
	server := NewServer(ServerOptions{Limits: testLimits(), Buffers: new(Buffers), AllowConnect: true})
	for _, c := range refusedConnects {
		t.Run(c.name, func(t *testing.T) {
			got := receive(server, whole(c.raw))
			if len(got) != 1 {
				t.Fatalf("%d requests, want 1", len(got))
			}
			if d := describe(got[0].err); d != c.want {
				t.Errorf("%s, want %s", d, c.want)
			}
		})
	}
}

// acceptedRequests are unusual and valid; want is method, target, host, body and
// trailers.
var acceptedRequests = []messageCase{
	{"the shortest request", "G / HTTP/1.1\r\nHost:a\r\n\r\n", "G / a  "},
	{"a method of all token bytes", "!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\nHost: a\r\n\r\n", "!#$%&'*+-.^_`|~09azAZ / a  "},
	{"OPTIONS of the server", line("OPTIONS * HTTP/1.1"), "OPTIONS * a  "},
	{"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "GET /   "},
	{"HTTP/1.0 with a body", "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", "POST /  hi "},
	{"a path of two slashes", line("GET //a/b HTTP/1.1"), "GET //a/b a  "},
	{"a query with broken escapes", line("GET /?%zz=% HTTP/1.1"), "GET /?%zz=% a  "},
	{"a query with question marks", line("GET /??a=b?c HTTP/1.1"), "GET /??a=b?c a  "},
	{"a path with escapes", line("GET /%2F%41 HTTP/1.1"), "GET /%2F%41 a  "},
	{"a URI in the path", line("GET /http://b/ HTTP/1.1"), "GET /http://b/ a  "},
	{"bytes of the target that URIs don't have", line("GET /{a}|\"<>^` HTTP/1.1"), "GET /{a}|\"<>^` a  "},
	{"a target of just its limit", line("GET /" + strings.Repeat("a", 255) + " HTTP/1.1"), "GET /" + strings.Repeat("a", 255) + " a  "},
	{"a Host with a port", host("a.b-c_d:8080"), "GET / a.b-c_d:8080  "},
	{"a Host with an IPv4 address", host("127.0.0.1:1"), "GET / 127.0.0.1:1  "},
	{"a Host with an IPv6 address", host("[::ffff:1.2.3.4]"), "GET / [::ffff:1.2.3.4]  "},
	{"a Host with an IPv6 address and a port", host("[2001:DB8::1]:65535"), "GET / [2001:DB8::1]:65535  "},
	{"white space around a Host", host(" \t a\t "), "GET / a  "},
	{"a field without a value", get("A:\r\n"), "GET / a  "},
	{"a value with bytes above ASCII", get("A: \xff\xc3\xa9\r\n"), "GET / a  "},
	{"a value with a tab inside", get("A: b\tc\r\n"), "GET / a  "},
	{"a value that looks like a field", get("A: Content-Length: 5\r\n"), "GET / a  "},
	{"Connection with empty elements", get("Connection: , ,close,,\r\n"), "GET / a  "},
	{"Connection with many empty elements", get("Connection: " + strings.Repeat(",", 100) + "\r\n"), "GET / a  "},
	{"an empty Connection", get("Connection:\r\n"), "GET / a  "},
	{"as many fields as the limit allows", get(strings.Repeat("A: b\r\n", 19)), "GET / a  "},
	{"a Content-Length of 0", post("Content-Length: 0\r\n", ""), "POST / a  "},
	{"a Content-Length with leading zeros", post("Content-Length: 000000000000000005\r\n", "hello"), "POST / a hello "},
	{"a Content-Length without a space", post("content-length:5\r\n", "hello"), "POST / a hello "},
	{"a body of GET", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "GET / a hello "},
	{"chunked in capitals", post("TRANSFER-ENCODING:CHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n"), "POST / a hello "},
	{"chunked with white space around", post("Transfer-Encoding:\t chunked \t\r\n", "0\r\n\r\n"), "POST / a  "},
	{"chunk sizes in both cases and with zeros", chunks("0A\r\n0123456789\r\n00a\r\n0123456789\r\n000\r\n\r\n"), "POST / a 01234567890123456789 "},
	{"a chunk size of 15 digits", chunks("000000000000005\r\nhello\r\n0\r\n\r\n"), "POST / a hello "},
	{"chunk data that looks like chunks", chunks("9\r\n0\r\n\r\n0\r\n\r\r\n0\r\n\r\n"), "POST / a 0\r\n\r\n0\r\n\r "},
	{"chunk extensions", chunks("5;a;b=c;d=\"e f\"\r\nhello\r\n0;last\r\n\r\n"), "POST / a hello "},
	{"trailers", chunks("0\r\nA: b\r\nC:d\r\n\r\n"), "POST / a  A: b\r\nC:d\r\n"},
	{
		"trailers that are not passed on",
		chunks("0\r\nHost: b\r\nContent-Length: 7\r\nTransfer-Encoding: x\r\nAuthorization: c\r\nCookie: d\r\n" +
			"Trailer: e\r\nX-Forwarded-Client-Cert: f\r\nx_outrider_peer: g\r\nConnection: h\r\nOk: i\r\n\r\n"),
		"POST / a  Ok: i\r\n",
	},
	{"Expect without a body", get("Expect: 100-Continue\r\n"), "GET / a  "},
}

func TestAcceptedRequests(t *testing.T) {
	server := testServer(testLimits())
	for _, c := range acceptedRequests {
		t.Run(c.name, func(t *testing.T) {
			for how, segments := range map[string][][]byte{
				"whole": whole(c.raw), "bytewise": bytewise(c.raw),
				// What follows must be read as a request of its own.
				"pipelined": whole(c.raw + get("")),
			} {
				got := receive(server, segments)
				if len(got) == 0 || got[0].err != nil {
					t.Fatalf("%s: refused: %+v", how, got)
				}
				r := got[0]
				if all := strings.Join([]string{r.method, r.target, r.host, r.body, r.trailers}, " "); all != c.want {
					t.Errorf("%s: %q, want %q", how, all, c.want)
				}
				keeps := !strings.Contains(c.raw, "close") && !strings.Contains(c.raw, "HTTP/1.0")
				if how == "pipelined" && keeps && (len(got) != 2 || got[1].err != nil) {
					t.Errorf("the request behind it: %+v", got[1:])
				}
			}
		})
	}
	if len(acceptedRequests) < 35 {
		t.Errorf("%d cases, want at least 35", len(acceptedRequests))
	}
}
