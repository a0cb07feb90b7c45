package proxy_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/proxy"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// listenTCP is a server that hands over its connections.
func listenTCP(t *testing.T) (addr string, accepted <-chan net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns <- nc
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return ln.Addr().String(), conns
}

// drainable is a sidecar that lets everybody reach app in plaintext.
func drainable(t *testing.T, app, timeout string) *testkit.Sidecar {
	t.Helper()
	return testkit.Start(t, testkit.Options{
		Name: "payments", Source: identitytest.NewCA(t, "example.org").Source(t, payments),
		Policies: "apiVersion: outrider.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: mesh}\nspec: {defaultAccess: AllowAll}\n",
		YAML: "  admin: {listen: \"127.0.0.1:0\"}\n  inbound: [{name: in, listen: \"127.0.0.1:0\", forward: \"" + app + "\", mtls: Permissive}]\n" +
			"  drain: {timeout: " + timeout + "}\n",
	})
}

// connections is what the administration port says is open.
func connections(t *testing.T, s *testkit.Sidecar) string {
	t.Helper()
	res, err := http.Get("http://" + s.AdminAddress() + "/connections")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func awaitEnd(t *testing.T, s *testkit.Sidecar) {
	t.Helper()
	select {
	case <-s.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the sidecar does not end")
	}
}

func TestATunnelIsCutOffWhenTheDrainIsOver(t *testing.T) {
	app, accepted := listenTCP(t)
	for _, c := range []struct {
		name, timeout string
		kill          bool
	}{{"by its timeout", "50ms", false}, {"by a second signal", "1h", true}} {
		t.Run(c.name, func(t *testing.T) {
			s := drainable(t, app, c.timeout)
			k := keep(t, s.Address(t, "in"))
			if _, err := k.nc.Write([]byte("\x00opaque")); err != nil {
				t.Fatal(err)
			}
			nc := <-accepted
			defer nc.Close()
			if _, err := io.ReadFull(nc, make([]byte, 7)); err != nil {
				t.Fatal(err)
			}
			s.Stop()
			if c.kill {
				s.Kill()
			}
			awaitEnd(t, s)
			if _, err := k.br.ReadByte(); err == nil {
				t.Error("the tunnel is still open")
			}
		})
	}
}

// The end must not wait for an application that does not answer.
func TestARequestWithoutAnAnswerDoesNotHoldUpTheEnd(t *testing.T) {
	app, accepted := listenTCP(t)
	s := drainable(t, app, "50ms")
	k := keep(t, s.Address(t, "in"))
	if _, err := io.WriteString(k.nc, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	nc := <-accepted
	defer nc.Close()
	if _, err := http.ReadRequest(bufio.NewReader(nc)); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	awaitEnd(t, s)
	if b, err := k.br.ReadByte(); err == nil {
		t.Errorf("answered with %q", b)
	}
}

func TestAnAnswerUnderWayIsFinished(t *testing.T) {
	app, accepted := listenTCP(t)
	s := drainable(t, app, "1h")
	k := keep(t, s.Address(t, "in"))
	if _, err := io.WriteString(k.nc, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	nc := <-accepted
	defer nc.Close()
	if _, err := http.ReadRequest(bufio.NewReader(nc)); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	testkit.Eventually(t, "the connection has been asked to end", func() bool {
		return strings.Contains(connections(t, s), `"ending": "draining"`)
	})
	if probe, err := net.Dial("tcp", k.nc.RemoteAddr().String()); err == nil {
		_ = probe.Close()
		t.Error("the listener is still open")
	}
	if _, err := io.WriteString(nc, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(k.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); string(body) != "done" || err != nil || !res.Close {
		t.Errorf("%q, %v, connection: close %t", body, err, res.Close)
	}
	awaitEnd(t, s)
}

// Listeners are opened when identity and policies are there, and not because the
// file has changed in the meantime.
func TestAChangeBeforeReadyWaits(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	var source identity.Publisher // nothing has arrived
	path := filepath.Join(t.TempDir(), "sidecar.yaml")
	yaml := plainSidecar("http", "127.0.0.1:0", "127.0.0.1:1", "")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(yaml)
	c, _, err := config.LoadSidecar(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := proxy.New(t.Context(), proxy.Options{
		Config: c, ConfigPath: path, Source: &source, Stdout: io.Discard, Stderr: io.Discard,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), PolicyInterval: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer running(t, s)()
	write(strings.Replace(yaml, "name: http", "name: renamed", 1))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 50 {
		<-tick.C
		if a := s.Addresses(); len(a) != 0 {
			t.Fatalf("open without an identity: %v", a)
		}
	}
	snap := ca.Source(t, payments).Current()
	source.Publish(snap.SVID, snap.Bundles)
	testkit.Eventually(t, "the change is taken over", func() bool {
		_, ok := s.Addresses()["renamed"]
		return ok
	})
}

// running starts a sidecar. What it returns ends it, and waits for that.
func running(t *testing.T, s *proxy.Sidecar) (end func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, nil) }()
	return func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
