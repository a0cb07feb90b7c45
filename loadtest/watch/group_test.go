package watch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseGroup(t *testing.T) {
	self := os.Getpid()
	g, err := ParseGroup(fmt.Sprintf("sidecar=pid:%d", self))
	if err != nil || g.Name != "sidecar" || !slices.Contains(g.PIDs, self) {
		t.Errorf("%+v, %v", g, err)
	}
	twice, err := ParseGroup(fmt.Sprintf("sidecar=pid:%d,%[1]d", self))
	if err != nil || !slices.Equal(twice.PIDs, slices.Compact(slices.Clone(twice.PIDs))) {
		t.Errorf("a process that is named twice counts twice: %+v, %v", twice, err)
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
		{"a=pid:4194305", "there is no process 4194305"},
		{"a=user:root", "neither pid nor cgroup"},
		{"a=cgroup:no/such/group", "no such file"},
		{"a=pid:1,4194305", "there is no process 4194305"},
	} {
		absent := strings.HasPrefix(bad.says, "no such") || strings.HasPrefix(bad.says, "there is no")
		if syntax := CheckGroup(bad.text); (syntax == nil) != absent {
			t.Errorf("%q: checked without looking at processes: %v", bad.text, syntax)
		}
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

// A process that has ended and waits to be reaped has a place in the list, and no
// memory.
func TestAProcessThatHasEndedIsSaidToHave(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil { // it ends, and is left
		t.Fatal(err)
	}
	says := fmt.Sprintf("process %d", pid)
	if _, err := ReadMemory([]int{pid}); err == nil || !strings.Contains(err.Error(), says+" has ended") {
		t.Errorf("before it is reaped: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"memory": second(ReadMemory([]int{pid})), "CPU": second(ReadCPU([]int{pid})), "tree": second(Tree(pid)),
	} {
		if err == nil || !strings.Contains(err.Error(), "there is no "+says) {
			t.Errorf("%s, after it: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
