package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// processes are those that the sessions have started.
type processes struct {
	running sync.Map // of *exec.Cmd by process id
}

// end kills a process and reaps it.
func (p *processes) end(pid int) {
	if cmd, ok := p.running.LoadAndDelete(pid); ok {
		cmd := cmd.(*exec.Cmd)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// signalled is standard error that tells when a text has come.
type signalled struct {
	want string
	seen chan struct{}

	mu  sync.Mutex
	all strings.Builder
}

func newSignalled(want string) *signalled {
	return &signalled{want: want, seen: make(chan struct{})}
}

func (s *signalled) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := strings.Contains(s.all.String(), s.want)
	s.all.Write(p)
	if !before && strings.Contains(s.all.String(), s.want) {
		close(s.seen)
	}
	return len(p), nil
}

func (s *signalled) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// lookIn finds a program in a list of directories.
func lookIn(path, name string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			return file, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// orphans is "orphans DIR": it fails if a process has a path below DIR in its
// environment, as every part of a mesh has, or if anything is left in it.
func orphans(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: orphans dir")
	}
	dir := ts.MkAbs(args[0])
	processes, err := filepath.Glob("/proc/[0-9]*/environ")
	ts.Check(err)
	seen := 0
	for _, process := range processes {
		text, err := os.ReadFile(process)
		if err != nil {
			continue // another's, or it has ended
		}
		seen++
		if strings.Contains(string(text), dir+"/outrider-load-") {
			ts.Fatalf("%s is left", process)
		}
	}
	if seen == 0 {
		ts.Fatalf("there are no processes to look at")
	}
	left, err := os.ReadDir(dir)
	ts.Check(err)
	if len(left) > 0 {
		ts.Fatalf("left in %s: %v", dir, left)
	}
}

// shortTemp is "shorttmp": it sets TMPDIR to a directory of its own whose path is short
// enough for sockets in it.
func shortTemp(ts *testscript.TestScript, _ bool, _ []string) {
	dir, err := os.MkdirTemp("", "load")
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	ts.Setenv("TMPDIR", dir)
}
