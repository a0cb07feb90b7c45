package conformance_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"

	"github.com/outrider-mesh/outrider/identity/identitytest"
)

func tcpCases(t *testing.T) []tcpCase {
	t.Helper()
	return slices.Concat(tcpExchanges(), tcpEnds(), tcpResets(), tcpDisguises(), []tcpCase{tlsInside(t)})
}

// must reports an error of a step of a conversation.
func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// say writes, and want reads exactly that.
func say(t *testing.T, s stream, text string) {
	t.Helper()
	_, err := io.WriteString(s, text)
	must(t, "write", err)
}

func want(t *testing.T, s stream, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(s, got); err != nil || string(got) != text {
		t.Errorf("read %q and %v, want %q", got[:n], err, text)
	}
}

// wantEnd reads an orderly end.
func wantEnd(t *testing.T, s stream) {
	t.Helper()
	if rest, err := io.ReadAll(s); err != nil || len(rest) > 0 {
		t.Errorf("instead of the end there were %d more bytes and %v", len(rest), err)
	}
}

// closeWrite ends one direction.
func closeWrite(t *testing.T, s stream) {
	t.Helper()
	must(t, "close the sending side", s.CloseWrite())
}

// sumOf reads to the end and returns the sum of what came, and how much it was.
func sumOf(t *testing.T, s stream) (string, int64) {
	t.Helper()
	h := sha256.New()
	n, err := io.Copy(h, s)
	must(t, "read to the end", err)
	return hex.EncodeToString(h.Sum(nil)), n
}

func echo(t *testing.T, s stream) {
	_, err := io.Copy(s, struct{ io.Reader }{s})
	must(t, "echo", err)
	closeWrite(t, s)
}

// sum answers with the sum of all that came.
func sum(t *testing.T, s stream) {
	got, _ := sumOf(t, s)
	say(t, s, got)
}

func tcpExchanges() []tcpCase {
	large := random(bigSize)
	upload := func(t *testing.T, s stream, piece int) {
		t.Helper()
		for chunk := range slices.Chunk(large, piece) {
			if _, err := s.Write(chunk); err != nil {
				t.Errorf("write: %v", err)
				return
			}
		}
		closeWrite(t, s)
		want(t, s, digest(large))
		wantEnd(t, s)
	}
	return []tcpCase{
		{name: "a few bytes and back", server: echo, client: func(t *testing.T, s stream) {
			say(t, s, "\x00\x01\x02 hello")
			want(t, s, "\x00\x01\x02 hello")
			closeWrite(t, s)
			wantEnd(t, s)
		}},
		{name: "one byte at a time", server: echo, client: func(t *testing.T, s stream) {
			for i := range 1000 {
				say(t, s, string(rune('a'+i%26)))
				want(t, s, string(rune('a'+i%26)))
			}
			closeWrite(t, s)
			wantEnd(t, s)
		}},
		{name: "10 MB to the server", server: sum, client: func(t *testing.T, s stream) { upload(t, s, len(large)) }},
		{name: "10 MB to the server in odd pieces", server: sum, client: func(t *testing.T, s stream) { upload(t, s, 7919) }},
		{name: "10 MB to the client", server: func(t *testing.T, s stream) {
			_, err := s.Write(large)
			must(t, "write", err)
			closeWrite(t, s)
			wantEnd(t, s)
		}, client: func(t *testing.T, s stream) {
			if got, n := sumOf(t, s); got != digest(large) {
				t.Errorf("%d bytes came, not those that were sent", n)
			}
		}},
		{name: "10 MB both ways at once", server: both(large), client: both(large)},
		{name: "a server that is slow to read", server: func(t *testing.T, s stream) {
			// All buffers on the way are full by the time it asks for more.
			want(t, s, "begin")
			say(t, s, "go on")
			sum(t, s)
		}, client: func(t *testing.T, s stream) {
			say(t, s, "begin")
			want(t, s, "go on")
			upload(t, s, 1<<20)
		}},
		{name: "many short connections", times: 200, server: echo, client: func(t *testing.T, s stream) {
			say(t, s, "\x01short")
			want(t, s, "\x01short")
			closeWrite(t, s)
			wantEnd(t, s)
		}},
	}
}

// both sends and receives the same at the same time.
func both(payload []byte) func(*testing.T, stream) {
	return func(t *testing.T, s stream) {
		var sending sync.WaitGroup
		sending.Go(func() {
			_, err := s.Write(payload)
			must(t, "write", err)
			closeWrite(t, s)
		})
		if got, n := sumOf(t, s); got != digest(payload) {
			t.Errorf("%d bytes came, not the %d that were sent", n, len(payload))
		}
		sending.Wait()
	}
}

func tcpEnds() []tcpCase {
	return []tcpCase{
		{name: "the client ends its direction first", server: func(t *testing.T, s stream) {
			want(t, s, "\x01question")
			wantEnd(t, s)
			say(t, s, "answer after the end")
		}, client: func(t *testing.T, s stream) {
			say(t, s, "\x01question")
			closeWrite(t, s)
			want(t, s, "answer after the end")
			wantEnd(t, s)
		}},
		{name: "the server ends its direction first", server: func(t *testing.T, s stream) {
			want(t, s, "\x01begin")
			say(t, s, "that is all")
			closeWrite(t, s)
			want(t, s, "not for me")
			wantEnd(t, s)
		}, client: func(t *testing.T, s stream) {
			say(t, s, "\x01begin")
			want(t, s, "that is all")
			wantEnd(t, s)
			say(t, s, "not for me")
			closeWrite(t, s)
		}},
		{name: "the server speaks first", server: func(t *testing.T, s stream) {
			say(t, s, "220 at your service\r\n")
			want(t, s, "HELO\r\n")
			say(t, s, "250 hello\r\n")
			wantEnd(t, s)
		}, client: func(t *testing.T, s stream) {
			want(t, s, "220 at your service\r\n")
			say(t, s, "HELO\r\n")
			want(t, s, "250 hello\r\n")
			closeWrite(t, s)
			wantEnd(t, s)
		}},
		{name: "both speak first", server: func(t *testing.T, s stream) {
			say(t, s, "SSH-2.0-server\r\n")
			want(t, s, "SSH-2.0-client\r\n")
			echo(t, s)
		}, client: func(t *testing.T, s stream) {
			say(t, s, "SSH-2.0-client\r\n")
			want(t, s, "SSH-2.0-server\r\n")
			say(t, s, "key exchange")
			want(t, s, "key exchange")
			closeWrite(t, s)
			wantEnd(t, s)
		}},
		{
			name: "the client closes at once", times: 20, unheard: true, server: func(_ *testing.T, s stream) { _, _ = io.Copy(io.Discard, s) },
			client: func(*testing.T, stream) {},
		},
		{name: "the client ends its direction at once", declared: true, server: func(t *testing.T, s stream) {
			wantEnd(t, s)
			say(t, s, "nothing was asked")
		}, client: func(t *testing.T, s stream) {
			closeWrite(t, s)
			want(t, s, "nothing was asked")
			wantEnd(t, s)
		}},
		{name: "the server closes at once", times: 20, server: func(*testing.T, stream) {}, client: func(t *testing.T, s stream) {
			say(t, s, "\x01is anybody there")
			// The end, in whatever order: the bytes above had no reader.
			_, _ = io.Copy(io.Discard, s)
		}},
	}
}

func tcpResets() []tcpCase {
	reset := func(t *testing.T, s stream) {
		t.Helper()
		tcp, ok := s.(*net.TCPConn)
		if !ok {
			tcp = s.(*tls.Conn).NetConn().(*net.TCPConn)
		}
		must(t, "linger", tcp.SetLinger(0))
		tcp.Close()
	}
	wantBroken := func(t *testing.T, s stream) {
		t.Helper()
		if _, err := io.Copy(io.Discard, s); err == nil {
			t.Error("a stream that was cut off looks complete")
		}
	}
	return []tcpCase{
		{name: "the client resets", server: func(t *testing.T, s stream) {
			want(t, s, "\x01half of a")
			say(t, s, "go on")
			wantBroken(t, s)
		}, client: func(t *testing.T, s stream) {
			say(t, s, "\x01half of a")
			want(t, s, "go on")
			reset(t, s)
		}},
		{name: "the server resets", server: func(t *testing.T, s stream) {
			want(t, s, "\x01begin")
			say(t, s, "half of an")
			want(t, s, "seen")
			reset(t, s)
		}, client: func(t *testing.T, s stream) {
			say(t, s, "\x01begin")
			want(t, s, "half of an")
			say(t, s, "seen")
			wantBroken(t, s)
		}},
	}
}

func tcpDisguises() []tcpCase {
	verbatim := func(name, text string) tcpCase {
		return tcpCase{name: name, server: echo, client: func(t *testing.T, s stream) {
			say(t, s, text)
			want(t, s, text)
			closeWrite(t, s)
			wantEnd(t, s)
		}}
	}
	cases := []tcpCase{
		verbatim("what begins like TLS", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"),
		verbatim("what begins like a method and is none", "GETTING nowhere\r\n"),
		verbatim("a word, of which more could come", "ping"),
		verbatim("a line of text", "HELO example.org\r\n"),
	}
	for _, l := range lookalikes {
		c := verbatim(l.name, l.text)
		c.declared = true
		cases = append(cases, c)
	}
	return cases
}

// lookalikes are no requests to us, and to some other HTTP server they are.
var lookalikes = []struct{ name, text string }{
	{"what begins like HTTP/2 and is none", "PRISM HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"},
	{"lower case", "get / http/1.1\r\n\r\n"},
	{"an empty line before a request", "\r\nGET / HTTP/1.1\r\nHost: payments\r\nX-Outrider-Peer: spiffe://forged\r\n\r\n"},
	{"a tab in a request line", "GET\t/ HTTP/1.1\r\n\r\n"},
}

// tlsInside is a client and a server that do TLS on their own, through the mesh.
func tlsInside(t *testing.T) tcpCase {
	t.Helper()
	m := &mesh{CA: newCA(t)}
	caller := m.clientTLS(t, checkout)
	callee := tlsconfig.MTLSServerConfig(m.issue(t, payments), m.CA.Bundles(), tlsconfig.AuthorizeID(identitytest.ID(t, checkout)))
	return tcpCase{name: "TLS of the application's own", server: func(t *testing.T, s stream) {
		echo(t, tls.Server(s, callee))
	}, client: func(t *testing.T, s stream) {
		c := tls.Client(s, caller)
		say(t, c, "secret")
		want(t, c, "secret")
		closeWrite(t, c)
		wantEnd(t, c)
	}}
}
