package demo

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// A screen tells when something has been printed on it.
type screen struct {
	mu    sync.Mutex
	text  bytes.Buffer
	until string
	seen  chan string // 1: everything, once until was printed
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	if s.until != "" && strings.Contains(s.text.String(), s.until) {
		s.until = ""
		s.seen <- s.text.String()
	}
	return len(p), nil
}

var curl = regexp.MustCompile(`(?m)^   curl (?:-i )?(?:-X ([A-Z]+) )?'?(http://[^'\n]+)'?$`)

func TestWhatKeepOffersToTryWorks(t *testing.T) {
	temporary(t)
	ctx, interrupt := context.WithCancel(t.Context())
	out := &screen{until: "Ctrl-C", seen: make(chan string, 1)}
	p := asShipped()
	p.steps = nil
	ended := make(chan error, 1)
	go func() { ended <- show(ctx, Options{Stdout: out, Stderr: new(bytes.Buffer), Keep: true}, p) }()
	var text string
	select {
	case text = <-out.seen:
	case err := <-ended:
		t.Fatal(err)
	}
	tryAll(t, text)
	interrupt()
	if err := <-ended; err != nil {
		t.Errorf("the demo ended with %v", err)
	}
}

// tryAll does what the page offers.
func tryAll(t *testing.T, text string) {
	t.Helper()
	client := newClient()
	defer client.CloseIdleConnections()
	var got []int
	for _, m := range curl.FindAllStringSubmatch(text, -1) {
		method, target := m[1], m[2]
		if method == "" {
			method = http.MethodGet
		}
		if _, err := url.Parse(target); err != nil {
			t.Error(err)
		}
		r, err := call(t.Context(), client, request{method: method, url: target})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.status)
	}
	// In the order of the page: allowed, injection, intruder, plaintext, DELETE,
	// config dump, metrics.
	want := []int{200, 403, 403, 403, 403, 200, 200}
	if len(got) != len(want) {
		t.Fatalf("%d commands to try, want %d:\n%s", len(got), len(want), text)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("command %d was answered with %d, want %d:\n%s", i+1, got[i], want[i], text)
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		pattern, ok := strings.CutPrefix(line, "   ls ")
		if !ok {
			continue
		}
		if found, err := filepath.Glob(pattern); err != nil || len(found) < 3 {
			t.Errorf("%s finds %v (%v)", strings.TrimSpace(line), found, err)
		}
	}
	_, log, _ := strings.Cut(text, "tail -f ")
	log, _, _ = strings.Cut(log, "\n")
	if _, err := os.Stat(log); err != nil {
		t.Error(err)
	}
}
