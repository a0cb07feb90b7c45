package capture

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/internal/testkit/netns"
)

// Users in a pod.
const (
	root        = 0
	application = 1000
	excluded    = 1001 // whose calls are left alone where a test says so
	sidecarUser = 21337
)

// patience bounds every wait for another program. It decides only how late a
// failure is noticed.
const patience = 30 * time.Second

// A network is a router and what is connected to it, each in a namespace of its
// own, as pods are on a node.
type network struct {
	router *pod
	pods   int
}

// A pod is a network namespace with one interface.
type pod struct {
	name   string
	ip, v6 string
	holder *exec.Cmd // keeps the namespace; ends when its input does
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	netns.NeedsRoot(t)
	netns.NeedsProgram(t, "nsenter")
	n := &network{router: newPod(t, "router")}
	n.router.must(t, root, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
	return n
}

// newPod makes a namespace that has nothing but loopback.
func newPod(t *testing.T, name string) *pod {
	t.Helper()
	holder := exec.CommandContext(context.WithoutCancel(t.Context()), "unshare", "--net", "cat")
	input, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		input.Close()
		holder.Wait()
	})
	// What comes back has gone through the namespace's own cat.
	io.WriteString(input, "\n")
	if _, err := io.ReadFull(output, make([]byte, 1)); err != nil {
		t.Fatalf("namespace: %v", err)
	}
	p := &pod{name: name, holder: holder}
	p.must(t, root, "ip", "link", "set", "lo", "up")
	p.must(t, root, "sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start")
	return p
}

// add connects a new pod.
func (n *network) add(t *testing.T, name string) *pod {
	t.Helper()
	n.pods++
	p := newPod(t, name)
	p.ip, p.v6 = fmt.Sprintf("10.99.%d.2", n.pods), fmt.Sprintf("fd99:%d::2", n.pods)
	there := "veth" + strconv.Itoa(n.pods)
	for _, line := range []string{
		fmt.Sprintf("ip link add %s type veth peer name eth0 netns %d", there, p.holder.Process.Pid),
		fmt.Sprintf("ip addr add 10.99.%d.1/24 dev %s", n.pods, there),
		fmt.Sprintf("ip addr add fd99:%d::1/64 dev %s nodad", n.pods, there),
		"ip link set " + there + " up",
	} {
		n.router.must(t, root, strings.Fields(line)...)
	}
	for _, line := range []string{
		"ip addr add " + p.ip + "/24 dev eth0",
		"ip addr add " + p.v6 + "/64 dev eth0 nodad",
		"ip link set eth0 up",
		fmt.Sprintf("ip route add default via 10.99.%d.1", n.pods),
		fmt.Sprintf("ip -6 route add default via fd99:%d::1", n.pods),
	} {
		p.must(t, root, strings.Fields(line)...)
	}
	// The kernel notices in its own time that a link is up, and only then has an
	// address of IPv6.
	for _, end := range []struct {
		at   *pod
		addr string
	}{{p, p.v6}, {n.router, fmt.Sprintf("fd99:%d::1", n.pods)}} {
		testkit.Eventually(t, end.addr+" is there", func() bool {
			return strings.Contains(end.at.must(t, root, "ip", "-6", "route", "show", "table", "local"), "local "+end.addr+" ")
		})
	}
	return p
}

// command is a program that runs in the pod as one of its users.
func (p *pod) command(ctx context.Context, user int, argv ...string) *exec.Cmd {
	args := []string{"--target", strconv.Itoa(p.holder.Process.Pid), "--net"}
	if user != root {
		args = append(args, "--setuid", strconv.Itoa(user), "--setgid", strconv.Itoa(user))
	}
	return exec.CommandContext(ctx, "nsenter", append(append(args, "--"), argv...)...)
}

// run runs a program to its end, and returns what it prints and its status.
func (p *pod) run(t *testing.T, user int, argv ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := p.command(ctx, user, argv...).CombinedOutput()
	status := 0
	if err != nil {
		status = -1
		if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Run returns it as it is
			status = exit.ExitCode()
		}
	}
	if ctx.Err() != nil {
		t.Errorf("%s in %s did not end: %s", strings.Join(argv, " "), p.name, out)
	}
	return string(out), status
}

// must is run for what has to succeed.
func (p *pod) must(t *testing.T, user int, argv ...string) string {
	t.Helper()
	out, status := p.run(t, user, argv...)
	if status != 0 {
		t.Fatalf("%s in %s: status %d\n%s", strings.Join(argv, " "), p.name, status, out)
	}
	return out
}

// start runs a program until the test ends, and returns what it prints while it
// does. stdout may be nil.
func (p *pod) start(t *testing.T, user int, stdout io.Writer, argv ...string) *program {
	t.Helper()
	r := &program{output: new(output)}
	cmd := p.command(context.WithoutCancel(t.Context()), user, argv...)
	cmd.Stdout, cmd.Stderr = r.output, r.output
	if stdout != nil {
		cmd.Stdout = stdout
	}
	r.cmd = cmd
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.stop(t) })
	return r
}

// program is one that runs.
type program struct {
	*output
	cmd     *exec.Cmd
	stopped bool
}

// stop ends the program, in good order if it takes the chance.
func (r *program) stop(t *testing.T) {
	t.Helper()
	if r.stopped {
		return
	}
	r.stopped = true
	r.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(patience, func() { r.cmd.Process.Kill() })
	defer kill.Stop()
	r.cmd.Wait()
	if t.Failed() {
		t.Logf("%s:\n%s", strings.Join(r.cmd.Args[4:], " "), r)
	}
}

// output is what a program has printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// String is what came until now.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
