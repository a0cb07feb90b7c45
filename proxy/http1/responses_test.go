package http1

import (
	"errors"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/message"
)

const (
	noStatusLine   = "malformed: the status line does not begin with HTTP/1.1 and one space"
	noStatusDigits = "malformed: the status code is not three digits"
	noStatusRange  = "malformed: the status code is out of range"
	noReason       = "malformed: the reason phrase is malformed"
	noBodyCoding   = "malformed: Transfer-Encoding in a response without a body"
	noBodyLength   = "malformed: Content-Length in a response without a body"
	noSwitch       = "malformed: an upgrade that was not asked for"
)

// ok is a response with these field lines and what follows them.
func ok(fields, rest string) string { return "HTTP/1.1 200 OK\r\n" + fields + "\r\n" + rest }

// status is a response with this status line, without a body.
func status(line string) string { return line + "\r\nContent-Length: 0\r\n\r\n" }

// refusedResponses to GET are refused before the client saw anything.
var refusedResponses = []messageCase{
	{"nothing", "", "EOF"},
	{"an empty line before the status line", "\r\n" + ok("", ""), noStatusLine},
	{"a body instead of a head", "hello\r\n\r\n", noStatusLine},
	{"a request instead of a response", get(""), noStatusLine},
	{"a status line of HTTP/2", status("HTTP/2.0 200 OK"), noStatusLine},
	{"a status line of HTTP/2 without a minor", status("HTTP/2 200 OK"), noStatusLine},
	{"a status line of HTTP/1.2", status("HTTP/1.2 200 OK"), noStatusLine},
	{"a status line of HTTP/0.9", status("HTTP/0.9 200 OK"), noStatusLine},
	{"a status line in lower case", status("http/1.1 200 OK"), noStatusLine},
	{"a status line of ICY", status("ICY 200 OK"), noStatusLine},
	{"a status line without a version", status("200 OK"), noStatusLine},
	{"a status line without a status", status("HTTP/1.1"), noStatusLine},
	{"a status line with nothing behind the space", status("HTTP/1.1 "), noStatusLine},
	{"a space before the version", status(" HTTP/1.1 200 OK"), noStatusLine},
	{"a tab behind the version", status("HTTP/1.1\t200 OK"), noStatusLine},
	{"two spaces behind the version", status("HTTP/1.1  200 OK"), noStatusDigits},
	{"a status of two digits", status("HTTP/1.1 20 OK"), noStatusDigits},
	{"a status of one digit and no reason", status("HTTP/1.1 2"), noStatusLine},
	{"a status of four digits", status("HTTP/1.1 2000 OK"), noReason},
	{"a negative status", status("HTTP/1.1 -20 OK"), noStatusDigits},
	{"a status with a plus", status("HTTP/1.1 +20 OK"), noStatusDigits},
	{"a hexadecimal status", status("HTTP/1.1 0xC8 OK"), noStatusDigits},
	{"a status in letters", status("HTTP/1.1 abc OK"), noStatusDigits},
	{"a status with a dot", status("HTTP/1.1 200.1 OK"), noReason},
	{"status 000", status("HTTP/1.1 000 OK"), noStatusRange},
	{"status 099", status("HTTP/1.1 099 OK"), noStatusRange},
	{"status 600", status("HTTP/1.1 600 OK"), noStatusRange},
	{"status 999", status("HTTP/1.1 999 OK"), noStatusRange},
	{"a tab behind the status", status("HTTP/1.1 200\tOK"), noReason},
	{"a NUL in the reason", status("HTTP/1.1 200 O\x00K"), noReason},
	{"a control byte in the reason", status("HTTP/1.1 200 O\x1bK"), noReason},
	{"a bare CR in the reason", status("HTTP/1.1 200 O\rK"), noReason},
	{"two CRs at the end of the status line", status("HTTP/1.1 200 OK\r"), noReason},
	{"a bare LF at the end of the status line", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", noBareLF},
	{"a bare LF at the end of a field", "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n", noBareLF},
	{"a bare LF at the end of the head", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n", noBareLF},
	{"a folded field", ok("A: b\r\n c\r\nContent-Length: 0\r\n", ""), noFold},
	{"a space before the colon", ok("Content-Length : 0\r\n", ""), noSpaceColon},
	{"a field without a colon", ok("A\r\nContent-Length: 0\r\n", ""), noColon},
	{"an empty name", ok(": b\r\nContent-Length: 0\r\n", ""), noToken},
	{"a name that is not a token", ok("A\x00: b\r\nContent-Length: 0\r\n", ""), noToken},
	{"a NUL in a value", ok("A: \x00\r\nContent-Length: 0\r\n", ""), noControl},
	{"a bare CR in a value", ok("A: b\rSet-Cookie: c\r\nContent-Length: 0\r\n", ""), noControl},
	{"Connection lists Content-Length", ok("Connection: content-length\r\nContent-Length: 0\r\n", ""), noDrop},

	{"Content-Length and Transfer-Encoding", ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), noBoth},
	{"two equal Content-Lengths", ok("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), noTwoLengths},
	{"two different Content-Lengths", ok("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), noTwoLengths},
	{"a Content-Length that is a list", ok("Content-Length: 5, 5\r\n", "hello"), noLength},
	{"a Content-Length with a plus", ok("Content-Length: +5\r\n", "hello"), noLength},
	{"a negative Content-Length", ok("Content-Length: -1\r\n", "hello"), noLength},
	{"a hexadecimal Content-Length", ok("Content-Length: 0x5\r\n", "hello"), noLength},
	{"an empty Content-Length", ok("Content-Length:\r\n", ""), noLength},
	{"a Content-Length of 19 digits", ok("Content-Length: 9999999999999999999\r\n", ""), noLength},
	{"a Content-Length with an underscore", ok("Content_Length: 5\r\n", "hello"), noUnderscore},
	{"two Transfer-Encodings", ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), noTwoCodings},
	{"identity", ok("Transfer-Encoding: identity\r\n", "hello"), noCoding},
	{"a coding and chunked", ok("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), noCoding},
	{"a coding that ends in chunked", ok("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), noCoding},
	{"chunked with a vertical tab", ok("Transfer-Encoding: chunked\x0b\r\n", "0\r\n\r\n"), noControl},
	{"Transfer-Encoding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "malformed: Transfer-Encoding in HTTP/1.0"},
	{"Transfer-Encoding in 204", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", noBodyCoding},
	{"Transfer-Encoding in 100", "HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n" + ok("", ""), noBodyCoding},
	{"Transfer-Encoding in 101", "HTTP/1.1 101 Switching\r\nTransfer-Encoding: chunked\r\n\r\n", noBodyCoding},
	{"Content-Length in 204", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", noBodyLength},
	{"Content-Length in 100", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello" + ok("", ""), noBodyLength},
	{"Content-Length in 103", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello" + ok("", ""), noBodyLength},
	{"two Content-Lengths of 0 in 204", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", noTwoLengths},
	{"two Content-Lengths in 304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\nContent-Length: 7\r\n\r\n", noTwoLengths},

	{"an upgrade that was not asked for", "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", noSwitch},
	{"too many interim responses", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 4) + ok("", ""), "too many interim responses"},
	{"endless interim responses", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100), "too many interim responses"},
	{"only an interim response", "HTTP/1.1 100 Continue\r\n\r\n", "EOF"},
	{"an interim response and half a response", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2", cutOff},
	{"a head over its limit", ok("A: "+strings.Repeat("b", 2048)+"\r\n", ""), "head: the response head is over its limit"},
	{"a head over its limit without an end", "HTTP/1.1 200 " + strings.Repeat("b", 9000), "head: the response head is over its limit"},
	{"too many fields", ok(strings.Repeat("A: b\r\n", 21), ""), noManyFields},
	{"a connection that ends in the status line", "HTTP/1.1 200", cutOff},
	{"a connection that ends between the fields", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", cutOff},
}

func TestRefusedResponses(t *testing.T) {
	for _, c := range refusedResponses {
		t.Run(c.name, func(t *testing.T) {
			for how, segments := range map[string][][]byte{"whole": whole(c.raw), "bytewise": bytewise(c.raw)} {
				got := relay(t, testLimits(), get(""), segments)
				if got.failure == nil {
					t.Fatalf("%s: accepted, and the client got %q", how, got.toClient)
				}
				if d := describe(got.failure.Err); d != c.want {
					t.Errorf("%s: %s, want %s", how, d, c.want)
				}
				if !got.failure.Unsent || got.failure.Side != message.UpstreamSide {
					t.Errorf("%s: failure %+v, want one of the upstream with nothing sent", how, got.failure)
				}
				if final := strings.ReplaceAll(got.toClient, "HTTP/1.1 10", ""); strings.Contains(final, "HTTP/") {
					t.Errorf("%s: the client got %q", how, got.toClient)
				}
				if got.reusable || got.outcome != aborted {
					t.Errorf("%s: reusable %v, outcome %v", how, got.reusable, got.outcome)
				}
			}
		})
	}
	if len(refusedResponses) < 70 {
		t.Errorf("%d cases, want at least 70", len(refusedResponses))
	}
}

// cutResponses break behind their head: the client must notice.
var cutResponses = []messageCase{
	{"a body that is cut off", ok("Content-Length: 10\r\n", "hello"), cutOff},
	{"a body that does not come", ok("Content-Length: 10\r\n", ""), cutOff},
	{"a chunk that is cut off", ok("Transfer-Encoding: chunked\r\n", "a\r\nhello"), cutOff},
	{"chunks that end between two", ok("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"), cutOff},
	{"chunks that end before the trailers", ok("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n"), cutOff},
	{"trailers that are cut off", ok("Transfer-Encoding: chunked\r\n", "0\r\nA: b\r\n"), cutOff},
	{"a chunk size that is not hexadecimal", ok("Transfer-Encoding: chunked\r\n", "x\r\nhello\r\n0\r\n\r\n"), noChunkSize},
	{"a chunk size with 0x", ok("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n"), noChunkTail},
	{"a chunk size of 16 digits", ok("Transfer-Encoding: chunked\r\n", "0000000000000005\r\nhello\r\n0\r\n\r\n"), noChunkDigits},
	{"a chunk without CRLF behind it", ok("Transfer-Encoding: chunked\r\n", "5\r\nhello0\r\n\r\n"), noChunkEnd},
	{"a chunk size line that ends in a bare LF", ok("Transfer-Encoding: chunked\r\n", "5\nhello\r\n0\r\n\r\n"), noChunkLF},
	{"a trailer with a bare LF", ok("Transfer-Encoding: chunked\r\n", "0\r\nA: b\n\r\n"), noBareLF},
	{"a trailer without a colon", ok("Transfer-Encoding: chunked\r\n", "0\r\nA\r\n\r\n"), noColon},
	{"trailers over their limit", ok("Transfer-Encoding: chunked\r\n", "0\r\nA: "+strings.Repeat("b", 600)+"\r\n\r\n"), noTrailers},
	{"chunk extensions over their limit", ok("Transfer-Encoding: chunked\r\n", strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 50)+"0\r\n\r\n"), noExtensions},
}

func TestCutResponses(t *testing.T) {
	for _, c := range cutResponses {
		t.Run(c.name, func(t *testing.T) {
			for how, segments := range map[string][][]byte{"whole": whole(c.raw), "bytewise": bytewise(c.raw)} {
				got := relay(t, testLimits(), get(""), segments)
				if got.failure == nil || got.failure.Side != message.UpstreamSide || got.failure.Unsent {
					t.Fatalf("%s: failure %+v, want one of the upstream behind the head", how, got.failure)
				}
				if d := describe(got.failure.Err); d != c.want {
					t.Errorf("%s: %s, want %s", how, d, c.want)
				}
				if got.outcome != aborted || got.reusable {
					t.Errorf("%s: outcome %v, reusable %v; want both connections cut off", how, got.outcome, got.reusable)
				}
				if chunked := strings.HasPrefix(got.toClient, chunkedHead); chunked && strings.HasSuffix(got.toClient, "\r\n0\r\n\r\n") || strings.Contains(got.toClient, "0\r\nA:") {
					t.Errorf("%s: the client got a complete message: %q", how, got.toClient)
				}
			}
		})
	}
	if len(cutResponses) < 15 {
		t.Errorf("%d cases, want at least 15", len(cutResponses))
	}
}

// An answerCase is a valid response and what the client gets of it.
type answerCase struct {
	name, request, response, want string
	outcome                       outcome
	reusable                      bool
}

var (
	get10       = "GET / HTTP/1.0\r\n\r\n"
	get10Keep   = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
	headRequest = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
	connect     = "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"
	websocket   = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"
	chunkedHead = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
)

var answers = []answerCase{
	{"a body with a length passes as it came", get(""), ok("Content-Length: 5\r\nA: b\r\n", "hello"), ok("Content-Length: 5\r\nA: b\r\n", "hello"), keepOpen, true},
	{"an empty body", get(""), ok("Content-Length: 0\r\n", ""), ok("Content-Length: 0\r\n", ""), keepOpen, true},
	{"chunks are framed anew", get(""), ok("Transfer-Encoding: CHUNKED\r\n", "005;x=y\r\nhello\r\n0;z\r\n\r\n"), chunkedHead + "5\r\nhello\r\n0\r\n\r\n", keepOpen, true},
	{"trailers pass", get(""), ok("Transfer-Encoding: chunked\r\nTrailer: A\r\n", "0\r\nA:  b\r\n\r\n"), "HTTP/1.1 200 OK\r\nTrailer: A\r\ntransfer-encoding: chunked\r\n\r\n0\r\nA:  b\r\n\r\n", keepOpen, true},
	{"trailers that frame, route or identify are dropped", get(""), ok("Transfer-Encoding: chunked\r\n", "0\r\nContent-Length: 7\r\nSet-Cookie: a\r\nX-Outrider-Peer: b\r\nC: d\r\n\r\n"), chunkedHead + "0\r\nC: d\r\n\r\n", keepOpen, true},
	{"a body that ends with the connection becomes chunked", get(""), ok("", "hello"), chunkedHead + "5\r\nhello\r\n0\r\n\r\n", keepOpen, false},
	{"an empty body that ends with the connection", get(""), ok("", ""), chunkedHead + "0\r\n\r\n", keepOpen, false},
	{"a response of HTTP/1.0 is answered as HTTP/1.1", get(""), "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", ok("Content-Length: 5\r\n", "hello"), keepOpen, false},
	{"a response of HTTP/1.0 that keeps the connection", get(""), "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", ok("Content-Length: 5\r\n", "hello"), keepOpen, true},
	{"a response of HTTP/1.0 without a length", get(""), "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello", chunkedHead + "5\r\nhello\r\n0\r\n\r\n", keepOpen, false},
	{"a response that closes does not close the client", get(""), ok("Connection: close\r\nContent-Length: 5\r\n", "hello"), ok("Content-Length: 5\r\n", "hello"), keepOpen, false},
	{"a client that closes does not close the next hop", get("Connection: close\r\n"), ok("Content-Length: 5\r\n", "hello"), ok("Content-Length: 5\r\nconnection: close\r\n", "hello"), closeAfter, true},

	{"HTTP/1.0 is answered and closed", get10, ok("Content-Length: 5\r\n", "hello"), ok("Content-Length: 5\r\nconnection: close\r\n", "hello"), closeAfter, true},
	{"HTTP/1.0 with keep-alive is kept", get10Keep, ok("Content-Length: 5\r\n", "hello"), ok("Content-Length: 5\r\nconnection: keep-alive\r\n", "hello"), keepOpen, true},
	{"HTTP/1.0 gets chunks as one body", get10Keep, ok("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nA: b\r\n\r\n"), ok("connection: close\r\n", "hello"), closeAfter, true},
	{"HTTP/1.0 gets a body that ends with the connection", get10Keep, ok("", "hello"), ok("connection: close\r\n", "hello"), closeAfter, false},
	{"HTTP/1.0 gets no interim responses", get10, "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + ok("Content-Length: 0\r\n", ""), ok("Content-Length: 0\r\nconnection: close\r\n", ""), closeAfter, true},

	{"HEAD keeps its length", headRequest, ok("Content-Length: 5\r\n", ""), ok("Content-Length: 5\r\n", ""), keepOpen, true},
	{"HEAD of chunks has no framing", headRequest, ok("Transfer-Encoding: chunked\r\n", ""), ok("", ""), keepOpen, true},
	{"HEAD without a length", headRequest, ok("", ""), ok("", ""), keepOpen, true},
	{"HEAD with a body all the same", headRequest, ok("Content-Length: 5\r\n", "hello"), ok("Content-Length: 5\r\n", ""), keepOpen, false},
	{"HEAD with a length of more than 32 bits", headRequest, ok("Content-Length: 99999999999\r\n", ""), ok("Content-Length: 99999999999\r\n", ""), keepOpen, true},
	{"204", get(""), "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", keepOpen, true},
	{"204 loses its length", get(""), "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nA: b\r\n\r\n", "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", keepOpen, true},
	{"204 with a body all the same", get(""), "HTTP/1.1 204 No Content\r\n\r\nhello", "HTTP/1.1 204 No Content\r\n\r\n", keepOpen, false},
	{"304", get(""), "HTTP/1.1 304 Not Modified\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n\r\n", keepOpen, true},
	{"304 keeps its length, which is not of a body", get(""), "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", keepOpen, true},
	{"304 of something chunked", get(""), "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n\r\n", keepOpen, true},
	{"304 with a body all the same", get(""), "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", keepOpen, false},
	{"bytes behind the answer", get(""), ok("Content-Length: 5\r\n", "hello") + ok("Content-Length: 4\r\n", "evil"), ok("Content-Length: 5\r\n", "hello"), keepOpen, false},
	{"one byte behind the answer", get(""), ok("Content-Length: 5\r\n", "hello\n"), ok("Content-Length: 5\r\n", "hello"), keepOpen, false},
	{"bytes behind the last chunk", get(""), ok("Transfer-Encoding: chunked\r\n", "0\r\n\r\n\r\n"), chunkedHead + "0\r\n\r\n", keepOpen, false},

	{"an interim response passes", get(""), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok("Content-Length: 0\r\n", ""), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok("Content-Length: 0\r\n", ""), keepOpen, true},
	{"as many interim responses as the limit allows", get(""), strings.Repeat("HTTP/1.1 102 P\r\n\r\n", 3) + ok("Content-Length: 0\r\n", ""), strings.Repeat("HTTP/1.1 102 P\r\n\r\n", 3) + ok("Content-Length: 0\r\n", ""), keepOpen, true},
	{"an interim response loses its length and its hop-by-hop fields", get(""), "HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\nConnection: a\r\nA: b\r\n\r\n" + ok("Content-Length: 0\r\n", ""), "HTTP/1.1 103 Early Hints\r\n\r\n" + ok("Content-Length: 0\r\n", ""), keepOpen, true},
	{"an interim response that closes means nothing", get(""), "HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n" + ok("Content-Length: 0\r\n", ""), "HTTP/1.1 103 Early Hints\r\n\r\n" + ok("Content-Length: 0\r\n", ""), keepOpen, true},

	{"a status line without a reason", get(""), status("HTTP/1.1 200 "), status("HTTP/1.1 200 "), keepOpen, true},
	{"a status line without its last space gets one", get(""), status("HTTP/1.1 200"), status("HTTP/1.1 200 "), keepOpen, true},
	{"a reason with bytes above ASCII", get(""), status("HTTP/1.1 200 \xc3\xa9\t!"), status("HTTP/1.1 200 \xc3\xa9\t!"), keepOpen, true},
	{"a status nobody knows", get(""), status("HTTP/1.1 599 Odd"), status("HTTP/1.1 599 Odd"), keepOpen, true},
	{"hop-by-hop fields end here", get(""), ok("Connection: x-a, keep-alive\r\nX-A: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\nProxy-Authenticate: a\r\nTE: b\r\nUpgrade: h2c\r\nX-B: 2\r\nContent-Length: 0\r\n", ""), ok("X-B: 2\r\nContent-Length: 0\r\n", ""), keepOpen, true},
	{"reserved fields do not come back", get(""), ok("X-Forwarded-Client-Cert: a\r\nx_forwarded_client_cert: b\r\nX-Outrider-Peer: c\r\nx_outrider_: d\r\nContent-Length: 0\r\n", ""), ok("Content-Length: 0\r\n", ""), keepOpen, true},

	{"a websocket", websocket, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", hijacked, false},
	{"a websocket that is refused", websocket, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", keepOpen, true},
	{"CONNECT that opens", connect, "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", hijacked, false},
	{"CONNECT that opens with framing, which means nothing", connect, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\n\r\n", hijacked, false},
	{"CONNECT that is refused", connect, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", keepOpen, true},
}

func TestAnswers(t *testing.T) {
	for _, c := range answers {
		t.Run(c.name, func(t *testing.T) {
			for how, segments := range map[string][][]byte{"whole": whole(c.response), "bytewise": bytewise(c.response)} {
				if how == "bytewise" && !c.reusable && c.outcome != hijacked {
					// A byte that comes later is found on the idle socket, which
					// a script does not have.
					continue
				}
				got := relay(t, testLimits(), c.request, segments)
				if got.failure != nil {
					t.Fatalf("%s: %v", how, got.failure)
				}
				want := c.want
				if how == "bytewise" && strings.HasPrefix(want, chunkedHead+"5") {
					want = chunkedHead + "1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n"
				}
				if got.toClient != want {
					t.Errorf("%s: the client got\n%q, want\n%q", how, got.toClient, want)
				}
				if got.outcome != c.outcome || got.reusable != c.reusable {
					t.Errorf("%s: outcome %v and reusable %v, want %v and %v", how, got.outcome, got.reusable, c.outcome, c.reusable)
				}
			}
		})
	}
	if len(answers) < 45 {
		t.Errorf("%d cases, want at least 45", len(answers))
	}
}

// forwardedCases: a request and what the next hop gets of it.
var forwardedCases = []messageCase{
	{"a plain request passes as it came", "GET /a?b=c HTTP/1.1\r\nHOST:  a \r\nX-A:1\r\nx-a: 2\r\n\r\n", "GET /a?b=c HTTP/1.1\r\nHOST:  a \r\nX-A:1\r\nx-a: 2\r\n\r\n"},
	{"HTTP/1.0 becomes HTTP/1.1 with a Host", get10, "GET / HTTP/1.1\r\nhost: \r\n\r\n"},
	{"hop-by-hop fields end here", get("Connection: close, x-a\r\nX-A: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: y\r\nUpgrade: h2c\r\nX-B: 2\r\n"), get("X-B: 2\r\n")},
	{"an upgrade to h2c is not passed on", get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n"), get("")},
	{"an upgrade to two protocols is not passed on", get("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"), get("")},
	{"two upgrades are not passed on", get("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"), get("")},
	{"two upgrades are not passed on, whichever comes first", get("Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n"), get("")},
	{"an upgrade that Connection does not list is not passed on", get("Upgrade: websocket\r\n"), get("")},
	{"an upgrade of a request with a body is not passed on", post("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n", "x"), post("Content-Length: 1\r\n", "x")},
	{"an upgrade of HTTP/1.0 is not passed on", "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", get("")},
	{"a websocket is passed on", websocket, get("connection: upgrade\r\nupgrade: websocket\r\n")},
	{"TE: trailers is passed on", get("TE: trailers\r\nConnection: te\r\n"), get("te: trailers\r\nconnection: te\r\n")},
	{"TE with codings is not", get("TE: gzip\r\nConnection: te\r\n"), get("")},
	{"a body with a length", post("Content-Length: 5\r\n", "hello"), post("Content-Length: 5\r\n", "hello")},
	{"a length of 0", post("Content-Length: 0\r\n", ""), post("Content-Length: 0\r\n", "")},
	{"chunks are framed anew", post("Transfer-Encoding: Chunked\r\n", "5;a\r\nhello\r\n00\r\nA: b\r\n\r\n"), post("transfer-encoding: chunked\r\n", "5\r\nhello\r\n0\r\nA: b\r\n\r\n")},
	{"trailers that frame, route or identify are dropped", chunks("0\r\nHost: b\r\nTransfer-Encoding: x\r\nx_outrider_peer: c\r\nCookie: d\r\nE: f\r\n\r\n"), post("transfer-encoding: chunked\r\n", "0\r\nE: f\r\n\r\n")},
	{"Expect is passed on with a body", post("Expect: 100-continue\r\nContent-Length: 1\r\n", "x"), post("Expect: 100-continue\r\nContent-Length: 1\r\n", "x")},
	{"Expect without a body is not passed on", get("Expect: 100-continue\r\n"), get("")},
	{"Expect of HTTP/1.0 is not passed on", "POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx", post("Content-Length: 1\r\n", "x")},
	{"x-forwarded-client-cert in every spelling", get("X-Forwarded-Client-Cert: a\r\nx_forwarded_client_cert: b\r\nX_FORWARDED-client_CERT: c\r\nX-Forwarded-For: d\r\n"), get("X-Forwarded-For: d\r\n")},
	{"x-outrider- and names of any length behind it", get(reservedNames()), get("")},
	{"names that only resemble the reserved ones", get("X-Outride: a\r\nX-Outriders: b\r\nY-X-Outrider-Peer: c\r\nX-Forwarded-Client-Certs: d\r\n"), get("X-Outride: a\r\nX-Outriders: b\r\nY-X-Outrider-Peer: c\r\nX-Forwarded-Client-Certs: d\r\n")},
}

// reservedNames has a name of each length from 11, so that no length is treated
// apart.
func reservedNames() string {
	var b strings.Builder
	for n := range 16 {
		b.WriteString("X_Outrider-" + strings.Repeat("p", n) + ": a\r\n")
	}
	return b.String()
}

func TestForwardedRequests(t *testing.T) {
	for _, c := range forwardedCases {
		t.Run(c.name, func(t *testing.T) {
			got := relay(t, testLimits(), c.raw, whole("HTTP/1.1 204 No Content\r\n\r\n"))
			if got.failure != nil {
				t.Fatal(got.failure)
			}
			if got.toUpstream != c.want {
				t.Errorf("the next hop got\n%q, want\n%q", got.toUpstream, c.want)
			}
		})
	}
	if len(forwardedCases) < 20 {
		t.Errorf("%d cases, want at least 20", len(forwardedCases))
	}
}

func TestEditsCannotSplitARequest(t *testing.T) {
	for name, c := range map[string]struct {
		edits message.Edits
		want  string
	}{
		"a path with a space":        {message.Edits{Path: "/a b"}, ""},
		"a path with CRLF":           {message.Edits{Path: "/a HTTP/1.1\r\nX: y"}, ""},
		"a path with a byte above":   {message.Edits{Path: "/\xc3\xa9"}, ""},
		"a path with a fragment":     {message.Edits{Path: "/a#"}, ""},
		"a path with a query":        {message.Edits{Path: "/a?b"}, ""},
		"a path without a slash":     {message.Edits{Path: "a"}, ""},
		"a field without an end":     {message.Edits{Fields: [][]byte{[]byte("A: b")}}, ""},
		"a field with a bare LF":     {message.Edits{Fields: [][]byte{[]byte("A: b\n")}}, ""},
		"a field that is empty":      {message.Edits{Fields: [][]byte{nil}}, ""},
		"a field that ends the head": {message.Edits{Fields: [][]byte{[]byte("\r\n")}}, ""},
		"two fields in one":          {message.Edits{Fields: [][]byte{[]byte("A: b\r\nC: d\r\n")}}, ""},
		"a field with a bare CR":     {message.Edits{Fields: [][]byte{[]byte("A: b\rC: d\r\n")}}, ""},
		"a path and a field": {
			message.Edits{Path: "/c", Fields: [][]byte{[]byte("D: e\r\n"), []byte("F:\r\n")}},
			"GET /c?q HTTP/1.1\r\nHost: a\r\nD: e\r\nF:\r\n\r\n",
		},
		"the path that was there": {message.Edits{Path: "/x"}, "GET /x?q HTTP/1.1\r\nHost: a\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := &scriptConn{segments: whole("HTTP/1.1 204 No Content\r\n\r\n")}
			pool := poolOf(t, testLimits(), upstream)
			client := &scriptConn{segments: whole("GET /x?q HTTP/1.1\r\nHost: a\r\n\r\n")}
			_ = testServer(testLimits()).NewConn(client).Serve(func(x *Exchange) {
				up, err := pool.Get(t.Context(), x.Started)
				if err != nil {
					t.Error(err)
					return
				}
				_, f := x.Forward(up, &c.edits)
				if refused := f != nil && f.Unsent && errors.Is(f, message.ErrEdits); refused != (c.want == "") {
					t.Errorf("failure %v", f)
				}
			})
			if got := upstream.sent.String(); got != c.want {
				t.Errorf("the next hop got %q, want %q", got, c.want)
			}
			if busy, _ := pool.Stats(); busy != 0 {
				t.Errorf("%d connections are still in use", busy)
			}
		})
	}
}

func TestFieldsCannotSplitAnAnswer(t *testing.T) {
	for name, fields := range map[string]string{
		"an empty line":  "\r\n",
		"a bare LF":      "A: b\nC: d\r\n",
		"an end of head": "A: b\r\n\r\nC: d\r\n",
		"no end":         "A: b",
		"a fold":         "A: b\r\n c\r\n",
		"a control byte": "A: \x00\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			client := &scriptConn{segments: whole(get(""))}
			_ = testServer(testLimits()).NewConn(client).Serve(func(x *Exchange) {
				_ = x.Respond(403, []byte(fields), []byte("no"))
			})
			want := "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno"
			if got := client.sent.String(); got != want {
				t.Errorf("the client got %q, want %q", got, want)
			}
		})
	}
}
