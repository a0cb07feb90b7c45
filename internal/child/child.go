// Package child runs a program so that it never outlives us: in a
// process group of its own, asked to end, given time, then killed with all its
// children.
package child

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// patience is how long a program may take to end after SIGTERM.
	patience = 5 * time.Second
	// maxOutput bounds, in bytes, what is kept of a program's complaints.
	maxOutput = 8 << 10
)

// A Child is a running program.
type Child struct {
	name string
	cmd  *exec.Cmd
	// done is closed once the program has ended and err is set.
	done   chan struct{}
	err    error
	output *head
	once   sync.Once
}

// Start starts the program. Its standard error is kept, up to a bound, to
// explain an early end, and so is its standard output unless cmd says
// otherwise. The caller must Close it.
func Start(name string, cmd *exec.Cmd) (*Child, error) {
	output := &head{}
	cmd.Stderr = output
	if cmd.Stdout == nil {
		cmd.Stdout = output
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// Its own group, so that Ctrl-C reaches us alone and we end things in
		// order, and so that its workers can be killed with it.
		Setpgid: true,
		// Should we be killed ourselves, the kernel asks it to end. The signal
		// is tied to the thread that starts it (go.dev/issue/27505); Go keeps
		// its threads unless they are locked, and ours are not.
		Pdeathsig: syscall.SIGTERM,
	}
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c := &Child{name: name, cmd: cmd, done: make(chan struct{}), output: output}
	go c.wait()
	return c, nil
}

// wait is the goroutine that Close waits for.
func (c *Child) wait() {
	c.err = c.cmd.Wait()
	close(c.done)
}

// PID is the process id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Done is closed when the program has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Ended explains an end nobody asked for, with what the program said; nil
// while it runs.
func (c *Child) Ended() error {
	select {
	case <-c.done:
		status := "exit status 0"
		if c.err != nil {
			status = c.err.Error()
		}
		return fmt.Errorf("%s ended early: %s: %s", c.name, status, strings.TrimSpace(c.output.String()))
	default:
		return nil
	}
}

// Output is what the program has said so far, up to a bound.
func (c *Child) Output() string { return c.output.String() }

// Close ends the program and all its children and waits for it. Only the first
// call does anything; the others wait for it.
func (c *Child) Close() {
	c.once.Do(func() {
		c.signal(syscall.SIGTERM)
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-c.done:
		case <-timer.C:
		}
		// Also when it ended by itself: its workers may not have.
		c.signal(syscall.SIGKILL)
		<-c.done
	})
}

// signal reaches the whole group. That it is gone already is what we want.
func (c *Child) signal(sig syscall.Signal) {
	if err := syscall.Kill(-c.PID(), sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		// EPERM: fall back to the one process that is certainly ours.
		if err := c.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			fmt.Fprintf(c.output, "\nsend %v: %v", sig, err)
		}
	}
}

// A head keeps the first bytes written to it and drops the rest: the first
// complaint is the one that explains.
type head struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if room := maxOutput - h.buf.Len(); room > 0 {
		h.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.buf.String()
}
