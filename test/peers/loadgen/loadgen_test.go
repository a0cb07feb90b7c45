package loadgen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/loadtest/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseHead(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	cases := []struct {
		name, text string
		head, body int
		err        string // part of the error; empty: none
	}{
		{"a plain response", ok + "Content-Length: 5\r\n\r\nhello", 38, 5, ""},
		{"a name in any case and padded value", ok + "content-LENGTH: \t 0 \r\n\r\n", 41, 0, ""},
		{"other headers around it", ok + "A: b\r\nContent-Length: 16384\r\nConnection: keep-alive\r\n\r\n", 72, 16384, ""},
		{"a head in progress", ok + "Content-Length: 5\r\n", 0, 0, "not complete"},
		{"nothing yet", "", 0, 0, "not complete"},
		{"a refusal", "HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\n", 0, 0, "want a 200"},
		{"an older version", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", 0, 0, "want a 200"},
		{"no length", ok + "A: b\r\n\r\n", 0, 0, "no Content-Length"},
		{"no header at all", ok + "\r\n", 0, 0, "no Content-Length"},
		{"two lengths", ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 0, 0, "two"},
		{"a signed length", ok + "Content-Length: +5\r\n\r\n", 0, 0, "Content-Length \"+5\""},
		{"an empty length", ok + "Content-Length:\r\n\r\n", 0, 0, "Content-Length \"\""},
		{"chunks", ok + "Transfer-Encoding: chunked\r\n\r\n", 0, 0, "Transfer-Encoding"},
		{"an end to keep-alive", ok + "Content-Length: 0\r\nConnection: Close\r\n\r\n", 0, 0, "closes"},
		{"a line that is no header", ok + "Content-Length: 0\r\nwhat\r\n\r\n", 0, 0, "no colon"},
	}
	if len(cases) < 15 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			head, body, err := parseHead([]byte(c.text))
			if c.err == "" && (err != nil || head != c.head || body != c.body) {
				t.Errorf("got %d, %d, %v; want %d, %d", head, body, err, c.head, c.body)
			}
			if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error is %v, want %q in it", err, c.err)
			}
		})
	}
}

func FuzzParseHeadNeverReachesBeyondTheHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), []byte("tail"))
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n"), []byte("Content-Length: 1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b, tail []byte) {
		head, body, err := parseHead(b)
		if err != nil {
			return
		}
		if head > len(b) || !strings.HasSuffix(string(b[:head]), "\r\n\r\n") || body < 0 {
			t.Fatalf("%q: head %d, body %d", b, head, body)
		}
		h2, b2, err := parseHead(append(b[:head:head], tail...))
		if h2 != head || b2 != body || err != nil {
			t.Errorf("%q: %d, %d became %d, %d, %v with another tail", b, head, body, h2, b2, err)
		}
	})
}

// serve runs a server that hands each connection to handle, until the test ends.
func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer conn.Close(); handle(conn) })
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

func TestRunCountsRequestsAndReadsClocks(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- app.New().Serve(ln) }()
	got, err := Run(t.Context(), Job{
		Addr: ln.Addr().String(), Connections: 3, Size: 1024,
		Warmup: 10 * time.Millisecond, Measure: 500 * time.Millisecond,
		Watch: map[string][]int{"self": {os.Getpid()}},
	})
	ln.Close()
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	if got.Requests == 0 || got.Errors != 0 || got.FirstError != "" {
		t.Errorf("requests %d, errors %d (%s)", got.Requests, got.Errors, got.FirstError)
	}
	if got.CPU["self"].Total <= 0 || got.Own.Total <= 0 || got.Elapsed <= 0 {
		t.Errorf("clocks stood still: %+v", got)
	}
	if got.P50 <= 0 || got.P50 > got.P99 || got.P99 > got.Max {
		t.Errorf("quantiles are not in order: %v, %v, %v", got.P50, got.P99, got.Max)
	}
}

func TestWrongAnswersAreErrors(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: "
	cases := []struct{ name, answer, err string }{
		{"a refusal", "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\n0123", "want a 200"},
		{"too short a body", head + "3\r\n\r\n012", "want 4"},
		{"too long a body", head + "5\r\n\r\n01234", "want 4"},
		{"a body that is not the app's", head + "4\r\n\r\n0000", "differs"},
		{"bytes after the response", head + "4\r\n\r\n0123!", "nobody asked for"},
		{"an end inside the head", head, "after 33 bytes"},
		{"an end inside the body", head + "4\r\n\r\n01", "after 40 bytes"},
		{"an endless head", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHead), "not complete"},
	}
	if len(cases) < 8 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			addr := serve(t, func(conn net.Conn) {
				r := bufio.NewReader(conn)
				for line := ""; line != "\r\n"; {
					var err error
					if line, err = r.ReadString('\n'); err != nil {
						return
					}
				}
				io.WriteString(conn, c.answer)
			})
			got, err := Run(t.Context(), Job{Addr: addr, Connections: 2, Size: 4, Measure: 20 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if got.Errors != 2 || got.Requests != 0 || !strings.Contains(got.FirstError, c.err) {
				t.Errorf("%d requests, %d errors, first %q; want 2 errors with %q", got.Requests, got.Errors, got.FirstError, c.err)
			}
		})
	}
}

func TestCancellingEndsABlockThatGetsNoAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := serve(t, func(conn net.Conn) {
		cancel()
		io.Copy(io.Discard, conn)
	})
	if _, err := Run(ctx, Job{Addr: addr, Connections: 1, Measure: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want canceled", err)
	}
}

func TestImpossibleJobsAreRefused(t *testing.T) {
	good := Job{Addr: "127.0.0.1:1", Connections: 1, Measure: time.Second}
	for i, spoil := range []func(*Job){
		func(j *Job) { j.Addr = "" },
		func(j *Job) { j.Connections = 0 },
		func(j *Job) { j.Size = -1 },
		func(j *Job) { j.Warmup = -1 },
		func(j *Job) { j.Measure = 0 },
	} {
		job := good
		spoil(&job)
		if _, err := Run(t.Context(), job); err == nil || !strings.Contains(fmt.Sprint(err), "job") {
			t.Errorf("case %d: error is %v", i, err)
		}
	}
}
