package admin_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/admin"
)

// A script is a follower that returns what it was told, then waits.
type script struct {
	steps  []step
	at     int
	closed atomic.Int32
}

type step struct {
	records string
	lost    int
}

func (s *script) Next(ctx context.Context) ([]byte, int, error) {
	if s.at < len(s.steps) {
		s.at++
		return []byte(s.steps[s.at-1].records), s.steps[s.at-1].lost, nil
	}
	<-ctx.Done()
	return nil, 0, ctx.Err()
}

func (s *script) Close() { s.closed.Add(1) }

// following opens /decisions?follow and returns its lines.
func following(t *testing.T, at net.Addr) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn := dial(t, at)
	if _, err := io.WriteString(conn, "GET /decisions?follow HTTP/1.0\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			return conn, r
		}
	}
}

func TestDecisionsAreFollowedAndLossesAreTold(t *testing.T) {
	f := &script{steps: []step{{"{\"a\":1}\n{\"a\":2}\n", 0}, {"{\"a\":3}\n", 7}, {"", 2}}}
	s := start(t, admin.Options{Decisions: func(int) [][]byte { return nil }, Follow: func() admin.Follower { return f }})
	_, r := following(t, s.AdminAddr())
	want := []string{"", `{"a":1}`, `{"a":2}`, `{"a":3}`, `{"kind":"lost","records":7}`, `{"kind":"lost","records":2}`}
	for _, w := range want {
		line, err := r.ReadString('\n')
		if err != nil || strings.TrimSuffix(line, "\n") != w {
			t.Fatalf("line %q (%v), want %q", line, err, w)
		}
	}
}

func TestWithoutFollowTheNewestRefusalsAreListed(t *testing.T) {
	s := start(t, admin.Options{
		Decisions: func(int) [][]byte { return [][]byte{[]byte(`{"a":1}`)} },
		Follow:    func() admin.Follower { t.Error("somebody follows"); return nil },
	})
	expect(t, s.get(s.AdminAddr(), "/decisions"), 200, "[\n  {\n    \"a\": 1\n  }\n]\n")
}

func TestOneFollowerTooManyIsTold(t *testing.T) {
	s := start(t, admin.Options{
		Decisions: func(int) [][]byte { return nil }, Follow: func() admin.Follower { return nil },
	})
	expect(t, s.get(s.AdminAddr(), "/decisions?follow"), 503, "as many follow already as may at a time\n")
}

func TestFollowingEndsWithTheReader(t *testing.T) {
	f := &script{}
	s := start(t, admin.Options{Decisions: func(int) [][]byte { return nil }, Follow: func() admin.Follower { return f }})
	conn, r := following(t, s.AdminAddr())
	if line, err := r.ReadString('\n'); line != "\n" {
		t.Fatalf("line %q, %v", line, err)
	}
	conn.Close()
	for f.closed.Load() == 0 {
		// A whole exchange is time for another goroutine to get on.
		s.get(s.AdminAddr(), "/ready")
	}
}

// A reader must not keep a sidecar from stopping. An answer that was cut off would
// have no last chunk (RFC 9112 §7.1).
func TestFollowingEndsCleanlyWithThePort(t *testing.T) {
	s, err := admin.New(admin.Options{
		Admin: "127.0.0.1:0", Readiness: admin.NewReadiness(nil), Decisions: func(int) [][]byte { return nil },
		Follow: func() admin.Follower { return &script{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	conn := dial(t, s.AdminAddr())
	if _, err := io.WriteString(conn, "GET /decisions?follow HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if text, err := io.ReadAll(answer.Body); err != nil || strings.TrimSpace(string(text)) != "" {
		t.Errorf("it ended with %q, %v", text, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
