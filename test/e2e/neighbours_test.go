package e2e

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/proxy/hop"
)

type netConn = net.TCPConn

// echo sends back what it gets, and ends when the other end has.
func echo(c *netConn) { io.Copy(c, c) }

// reads takes exactly these bytes.
func (w *wire) reads(want string) {
	w.t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(w.r, b); err != nil || string(b) != want {
		w.t.Fatalf("read %q, %v; want %q", b[:n], err, want)
	}
}

// A trap is an identity source that panics where a connection asks it, and only
// there: the sidecar asks it too, to follow its changes.
type trap struct {
	identity.Source

	armed atomic.Bool
}

// Current implements identity.Source.
func (s *trap) Current() *identity.Snapshot {
	if s.armed.Load() && calledBy("proxy/hop.handshake") {
		panic("a trap of a test")
	}
	return s.Source.Current()
}

// calledBy tells whether a function of that name is waiting for this call.
func calledBy(name string) bool {
	pc := make([]uintptr, 32)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, name) {
			return true
		}
		if !more {
			return false
		}
	}
}

// A meshServer is a peer that is no Outrider: net/http behind mutual TLS.
type meshServer struct {
	addr  string
	mu    sync.Mutex
	conns map[net.Conn]bool
}

func serveMesh(t testing.TB, src identity.Source, h http.HandlerFunc) *meshServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &meshServer{addr: l.Addr().String(), conns: map[net.Conn]bool{}}
	cfg := mtls.ServerConfig(src, mtls.ServerOptions{NextProtos: []string{hop.ALPNPlainHTTP1}})
	s := &http.Server{Handler: h, ConnState: m.changed, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), ReadHeaderTimeout: patience}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(tls.NewListener(l, cfg))
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return m
}

func (m *meshServer) changed(c net.Conn, state http.ConnState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch state {
	case http.StateActive:
		m.conns[c] = true
	case http.StateClosed, http.StateHijacked:
		delete(m.conns, c)
	case http.StateNew, http.StateIdle:
	}
}

// open counts the connections that have carried a request and are still open.
func (m *meshServer) open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.conns)
}

// configDump is what the administration port says is in force.
func configDump(t testing.TB, s *testkit.Sidecar) map[string]any {
	t.Helper()
	status, body := httpGet(t, "http://"+s.AdminAddress()+"/config_dump")
	if status != http.StatusOK {
		t.Fatalf("config dump: status %d: %s", status, body)
	}
	var dump map[string]any
	if err := json.Unmarshal([]byte(body), &dump); err != nil {
		t.Fatal(err)
	}
	return dump
}

// tick is a pause between the bytes of a slow peer.
func tick(t testing.TB) <-chan time.Time {
	t.Helper()
	return time.After(20 * time.Millisecond)
}

func identityHash(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
