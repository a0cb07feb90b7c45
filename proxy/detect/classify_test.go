package detect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/detect"
)

// The first bytes of a connection, and what they are taken for.
var firstBytes = []struct {
	name string
	b    string
	kind detect.Kind
	sure bool
}{
	{"nothing yet", "", detect.Silent, false},

	{"a TLS 1.3 ClientHello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", detect.TLS, true},
	{"a TLS record of version 3.0", "\x16\x03\x00\x00\x10", detect.TLS, true},
	{"a TLS record of version 3.3", "\x16\x03\x03\x00\x10", detect.TLS, true},
	{"the first two bytes of a TLS record", "\x16\x03", detect.TLS, true},
	{"the first byte of a TLS record", "\x16", detect.Opaque, false},
	{"a handshake byte and another major version", "\x16\x04\x01", detect.Opaque, true},
	{"a handshake byte and text", "\x16GET / HTTP/1.1\r\n", detect.Opaque, true},
	{"a TLS alert record", "\x15\x03\x03\x00\x02", detect.Opaque, true},
	{"a TLS application data record", "\x17\x03\x03\x00\x20", detect.Opaque, true},
	{"an SSLv2 ClientHello", "\x80\x2e\x01\x03\x01", detect.Opaque, true},

	{"GET in origin form", "GET / HTTP/1.1\r\n", detect.HTTP1, true},
	{"GET and the first byte of its target", "GET /", detect.HTTP1, true},
	{"HEAD", "HEAD /x HTTP/1.1\r\n", detect.HTTP1, true},
	{"POST", "POST /v1/charges HTTP/1.1\r\n", detect.HTTP1, true},
	{"PUT", "PUT /x HTTP/1.1\r\n", detect.HTTP1, true},
	{"DELETE", "DELETE /x HTTP/1.1\r\n", detect.HTTP1, true},
	{"PATCH", "PATCH /x HTTP/1.1\r\n", detect.HTTP1, true},
	{"TRACE", "TRACE / HTTP/1.1\r\n", detect.HTTP1, true},
	{"OPTIONS in asterisk form", "OPTIONS * HTTP/1.1\r\n", detect.HTTP1, true},
	{"OPTIONS in origin form", "OPTIONS /x HTTP/1.1\r\n", detect.HTTP1, true},
	{"CONNECT in authority form", "CONNECT db.example:5432 HTTP/1.1\r\n", detect.HTTP1, true},
	{"CONNECT to a bracketed address", "CONNECT [::1]:5432 HTTP/1.1\r\n", detect.HTTP1, true},
	{"PROPFIND of WebDAV", "PROPFIND /x HTTP/1.1\r\n", detect.HTTP1, true},
	{"the longest registered method", "UPDATEREDIRECTREF /x HTTP/1.1\r\n", detect.HTTP1, true},
	{"a method with a hyphen", "VERSION-CONTROL /x HTTP/1.1\r\n", detect.HTTP1, true},
	{"M-SEARCH", "M-SEARCH * HTTP/1.1\r\n", detect.HTTP1, true},
	{"a method nobody registered", "BREW /pot HTTP/1.1\r\n", detect.HTTP1, true},
	{"a method of one letter", "X / HTTP/1.1\r\n", detect.HTTP1, true},
	{"HTTP/1.0", "GET / HTTP/1.0\r\n", detect.HTTP1, true},
	{"HTTP/0.9", "GET /\r\n", detect.HTTP1, true},
	{"an absolute-form target", "GET http://x/ HTTP/1.1\r\n", detect.HTTP1, true},
	{"an absolute-form target over https", "GET https://x/ HTTP/1.1\r\n", detect.HTTP1, true},
	{"an absolute-form target that is not complete", "GET htt", detect.HTTP1, false},
	{"the first letter of an absolute-form target", "GET h", detect.HTTP1, false},
	{"an absolute form of another scheme", "GET ftp://x/ HTTP/1.1\r\n", detect.Opaque, true},
	{"a target that begins like a scheme and is none", "GET hello HTTP/1.1\r\n", detect.Opaque, true},
	{"CONNECT and a blank", "CONNECT ", detect.Opaque, false},
	{"a request that the engine will refuse", "GET /\x00 HTTP/1.1\r\n", detect.HTTP1, true},

	{"one letter", "G", detect.Opaque, false},
	{"a method alone", "GET", detect.Opaque, false},
	{"a method and a blank", "GET ", detect.Opaque, false},
	{"a method of 24 letters", strings.Repeat("A", 24), detect.Opaque, false},
	{"a method of 24 letters and a target", strings.Repeat("A", 24) + " /", detect.HTTP1, true},
	{"a method of 25 letters", strings.Repeat("A", 25), detect.Opaque, true},
	{"a method of 25 letters and a target", strings.Repeat("A", 25) + " /", detect.Opaque, true},
	{"a method in lower case", "get / HTTP/1.1\r\n", detect.Opaque, true},
	{"a method in mixed case", "Get / HTTP/1.1\r\n", detect.Opaque, true},
	{"a method that begins with a hyphen", "-GET / HTTP/1.1\r\n", detect.Opaque, true},
	{"a method with a digit", "GET2 / HTTP/1.1\r\n", detect.Opaque, true},
	{"two blanks behind the method", "GET  / HTTP/1.1\r\n", detect.Opaque, true},
	{"a tab behind the method", "GET\t/ HTTP/1.1\r\n", detect.Opaque, true},
	{"a line end behind the method", "GET\r\n", detect.Opaque, true},
	{"a blank in front of the method", " GET / HTTP/1.1\r\n", detect.Opaque, true},
	{"an empty line in front of the method", "\r\nGET / HTTP/1.1\r\n", detect.Opaque, true},
	{"a byte-order mark in front of the method", "\xef\xbb\xbfGET / HTTP/1.1\r\n", detect.Opaque, true},

	{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", detect.HTTP2, true},
	{"the line of the preface", "PRI * HTTP/2.0\r\n", detect.HTTP2, true},
	{"half of the preface", "PRI * HTT", detect.HTTP2, false},
	{"four bytes of the preface", "PRI ", detect.HTTP2, false},
	{"three bytes of the preface", "PRI", detect.Opaque, false},
	{"a preface of another version", "PRI * HTTP/1.1\r\n", detect.HTTP1, true},
	{"a preface with a path", "PRI / HTTP/2.0\r\n", detect.HTTP1, true},

	{"an SSH banner", "SSH-2.0-OpenSSH_9.6\r\n", detect.Opaque, true},
	{"an SMTP greeting", "220 mail.example ESMTP\r\n", detect.Opaque, true},
	{"an SMTP command", "EHLO mail.example\r\n", detect.Opaque, true},
	{"a Redis array", "*1\r\n$4\r\nPING\r\n", detect.Opaque, true},
	{"an inline Redis command", "PING\r\n", detect.Opaque, true},
	{"a PostgreSQL startup", "\x00\x00\x00\x08\x04\xd2\x16\x2f", detect.Opaque, true},
	{"a MySQL greeting", "\x4a\x00\x00\x00\x0a8.0", detect.Opaque, true},
	{"a PROXY v1 header", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", detect.Opaque, true},
	{"a PROXY v2 header", "\r\n\r\n\x00\r\nQUIT\n", detect.Opaque, true},
	{"a zero byte", "\x00", detect.Opaque, true},
	{"a byte with its high bit set", "\xff", detect.Opaque, true},
}

func TestClassify(t *testing.T) {
	if len(firstBytes) < 60 {
		t.Fatalf("only %d cases", len(firstBytes))
	}
	for _, c := range firstBytes {
		t.Run(c.name, func(t *testing.T) {
			kind, sure := detect.Classify([]byte(c.b))
			if kind != c.kind || sure != c.sure {
				t.Errorf("Classify(%q) = %v, sure %t; want %v, sure %t", c.b, kind, sure, c.kind, c.sure)
			}
			checkMonotone(t, []byte(c.b))
		})
	}
}

// checkMonotone: once a prefix is sure, more bytes change nothing.
func checkMonotone(t *testing.T, b []byte) {
	t.Helper()
	settled, at := detect.Kind(0), -1
	for n := range len(b) + 1 {
		kind, sure := detect.Classify(b[:n])
		switch {
		case at >= 0 && (!sure || kind != settled):
			t.Fatalf("%q was %v for sure, and %q is %v (sure %t)", b[:at], settled, b[:n], kind, sure)
		case sure && at < 0:
			settled, at = kind, n
		}
	}
}

func FuzzClassifyIsMonotone(f *testing.F) {
	for _, c := range firstBytes {
		f.Add([]byte(c.b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkMonotone(t, b)
		if kind, _ := detect.Classify(b); (kind == detect.Silent) != (len(b) == 0) {
			t.Fatalf("%q is %v", b, kind)
		}
	})
}

func TestKindHasAName(t *testing.T) {
	seen := map[string]bool{}
	for k := detect.Opaque; k <= detect.HTTP2; k++ {
		seen[k.String()] = true
	}
	if len(seen) != 5 || seen["unknown"] {
		t.Errorf("names: %v", seen)
	}
	if got := fmt.Sprint(detect.Kind(99)); got != "unknown" {
		t.Errorf("an unknown kind is called %q", got)
	}
}
