// Package node starts a whole Kubernetes of one node on this machine: API server,
// controllers, scheduler, kubelet, kube-proxy and containerd, with real pods. All of it
// lives in namespaces of its own and is gone when its first process is killed. Nothing
// of the machine changes but for one network interface and a cgroup, which are removed.
package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/outrider-mesh/outrider/test/kube/image"
	"github.com/outrider-mesh/outrider/test/kube/node/plan"
	"github.com/outrider-mesh/outrider/test/kube/pki"
	"github.com/outrider-mesh/outrider/test/kube/programs"
)

// What the node is called and where it is. The machine reaches it over a link with two
// ends; there is no way beyond the machine.
const (
	Name    = "node1"
	Address = "10.97.8.2"
	gateway = "10.97.8.1"
	link    = "oe2e0" // the machine's end
	inside  = "eth0"
	group   = "outrider-e2e" // the cgroup

	services = "10.96.0.0/16"
	dns      = "10.96.0.10"
	pods     = "10.244.0.0/24"

	// patience is for everything to be started; 15 s on a quiet machine.
	patience = 3 * time.Minute
)

// Library is where images without a host are looked for. A test forbids the name of a
// registry in this repository, and none is asked.
func Library() string { return strings.Join([]string{"docker", "io"}, ".") + "/library/" }

// Image is one of a static program of ours in the directory bin, for [Options].
func Image(bin, name, tag, user string) image.Image {
	return image.Image{
		Name: Library() + name + ":" + tag, Files: map[string]string{filepath.Join(bin, name): "/" + name},
		Entrypoint: []string{"/" + name}, User: user,
	}
}

// Options are what a [Node] is made of.
type Options struct {
	// Dir is where it keeps everything; the caller's to remove.
	Dir string
	// Store has the programs, Init is that of nodeinit.
	Store *programs.Store
	Init  string
	// Images are put on the node.
	Images []image.Image
	// Say reports what goes on.
	Say func(format string, args ...any)
}

// A Node is one that runs.
type Node struct {
	// URL is the API server's, Authority has what clients need.
	URL       string
	Authority *pki.Authority
	// Admin is who may do everything.
	Admin *rest.Config

	opts  Options
	found found
	init  *exec.Cmd
	ended chan struct{} // closed when process 1 is gone
}

// found are the programs, by name.
type found struct {
	kubernetes                           map[string]string
	etcd, containerd, runc, plugins, dns string
}

// Start returns a node that is up, or leaves nothing.
func Start(ctx context.Context, opts Options) (*Node, error) {
	n := &Node{opts: opts, URL: "https://" + Address + ":6443", ended: make(chan struct{})}
	if err := n.start(ctx); err != nil {
		err = fmt.Errorf("%w\n%s", err, n.logs())
		n.Close()
		return nil, err
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("a node needs root, for namespaces and cgroups")
	}
	if err := n.find(ctx); err != nil {
		return err
	}
	if err := errors.Join(n.certify(), n.configure()); err != nil {
		return err
	}
	archives, err := n.archives()
	if err != nil {
		return err
	}
	if err := n.cgroups(); err != nil {
		return err
	}
	p := n.plan(archives)
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	file := n.path("plan.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	if err := n.launch(file); err != nil {
		return err
	}
	if err := n.connect(ctx); err != nil {
		return err
	}
	return n.await(ctx)
}

// find has every program found, fetched or built.
func (n *Node) find(ctx context.Context) error {
	var err error
	f, s := &n.found, n.opts.Store
	if f.kubernetes, err = s.Kubernetes(ctx, "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"); err != nil {
		return err
	}
	if f.dns, err = s.CoreDNS(ctx); err != nil {
		return err
	}
	for name, to := range map[string]*string{"etcd": &f.etcd, "containerd": &f.containerd, "runc": &f.runc, "bridge": &f.plugins} {
		if *to, err = s.Debian(ctx, name); err != nil {
			return err
		}
	}
	f.plugins = filepath.Dir(f.plugins)
	return nil
}

// Kubectl is the program.
func (n *Node) Kubectl() string { return n.found.kubernetes["kubectl"] }

func (n *Node) path(name string) string { return filepath.Join(n.opts.Dir, name) }

// archives writes the images, ours and those that a cluster cannot do without.
func (n *Node) archives() ([]string, error) {
	all := append([]image.Image{{
		Name: Library() + "coredns:e2e", Files: map[string]string{n.found.dns: "/coredns"}, Entrypoint: []string{"/coredns"},
	}}, n.opts.Images...)
	var paths []string
	for i, im := range all {
		path := n.path(fmt.Sprintf("image-%d.tar", i))
		if err := im.Write(path); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// launch starts process 1 in namespaces of its own.
func (n *Node) launch(file string) error {
	log, err := os.Create(n.path("nodeinit.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	n.init = exec.Command(n.opts.Init, file)
	n.init.Stdout, n.init.Stderr = log, log
	n.init.Env = append(os.Environ(), "PATH="+filepath.Dir(n.found.containerd)+":"+os.Getenv("PATH"))
	n.init.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Setsid:     true, Pdeathsig: syscall.SIGKILL,
	}
	if err := n.init.Start(); err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	go func() {
		_ = n.init.Wait() // it never ends by itself
		close(n.ended)
	}()
	return nil
}

// connect lays the link between machine and node.
func (n *Node) connect(ctx context.Context) error {
	for _, args := range [][]string{
		{"link", "add", link, "type", "veth", "peer", "name", inside, "netns", strconv.Itoa(n.init.Process.Pid)},
		{"addr", "add", gateway + "/30", "dev", link},
		{"link", "set", link, "up"},
	} {
		if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// await waits until every program was started.
func (n *Node) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		if _, err := os.Stat(n.path(plan.Up)); err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-n.ended:
			return errors.New("the node has ended")
		case <-ctx.Done():
			return fmt.Errorf("the node is not up: %w", ctx.Err())
		}
	}
}

// Command is a program that runs within the node.
func (n *Node) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	within := []string{"-t", strconv.Itoa(n.init.Process.Pid), "-m", "-n", "-p", "-u", "-i", name}
	return exec.CommandContext(ctx, "nsenter", append(within, args...)...)
}

// Kubeconfig is the file by which everything may be done.
func (n *Node) Kubeconfig() string { return n.Authority.Path("admin.kubeconfig") }

// PID is process 1 of the node, as this machine sees it.
func (n *Node) PID() int { return n.init.Process.Pid }

// Close ends the node and removes what it has made outside of its directory.
func (n *Node) Close() {
	if n.init != nil && n.init.Process != nil {
		_ = n.init.Process.Kill()
		<-n.ended
	}
	// The interface goes with the other end; this is for a node that never had it.
	_ = exec.Command("ip", "link", "del", link).Run()
	n.removeCgroups()
}

// logs are the ends of what the programs have said, for whoever has to find out.
func (n *Node) logs() string {
	names, err := filepath.Glob(n.path("*.log"))
	if err != nil {
		return err.Error()
	}
	var all strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		const most = 2 << 10
		fmt.Fprintf(&all, "== %s\n%s\n", filepath.Base(name), bytes.TrimSpace(text[max(0, len(text)-most):]))
	}
	return all.String()
}

// adminConfig is read once the certificates are there.
func (n *Node) adminConfig() error {
	c, err := clientcmd.BuildConfigFromFlags("", n.Kubeconfig())
	if err != nil {
		return err
	}
	c.QPS, c.Burst = -1, -1 // tests wait for nobody's turn
	n.Admin = c
	return nil
}
