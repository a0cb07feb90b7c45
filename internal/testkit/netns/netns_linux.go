package netns

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// NeedsRoot skips a test where it can't make network namespaces. In continuous
// integration that is a failure: what nobody notices to be missing is missing for
// good.
func NeedsRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "it needs root, to make network namespaces")
	}
	NeedsProgram(t, "ip")
}

// NeedsProgram skips a test where a program isn't installed; in continuous
// integration that is a failure.
func NeedsProgram(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name+" is not installed")
	}
	return path
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("not checked, which continuous integration must not overlook: %s", what)
	}
	t.Skipf("NOT CHECKED: %s", what)
}

// Enter puts the test into a network namespace of its own until it ends, with
// loopback up. What the test's goroutine opens and starts is in there, and what
// other goroutines do is not.
func Enter(t testing.TB) {
	t.Helper()
	NeedsRoot(t)
	runtime.LockOSThread()
	before, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	t.Cleanup(func() {
		defer before.Close()
		if err := unix.Setns(int(before.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Errorf("leaving the namespace: %v", err)
			return // the thread ends with this goroutine
		}
		runtime.UnlockOSThread()
	})
	Command(t, "ip link set lo up")
}

// Command runs a command line without quotes, and returns what it prints.
func Command(t testing.TB, line string) string {
	t.Helper()
	words := strings.Fields(line)
	out, err := exec.CommandContext(t.Context(), words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// Await runs a command line until it prints text. Addresses of IPv6, for one, are
// there when the kernel has noticed that the link is up, which takes it a moment.
func Await(t testing.TB, line, text string) {
	t.Helper()
	const patience = 20 * time.Second // decides only how late a failure is noticed
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		out := Command(t, line)
		if strings.Contains(out, text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s never prints %q, but\n%s", line, text, out)
		}
		<-tick.C
	}
}
