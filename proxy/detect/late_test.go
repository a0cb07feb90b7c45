package detect_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/proxy/detect"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// lines are first lines, and whether a lenient server takes them for a request.
var lines = []struct {
	b    string
	like bool
}{
	{"GET / HTTP/1.1\r\n", true},
	{"\r\n\r\nGET / HTTP/1.1\r\n", true},
	{"\n \tGET / HTTP/1.1\r\n", true},
	{"get / http/1.1\r\n", true},
	{"Get\t/ HTTP/1.1\r\n", true},
	{"GET  /  HTTP/1.1\r\n", true},
	{"GET index.html HTTP/1.0\r\n", true},
	{"GET http://payments/ HTTP/1.1\r\n", true},
	{"OPTIONS * HTTP/1.1\r\n", true},
	{"CONNECT payments:80 HTTP/1.1\r\n", true},
	{"connect payments:80\r\n", true},
	{"GET /\r\n", true}, // HTTP/0.9
	{"M-SEARCH * HTTP/1.1\r\n", true},
	{"~!x / HTTP/1.1\r\n", true},
	{strings.Repeat("A", 900) + " / HTTP/1.1\r\n", true},
	{strings.Repeat("A", 1024), true}, // a method without end
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true},
	{"SSH-2.0-OpenSSH_9.9\r\n", false},
	{"EHLO example.org\r\n", false},
	{"*1\r\n$4\r\nPING\r\n", false},
	{"PING\r\n", false},
	{"SET a b\r\n", false},
	{"USER shop\r\n", false},
	{"AMQP\x00\x00\x09\x01", false},
	{"\x16\x03\x01\x02\x00", false},
	{"\x00\x00\x00\x08\x04\xd2\x16\x2f", false},
	{"A \x00binary", false},
	{"A b\xc3\xa4\n", false},
	{"(GET / HTTP/1.1", false},
	{"{\"jsonrpc\": \"2.0\"}\n", false},
}

func TestWhatALenientServerTakesForARequest(t *testing.T) {
	for _, c := range lines {
		b := []byte(c.b)
		if like, sure := detect.Resembles(b); sure && like != c.like || !sure && len(b) < 1024 {
			t.Errorf("%q: %v, %v; want %v", c.b, like, sure, c.like)
		}
		for i := range b { // more of it changes no answer that was sure
			if like, sure := detect.Resembles(b[:i]); sure && like != c.like {
				t.Errorf("the first %d bytes of %q: %v, want %v", i, c.b, like, c.like)
			}
		}
	}
	const least = 30
	if len(lines) < least {
		t.Errorf("%d lines, want %d", len(lines), least)
	}
}

// What we take for a request is what lenient servers take for one, too.
func FuzzResemblesKnowsWhatClassifyKnows(f *testing.F) {
	for _, l := range lines {
		f.Add([]byte(l.b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, sure := detect.Classify(b)
		like, certain := detect.Resembles(b)
		if sure && (kind == detect.HTTP1 || kind == detect.HTTP2) && !(like && certain) {
			t.Errorf("%q is %v, and resembles no request", b, kind)
		}
		if more, still := detect.Resembles(append(bytes.Clone(b), "x / HTTP/1.1\r\n"...)); certain && (more != like || !still) {
			t.Errorf("%q: sure of %v, then %v", b, like, more)
		}
	})
}

// late looks at what two ends do; it returns their connections too.
func late(t *testing.T, p *detect.Port, do func(client, server net.Conn)) (protocol flow.Protocol, c, s net.Conn, err error) {
	t.Helper()
	client, fromClient := net.Pipe()
	server, fromServer := net.Pipe()
	t.Cleanup(func() {
		for _, nc := range []net.Conn{client, fromClient, server, fromServer} {
			nc.Close()
		}
	})
	go do(client, server)
	c, s, protocol, err = p.Late(fromClient, fromServer, time.Hour, patience)
	return protocol, c, s, err
}

func reads(t *testing.T, nc net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(nc, b); err != nil || string(b) != want {
		t.Errorf("read back %q, %v; want %q", b, err, want)
	}
}

func TestWhoeverSpeaksFirstTellsWhatItIs(t *testing.T) {
	const wait = 10 * time.Minute
	cases := []struct {
		name           string
		do             func(client, server net.Conn)
		want           flow.Protocol
		client, server string // what is read again
	}{
		{"a request", func(c, _ net.Conn) { io.WriteString(c, head) }, flow.HTTP1, head, ""},
		{"a request after a while", func(c, _ net.Conn) { time.Sleep(wait); io.WriteString(c, head) }, flow.HTTP1, head, ""}, //nolint:forbidigo // the time of synctest's bubble
		{"a request that stammers", func(c, _ net.Conn) {
			for i := range head {
				io.WriteString(c, head[i:i+1])
			}
		}, flow.HTTP1, head, ""},
		{"a word that is never finished", func(c, _ net.Conn) { io.WriteString(c, "ping") }, flow.Undetected, "ping", ""},
		{"a request that we would not take", func(c, _ net.Conn) { io.WriteString(c, "\r\nget / http/1.1") }, flow.HTTP1, "\r\nget / http/1.1", ""},
		{"HTTP/2", func(c, _ net.Conn) { io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") }, flow.HTTP2, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""},
		{"other bytes", func(c, _ net.Conn) { io.WriteString(c, "SSH-2.0-x\r\n") }, flow.Undetected, "SSH-2.0-x\r\n", ""},
		{"a word and an end", func(c, _ net.Conn) { io.WriteString(c, "QUIT"); c.Close() }, flow.Undetected, "QUIT", ""},
		{"a greeting", func(_, s net.Conn) { time.Sleep(wait); io.WriteString(s, "220 ready\r\n") }, flow.Undetected, "", "220 ready\r\n"}, //nolint:forbidigo // the time of synctest's bubble
		{"an end of the client", func(c, _ net.Conn) { c.Close() }, flow.Undetected, "", ""},
		{"an end of the server", func(_, s net.Conn) { s.Close() }, flow.Undetected, "", ""},
	}
	const least = 11
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				got, client, server, err := late(t, new(detect.Port), c.do)
				if took := time.Since(start); took > wait+patience {
					t.Errorf("known after %v", took)
				}
				if got != c.want || err != nil {
					t.Errorf("%v, %v; want %v", got, err, c.want)
				}
				reads(t, client, c.client)
				reads(t, server, c.server)
			})
		})
	}
}

// What could not be told in time is watched.
func TestAClientThatStammers(t *testing.T) {
	cases := []struct{ first, then, passes string }{
		{"G", "ET / HTTP/1.1\r\nX-Outrider-Peer: spiffe://", "G"},
		{"\r\n", "GET / HTTP/1.1\r\n", "\r\n"},
		{"GET ", "/", "GET "},
		{"GET a", " HTTP/1.1\r\n", "GET a"},
		{"ping", " pong / HTTP", "ping"},
		{"ping", "\r\nGET / HTTP/1.1\r\n", "ping\r\nGET / HTTP/1.1\r\n"},
		{"ping", "ping\x00", "pingping\x00"},
		{"ruok", "", "ruok"},
	}
	const least = 8
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			late, client, _, err := late(t, new(detect.Port), func(nc, _ net.Conn) {
				io.WriteString(nc, c.first)
				time.Sleep(time.Minute) //nolint:forbidigo // the time of synctest's bubble
				io.WriteString(nc, c.then)
				nc.Close()
			})
			if late != flow.Undetected || err != nil {
				t.Errorf("%q: %v, %v", c.first, late, err)
			}
			got, err := io.ReadAll(client)
			if whole := c.first + c.then; string(got) != c.passes || detect.IsRequest(client) != (c.passes != whole) || (err != nil) != detect.IsRequest(client) {
				t.Errorf("of %q and %q passes %q, %v; want %q", c.first, c.then, got, err, c.passes)
			}
		})
	}
}

func TestAFirstLineThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, _, _ := late(t, new(detect.Port), func(nc, _ net.Conn) {
			io.WriteString(nc, "GET")
			time.Sleep(time.Minute) //nolint:forbidigo // the time of synctest's bubble
			io.WriteString(nc, strings.Repeat("X", 1<<20))
		})
		if got, err := io.ReadAll(client); len(got) > 1024 || err == nil || !detect.IsRequest(client) {
			t.Errorf("%d bytes pass, %v", len(got), err)
		}
	})
}

func TestNeitherEndSpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if _, _, _, err := late(t, new(detect.Port), func(net.Conn, net.Conn) {}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

// A port is known by what we take for HTTP, and by greetings; not by what a caller
// could have us believe of it.
func TestWhatAPortIsKnownForLate(t *testing.T) {
	cases := []struct {
		name string
		do   func(client, server net.Conn)
		want flow.Protocol // of a silent client that comes next
		wait time.Duration // its own
	}{
		{"a request", func(c, _ net.Conn) { io.WriteString(c, head) }, flow.HTTP1, patience},
		{"what only resembles one", func(c, _ net.Conn) { io.WriteString(c, "get / x\r\n") }, flow.TCP, patience},
		{"a greeting", func(_, s net.Conn) { io.WriteString(s, "220 ready\r\n") }, flow.TCP, 0},
		{"an answer that nobody asked for", func(_, s net.Conn) { io.WriteString(s, "HTTP/1.1 408 Too slow\r\n") }, flow.TCP, patience},
	}
	for _, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			p := new(detect.Port)
			late(t, p, c.do)
			kind, took := look(t, p, "", 0)
			if got := p.Protocol(kind); got != c.want || took != c.wait {
				t.Errorf("after %s: %v in %v, want %v in %v", c.name, got, took, c.want, c.wait)
			}
		})
	}
}
