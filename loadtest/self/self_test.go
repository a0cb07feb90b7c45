package self

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain also plays the parts of the mesh, which are this executable.
func TestMain(m *testing.M) {
	if args := os.Args[1:]; IsPart(args) {
		if err := Part(context.Background(), args, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func start(t *testing.T, inspected bool) *Mesh {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	shortTemp(t)
	m, err := Start(t.Context(), Options{Executable: executable, Inspected: inspected, Warn: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// shortTemp makes a directory for temporary files: a test's own is too long for the
// path of a socket.
func shortTemp(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "self") //nolint:usetesting // its path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestTheMeshCarriesRequestsAndLeavesNothingBehind(t *testing.T) {
	m := start(t, true)
	tmp := os.Getenv("TMPDIR")
	for name, address := range map[string]string{"direct": m.Direct, "sidecars": m.Sidecars, "inspected": m.Inspected} {
		if status, body := get(t, "http://"+address+"/100"); status != 200 || len(body) != 100 {
			t.Errorf("%s: %d, %d bytes", name, status, len(body))
		}
	}
	const attack = "/?q=1'+UNION+SELECT+password+FROM+users--"
	if status, _ := get(t, "http://"+m.Sidecars+attack); status != 200 {
		t.Errorf("an attack on the way without inspection: %d", status)
	}
	if status, body := get(t, "http://"+m.Inspected+attack); status != 403 || !strings.Contains(body, "waf_blocked") {
		t.Errorf("an attack on the inspected way: %d %s", status, body)
	}
	for name, address := range map[string]string{"direct": m.DirectTCP, "sidecars": m.SidecarsTCP} {
		echo(t, name, address)
	}
	groups := append(m.WatchSidecars(), m.WatchInspected()...)
	pids := map[int]bool{}
	for _, g := range groups {
		if memory, err := g.Memory(); err != nil || memory.RSS == 0 {
			t.Errorf("%s: %+v, %v", g.Name, memory, err)
		}
		pids[g.PIDs[0]] = true
	}
	if len(groups) != 4 || len(pids) != 3 {
		t.Errorf("%d groups of %d processes, want four of three", len(groups), len(pids))
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	for pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d: %v, want none", pid, err)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func echo(t *testing.T, name, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(startTimeout)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(conn, "hello")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("%s: echo of %q, %v", name, line, err)
	}
}

func TestAPartThatEndsIsNoticed(t *testing.T) {
	m := start(t, false)
	defer m.Close()
	if err := m.Tidy(); err != nil {
		t.Error(err)
	}
	pid := m.WatchSidecars()[1].PIDs[0]
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-m.in.Done()
	if err := m.Alive(); err == nil || !strings.Contains(err.Error(), "ended early") {
		t.Errorf("%v", err)
	}
}

func TestAMeshThatCannotStartSaysWhyAndLeavesNothing(t *testing.T) {
	shortTemp(t)
	if _, err := Start(t.Context(), Options{Executable: "/nonexistent", Warn: io.Discard}); err == nil || !strings.Contains(err.Error(), "start app") {
		t.Errorf("%v", err)
	}
	// It ends at once, as it is no part of a mesh.
	if _, err := Start(t.Context(), Options{Executable: "/bin/true", Warn: io.Discard}); err == nil || !strings.Contains(err.Error(), "ended early") {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Whoever interrupts the start does not wait for a part that hangs.
func TestTheStartCanBeInterrupted(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 1000)
		if _, err := conn.Read(buf); err != nil {
			return
		}
		cancel()
		conn.Read(buf) // until the other end closes
	}()
	err = (&Mesh{}).await(ctx, ln.Addr().String())
	if !errors.Is(err, context.Canceled) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	ln.Close()
	<-done
	t.Setenv("TMPDIR", "/nonexistent")
	if _, err := Start(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "start the mesh: make a directory") {
		t.Errorf("%v", err)
	}
}

func TestOnlyPartsAreParts(t *testing.T) {
	for _, args := range [][]string{nil, {"self"}, {partCommand}, {partCommand, "app"}} {
		if IsPart(args) {
			t.Errorf("%q is a part", args)
		}
	}
	for _, args := range [][]string{{partCommand, "nothing", "x"}, {partCommand, "app", "x"}, {partCommand, "sidecar", "/nonexistent"}, {partCommand, "app", "bad", "address"}} {
		if !IsPart(args) {
			t.Errorf("%q is no part", args)
		}
		if err := Part(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
