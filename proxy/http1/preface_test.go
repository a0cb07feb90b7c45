package http1

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

// A client that has said nothing yet may begin HTTP/2, as its first words and where
// that is expected.
func TestThePrefaceOfHTTP2(t *testing.T) {
	const begins, get = "PRI * HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	cases := []struct {
		name     string
		expected bool
		says     []string
		prefaced bool
		after    string // what was read of it, behind the preface
		requests int
	}{
		{"at once", true, []string{begins + "SM\r\n\r\n\x00\x00"}, true, "SM\r\n\r\n\x00\x00", 0},
		{"in pieces", true, []string{"PR", "I * HTTP/2.0\r\n\r", "\n"}, true, "", 0},
		{"after a request", true, []string{get, begins + "SM\r\n\r\n"}, false, "", 2},
		{"where it is not expected", false, []string{begins + "SM\r\n\r\n"}, false, "", 1},
		{"with a header", true, []string{"PRI * HTTP/2.0\r\nHost: a\r\n\r\n"}, false, "", 1},
	}
	const least = 5
	if len(cases) < least {
		t.Errorf("%d cases, want %d", len(cases), least)
	}
	for _, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			go io.Copy(io.Discard, client)
			go func() {
				for _, s := range c.says {
					time.Sleep(time.Second) //nolint:forbidigo // the time of synctest's bubble
					io.WriteString(client, s)
				}
			}()
			s, requests := testServer(limits.Default()).NewConn(server), 0
			if c.expected {
				s.ExpectPreface()
			}
			err := s.Serve(func(x *Exchange) {
				requests++
				_ = x.Respond(403, nil, []byte("no"))
			})
			if errors.Is(err, ErrPreface) != c.prefaced || requests != c.requests {
				t.Errorf("%s: %v after %d requests, want %v after %d", c.name, err, requests, c.prefaced, c.requests)
			}
			if c.prefaced {
				nc, ahead := s.Preface()
				if nc != server || string(ahead) != begins+c.after {
					t.Errorf("%s: read %q, want %q", c.name, ahead, begins+c.after)
				}
			}
			client.Close()
			server.Close()
		})
	}
}
