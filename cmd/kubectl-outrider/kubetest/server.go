package kubetest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"sigs.k8s.io/yaml"
)

// A Server is a cluster for tests. Close it.
type Server struct {
	// Old is an API server that knows no WebSockets.
	Old bool

	dir     string
	objects objects
	api     *httptest.Server
	// streams are the connections with streams in them, which an HTTP server does not
	// know any more; closing ends them.
	streams sync.WaitGroup
	closing chan struct{}

	mu      sync.Mutex // for what follows
	refused map[string]int
	closed  bool
}

// begin counts a connection with streams, unless it is too late for one.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.streams.Add(1)
	}
	return !s.closed
}

// Start reads the directory and serves what it says.
func Start(dir string) (*Server, error) {
	text, err := os.ReadFile(filepath.Join(dir, "cluster.yaml"))
	if err != nil {
		return nil, err
	}
	all, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("cluster.yaml: %w", err)
	}
	s := &Server{dir: dir, objects: all, closing: make(chan struct{}), refused: map[string]int{}}
	s.api = httptest.NewServer(s)
	return s, nil
}

// Close ends it, and everything that is open.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.closing)
	s.streams.Wait()
	s.api.CloseClientConnections()
	s.api.Close()
}

// Refuse answers requests for a path with a status from now on.
func (s *Server) Refuse(path string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[path] = code
}

// Kubeconfig is a file for clients of this server. Its namespace is "shop".
func (s *Server) Kubeconfig() []byte {
	named := func(name, what string, value any) []any { return []any{map[string]any{"name": name, what: value}} }
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"clusters": named("test", "cluster", map[string]any{"server": s.api.URL}),
		"users":    named("test", "user", map[string]any{"token": "token-of-a-person"}),
		"contexts": named("test", "context", map[string]any{"cluster": "test", "user": "test", "namespace": "shop"}),
	})
	if err != nil {
		return nil // of literals
	}
	return text
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	code := s.refused[r.URL.Path]
	s.mu.Unlock()
	switch {
	case code != 0:
		refuse(w, code, "it is forbidden to "+r.Header.Get("User-Agent"))
	case strings.HasSuffix(r.URL.Path, "/portforward"):
		s.forward(w, r)
	case r.Method != http.MethodGet:
		refuse(w, http.StatusMethodNotAllowed, "nothing is written here")
	case strings.HasSuffix(r.URL.Path, "/log"):
		s.log(w, r)
	case r.URL.Path == "/version":
		reply(w, http.StatusOK, []byte(`{"major":"1","minor":"36","gitVersion":"v1.36.1"}`))
	default:
		s.objects.answer(w, r)
	}
}
