// Command nodeinit is process 1 of a node of Kubernetes that lives in namespaces of its
// own: it shows its programs a machine that is theirs alone, starts them in the order
// of a plan, and waits for orphans. When it is killed, the kernel kills everything
// below it, and nothing of the node is left.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/outrider-mesh/outrider/test/kube/node/plan"
)

func main() {
	fmt.Fprintln(os.Stderr, "nodeinit:", run(os.Args[1]))
	os.Exit(1)
}

// run returns only when something is wrong.
func run(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var p plan.Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(p.Hostname)); err != nil {
		return err
	}
	if err := mounts(p.Dir); err != nil {
		return err
	}
	if err := network(p); err != nil {
		return err
	}
	for _, c := range p.Commands {
		if err := start(p.Dir, c); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(p.Dir, plan.Up), nil, 0o600); err != nil {
		return err
	}
	for { // as process 1 does
		if _, err := syscall.Wait4(-1, nil, 0, nil); errors.Is(err, syscall.ECHILD) {
			return errors.New("every program has ended")
		}
	}
}

// sysctls are those that the kubelet and containerd want to set and that are the whole
// machine's: they see files of ours instead.
var sysctls = [...]string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// mounts hides the machine's own files. What is written goes below dir, or is gone with
// us.
func mounts(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("proc: %w", err)
	}
	for i, name := range sysctls {
		value, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			return err
		}
		ours := filepath.Join(dir, fmt.Sprintf("sysctl-%d", i))
		if err := errors.Join(os.WriteFile(ours, value, 0o600), bind(ours, "/proc/sys/"+name)); err != nil {
			return err
		}
	}
	if err := system(dir); err != nil {
		return err
	}
	for _, name := range []string{"lib", "log"} {
		ours := filepath.Join(dir, "var-"+name)
		if err := errors.Join(os.MkdirAll(ours, 0o755), bind(ours, "/var/"+name)); err != nil {
			return err
		}
	}
	etcd := filepath.Join(dir, "etcd") // in memory, for it waits for every write
	err := errors.Join(
		unix.Mount("tmpfs", "/run", "tmpfs", 0, ""), os.MkdirAll("/run/lock", 0o755),
		os.MkdirAll(etcd, 0o700), unix.Mount("tmpfs", etcd, "tmpfs", 0, "size=1g"),
		// The kubelet's mounts have to be seen by containerd's.
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""))
	for _, name := range []string{"/var/lib/kubelet", "/var/lib/cni", "/var/log/pods"} {
		err = errors.Join(err, os.MkdirAll(name, 0o755))
	}
	return err
}

// system gives us a /sys of our network, with the machine's cgroups in it.
func system(dir string) error {
	aside := filepath.Join(dir, "cgroup")
	return errors.Join(
		os.MkdirAll(aside, 0o755), unix.Mount("/sys/fs/cgroup", aside, "", unix.MS_BIND|unix.MS_REC, ""),
		unix.Mount("sysfs", "/sys", "sysfs", 0, ""), unix.Mount(aside, "/sys/fs/cgroup", "", unix.MS_BIND|unix.MS_REC, ""),
		unix.Unmount(aside, unix.MNT_DETACH))
}

func bind(from, to string) error {
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", to, err)
	}
	return nil
}

// network waits for the link to the machine and takes it into use.
func network(p plan.Plan) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		if _, err := os.Stat("/sys/class/net/" + p.Link); err == nil {
			break
		}
		if time.Now().After(deadline) {
			return errors.New("no link to the machine")
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", p.Address + "/30", "dev", p.Link},
		{"link", "set", p.Link, "up"},
		{"route", "add", "default", "via", p.Gateway},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	for name, value := range map[string]string{"ipv4/ip_forward": "1", "ipv4/conf/all/route_localnet": "1", "bridge/bridge-nf-call-iptables": "1"} {
		if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// start starts one program of the plan, and waits for its end if there has to be one:
// it is tried again until it succeeds or its time is over.
func start(dir string, c plan.Command) error {
	log, err := os.OpenFile(filepath.Join(dir, c.Name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	deadline := time.Now().Add(c.Within)
	for {
		cmd := exec.Command(c.Args[0], c.Args[1:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
		cmd.Env = append(os.Environ(), c.Env...)
		if c.Within == 0 {
			return cmd.Start()
		}
		err := cmd.Run()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}
