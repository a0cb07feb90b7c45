package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseGroup(t *testing.T) {
	self := os.Getpid()
	g, err := ParseGroup(fmt.Sprintf("sidecar=pid:%d", self))
	if err != nil || g.Name != "sidecar" || !slices.Contains(g.PIDs, self) {
		t.Errorf("%+v, %v", g, err)
	}
	for _, bad := range []struct{ text, says string }{
		{"", "NAME=pid"},
		{"sidecar", "NAME=pid"},
		{"=pid:1", "NAME=pid"},
		{"a=pid:", "NAME=pid"},
		{"a=12", "NAME=pid"},
		{"a=pid:x", "no process id"},
		{"a=pid:-1", "no process id"},
		{fmt.Sprintf("a=pid:%d,", self), "no process id"},
		{"a=pid:4194305", "no such file"},
		{"a=user:root", "neither pid nor cgroup"},
		{"a=cgroup:no/such/group", "no such file"},
	} {
		if _, err := ParseGroup(bad.text); err == nil || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%q: %v, want %q in it", bad.text, err, bad.says)
		}
	}
}

func TestReadingACgroup(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := Group{Name: "pod", Cgroup: dir}
	write("cpu.stat", "usage_usec 3000\nuser_usec 1000\nsystem_usec 2000\nnr_periods 0\n")
	write("memory.current", "1048576\n")
	cpu, err := g.CPU()
	if want := (CPU{Total: 3 * time.Millisecond, User: time.Millisecond, System: 2 * time.Millisecond}); err != nil || cpu != want {
		t.Errorf("%+v, %v", cpu, err)
	}
	memory, err := g.Memory()
	if want := (Memory{RSS: 1 << 20}); err != nil || memory != want {
		t.Errorf("%+v, %v", memory, err)
	}
	for _, bad := range []string{"", "usage_usec 3000\n", "usage_usec x\nuser_usec 1\nsystem_usec 2\n", "usage_usec -3\nuser_usec 1\nsystem_usec 2\n"} {
		write("cpu.stat", bad)
		if _, err := g.CPU(); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	write("memory.current", "max\n")
	if _, err := g.Memory(); err == nil {
		t.Error("memory that is no number: no error")
	}
}
