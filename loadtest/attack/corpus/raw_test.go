package corpus

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseRaw(t *testing.T) {
	cases := []struct {
		name, text string
		want       Sample
	}{
		{
			"lines may end in CRLF", "GET /a?b=c HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
			Sample{Method: "GET", Target: "/a?b=c", Header: []Field{{"Host", "x"}, {"Accept", "*/*"}}},
		},
		{
			"lines may end in LF", "GET /a HTTP/1.1\nHost: x\n\nbody",
			Sample{Method: "GET", Target: "/a", Header: []Field{{"Host", "x"}}, Body: []byte("body")},
		},
		{
			"the body is all that follows, whatever Content-Length says",
			"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\n12345\r\n\r\n6",
			Sample{Method: "POST", Target: "/a", Header: []Field{{"Content-Length", "3"}}, Body: []byte("12345\r\n\r\n6")},
		},
		{"the head may end with the file", "GET / HTTP/1.0", Sample{Method: "GET", Target: "/"}},
		{
			"and so may a field", "GET / HTTP/2\nA: b",
			Sample{Method: "GET", Target: "/", Header: []Field{{"A", "b"}}},
		},
		{
			"a target may hold spaces and anything else", "GET /a b\x00\xff HTTP/1.1\n\n",
			Sample{Method: "GET", Target: "/a b\x00\xff"},
		},
		{
			"an empty value, and one with colons", "GET / HTTP/1.1\nA:\nB: c:d:e\t \n\n",
			Sample{Method: "GET", Target: "/", Header: []Field{{"A", ""}, {"B", "c:d:e"}}},
		},
		{
			"a folded value is one", "GET / HTTP/1.1\r\nA: b\r\n  c\r\n\td \r\n\r\n",
			Sample{Method: "GET", Target: "/", Header: []Field{{"A", "b c d"}}},
		},
		{
			"names keep their case, and may come twice", "GET / HTTP/1.1\nhOsT: a\nHost: b\n\n",
			Sample{Method: "GET", Target: "/", Header: []Field{{"hOsT", "a"}, {"Host", "b"}}},
		},
		{
			"a body in chunks is taken out of them",
			"POST / HTTP/1.1\r\nA: b\r\nTransfer-Encoding: Chunked\r\nC: d\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
			Sample{Method: "POST", Target: "/", Header: []Field{{"A", "b"}, {"C", "d"}}, Body: []byte("abcde")},
		},
		{
			"chunks that are broken stay",
			"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc\r\n",
			Sample{Method: "POST", Target: "/", Header: []Field{{"Transfer-Encoding", "chunked"}}, Body: []byte("9\r\nabc\r\n")},
		},
		{
			"chunks with something behind them stay",
			"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n",
			Sample{
				Method: "POST", Target: "/", Header: []Field{{"Transfer-Encoding", "chunked"}},
				Body: []byte("0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n"),
			},
		},
		{
			"other codings stay, and so do several",
			"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			Sample{
				Method: "POST", Target: "/", Body: []byte("0\r\n\r\n"),
				Header: []Field{{"Transfer-Encoding", "gzip"}, {"Transfer-Encoding", "chunked"}},
			},
		},
		{
			"the same twice is more than one coding",
			"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			Sample{
				Method: "POST", Target: "/", Body: []byte("0\r\n\r\n"),
				Header: []Field{{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}},
			},
		},
	}
	if len(cases) < 14 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseRaw([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
			again, err := parseRaw(writeRaw(got))
			if d := cmp.Diff(got, again, cmpopts.EquateEmpty()); err != nil || d != "" {
				t.Errorf("written and read again: %v\n%s", err, d)
			}
		})
	}
}

func TestParseRawRefuses(t *testing.T) {
	cases := []struct{ name, text, says string }{
		{"nothing", "", `line 1: "" is no request line`},
		{"an empty first line", "\r\nGET / HTTP/1.1\r\n\r\n", "line 1: "},
		{"a line without a version", "GET /\r\n\r\n", `line 1: "GET /" is no request line`},
		{"two words of which the last is no version", "GET / now\r\n\r\n", `ends in "now"`},
		{"a later version", "GET / HTTP/3\r\n\r\n", `ends in "HTTP/3"`},
		{"an empty target", "GET  HTTP/1.1\r\n\r\n", "line 1: the target is empty"},
		{"a method that is no token", "G\x00T / HTTP/1.1\r\n\r\n", `method "G\x00T" is no token`},
		{"a tunnel", "CONNECT a:1 HTTP/1.1\r\n\r\n", "CONNECT asks for a tunnel"},
		{"a line that is no field", "GET / HTTP/1.1\r\nA: b\r\nnonsense\r\n\r\n", `line 3: "nonsense" is no header field`},
		{"a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", `line 2: "Host : a"`},
		{"a fold of nothing", "GET / HTTP/1.1\r\n a\r\n\r\n", "line 2: a folded line before"},
		{"too many fields", "GET / HTTP/1.1\r\n" + strings.Repeat("a: b\r\n", maxFields+1), "more than 1000 lines"},
		{"too many folds", "GET / HTTP/1.1\r\na: b\r\n" + strings.Repeat(" b\r\n", maxFields), "more than 1000 lines"},
	}
	if len(cases) < 13 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if s, err := parseRaw([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v, %v; want an error with %q", s, err, c.says)
			}
		})
	}
}

// writeRaw is what parseRaw reads.
func writeRaw(s Sample) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", s.Method, s.Target)
	for _, f := range s.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	b.WriteString("\r\n")
	b.Write(s.Body)
	return b.Bytes()
}

// What was read can be written, and reads the same again.
func FuzzRaw(f *testing.F) {
	for _, seed := range []string{
		"GET /a?b=c HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
		"POST /a HTTP/1.1\nHost: x\n folded\n\nbody\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc",
		"GET  /a b\x7f  HTTP/1.0\r\r\nA:\r b\r\r\n\t\n\r",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseRaw(data)
		if err != nil {
			return
		}
		if s.Method == "" || s.Target == "" || len(s.Body) > len(data) {
			t.Fatalf("read %+v", s)
		}
		again, err := parseRaw(writeRaw(s))
		if err != nil {
			t.Fatalf("written, it is not read again: %v", err)
		}
		if d := cmp.Diff(s, again, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}
