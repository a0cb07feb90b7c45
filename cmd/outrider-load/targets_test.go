package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// slower is what the slow targets of the sessions take more than the others. It is
// far above what a machine that stalls adds to a median.
const slower = 20 * time.Millisecond

// startTarget is "target NAME KIND": it starts a server and sets NAME to its URL.
//
//	fast    answers at once
//	slow    answers after 20 ms more
//	broken  answers 503
//	hangs   does not answer from the second request on
func startTarget(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: target NAME KIND")
	}
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch args[1] {
		case "slow":
			await(r, slower)
		case "broken":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "hangs":
			if asked.Add(1) > 1 {
				await(r, time.Hour)
			}
		}
		fmt.Fprintf(w, "%s %s %s", r.Method, r.RequestURI, r.Header.Get("X-Test"))
	}))
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
}

// await ends with the time or the request, whichever is first.
func await(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// process is "process NAME": it starts a process that does nothing and sets NAME to
// its id. "process -end NAME" ends it.
func (p *processes) process(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 2 && args[0] == "-end" && !neg {
		pid, err := strconv.Atoi(ts.Getenv(args[1]))
		ts.Check(err)
		p.end(pid)
		return
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: process [-end] NAME")
	}
	cmd := exec.Command("cat") // it waits for its input, which never ends
	in, err := cmd.StdinPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	p.running.Store(cmd.Process.Pid, cmd)
	ts.Defer(func() {
		p.end(cmd.Process.Pid)
		in.Close()
	})
	ts.Setenv(args[0], strconv.Itoa(cmd.Process.Pid))
}

// interrupt is "interrupt STATUS TEXT COMMAND...": it starts a command, sends SIGINT to
// it, as Ctrl-C does, once TEXT is on standard error, and compares its exit status.
// What it said is in stderr.txt.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: interrupt status text command [arg...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	stderr := newSignalled(args[1])
	path := ts.Getenv("PATH")
	executable, err := lookIn(path, args[2])
	ts.Check(err)
	cmd := exec.Command(executable, args[3:]...)
	cmd.Dir, cmd.Stderr = ts.MkAbs("."), stderr
	cmd.Env = append(os.Environ(), "TMPDIR="+ts.Getenv("TMPDIR"))
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-stderr.seen:
		ts.Check(cmd.Process.Signal(syscall.SIGINT))
		err = <-ended
	case err = <-ended:
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit status %d (%v), want %d: %s", got, err, want, stderr.text())
	}
	ts.Check(os.WriteFile(ts.MkAbs("stderr.txt"), []byte(stderr.text()), 0o600))
}
