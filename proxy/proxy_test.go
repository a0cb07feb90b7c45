package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/proxy"
	"github.com/outrider-mesh/outrider/proxy/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	checkout = "spiffe://example.org/ns/shop/sa/checkout"
	payments = "spiffe://example.org/ns/shop/sa/payments"
)

// buffer is a concurrent log sink.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs a sidecar until the test ends.
func start(t *testing.T, yaml string, id *identitytest.StaticSource) (*proxy.Sidecar, *buffer) {
	t.Helper()
	c, _, err := config.ParseSidecar(filepath.Join(t.TempDir(), "sidecar.yaml"), []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	log := new(buffer)
	s, err := proxy.New(t.Context(), proxy.Options{
		Config: c, Source: id, Stdout: log, Stderr: log, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	force := make(chan struct{})
	go func() { done <- s.Run(ctx, force) }()
	t.Cleanup(func() {
		stop()
		close(force)
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	return s, log
}

const policy = `
apiVersion: outrider.dev/v1alpha1
kind: AccessPolicy
metadata: {name: payments-callers, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  action: Allow
  rules:
  - from: [{principals: ["` + checkout + `"]}]
    to: [{ports: [%s], methods: [GET, POST], paths: ["/v1/{**}"]}]
---
apiVersion: outrider.dev/v1alpha1
kind: InspectionPolicy
metadata: {name: payments-waf, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  mode: %s
`

const off = "  admin: {listen: off}\n  metrics: {listen: off}\n  health: {listen: off}\n"

func pair(t *testing.T, app http.Handler, waf string) (addr string, in, out *buffer) {
	ca := identitytest.NewCA(t, "example.org")
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	appAddr := server.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(appAddr)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.yaml"), []byte(fmt.Sprintf(policy, port, waf)), 0o600); err != nil {
		t.Fatal(err)
	}
	inbound, inLog := start(t, `
apiVersion: outrider.dev/v1alpha1
kind: Sidecar
metadata: {name: payments, namespace: shop, labels: {app: payments}}
spec:
  identity: {workloadAPI: {socket: "unix:///unused"}}
  policies: {directory: `+dir+`}
  inbound: [{name: http, listen: "127.0.0.1:0", forward: "`+appAddr+`"}]
`+off, ca.Source(t, payments))
	outbound, outLog := start(t, `
apiVersion: outrider.dev/v1alpha1
kind: Sidecar
metadata: {name: checkout, namespace: shop, labels: {app: checkout}}
spec:
  identity: {workloadAPI: {socket: "unix:///unused"}}
  policies: {denyAll: true}
  outbound: [{name: payments, listen: "127.0.0.1:0", destination: payments}]
  destinations: [{name: payments, addresses: ["`+inbound.Addresses()["http"]+`"], spiffeIDs: ["`+payments+`"]}]
`+off, ca.Source(t, checkout))
	return outbound.Addresses()["payments"], inLog, outLog
}

func TestCallThroughTwoSidecars(t *testing.T) {
	addr, in, out := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s peer=%s xfcc=%s body=%d", r.Method, r.URL, r.Header.Get("x-outrider-peer"), r.Header.Get("x-forwarded-client-cert"), len(body))
	}), "Block")
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	get := func(method, path, body string) string {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Outrider-Peer", "spiffe://evil")
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(bufio.NewReader(res.Body))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d %s", res.StatusCode, b)
	}
	t.Log(get("GET", "/v1/a?q=1", ""))
	t.Log(get("POST", "/v1/a", `{"a":1}`))
	t.Log(get("POST", "/v1/a", `{"a":"`+strings.Repeat("x", 30000)+`"}`))
	t.Log(get("DELETE", "/v1/a", ""))
	t.Log(get("GET", "/v2/a", ""))
	t.Log(get("GET", "/v1/a?q=1'%20OR%20'1'='1'--", ""))
	client.CloseIdleConnections()
	time.Sleep(300*time.Millisecond); t.Log(in.String()); t.Log(out.String())
}
