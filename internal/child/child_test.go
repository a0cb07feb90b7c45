package child

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shell starts a script whose first line of output is returned.
func shell(t *testing.T, script string) (c *Child, line string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Stdout = w
	c, err = Start("shell", cmd)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var b strings.Builder
	for one := make([]byte, 1); one[0] != '\n'; {
		if _, err := io.ReadFull(r, one); err != nil {
			t.Fatalf("read what the script says: %v", err)
		}
		b.Write(one)
	}
	return c, strings.TrimSpace(b.String())
}

func TestCloseAsksFirst(t *testing.T) {
	c, _ := shell(t, `trap 'echo asked >&2; kill $!; exit 0' TERM; sleep 60 & echo ready; wait`)
	if err := c.Ended(); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if !strings.Contains(c.Output(), "asked") {
		t.Errorf("output is %q, want it to end on SIGTERM", c.Output())
	}
}

func TestCloseKillsTheChildrenOfAProgramThatHasEnded(t *testing.T) {
	// The grandchild ignores SIGTERM and lets go of our pipes.
	c, line := shell(t, `sh -c 'trap "" TERM; echo $$; exec sleep 60 >/dev/null 2>&1' & wait`)
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	waitDead(t, pid)
}

// waitDead waits until the kernel has delivered the signal: the process is
// gone, or waits only to be reaped by whoever adopted it.
func waitDead(t *testing.T, pid int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(text), ") Z ") || strings.Contains(string(text), ") X ") {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("process %d still runs: %s", pid, text)
		}
	}
}

func TestAnEarlyEndIsExplainedWithTheFirstComplaints(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "echo first >&2; head -c 100000 /dev/zero | tr '\\0' x; exit 7")
	c, err := Start("shell", cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-c.Done()
	err = c.Ended()
	if err == nil || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "first") {
		t.Errorf("error is %.200v, want the status and the first complaint", err)
	}
	if n := len(c.Output()); n != maxOutput {
		t.Errorf("kept %d bytes of output, want the first %d", n, maxOutput)
	}
}

func TestAProgramThatDoesNotExistIsAnError(t *testing.T) {
	if _, err := Start("nothing", exec.Command("/nonexistent/program")); err == nil {
		t.Error("no error")
	}
}
