package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// hierarchies are where cgroups are: one for each controller and perhaps a last one
// without any (version 1), or one for all of them (version 2).
func hierarchies() ([]string, error) {
	const at = "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(at, "cgroup.controllers")); err == nil {
		return []string{at}, nil
	}
	entries, err := os.ReadDir(at)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, filepath.Join(at, e.Name()))
		}
	}
	return all, nil
}

// cgroups makes the one that the kubelet puts its pods below, which it wants to find
// everywhere.
func (n *Node) cgroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		ours := filepath.Join(h, group)
		if err := os.Mkdir(ours, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("cgroup: %w", err)
		}
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} { // version 1 leaves them empty, and then nothing may be put there
			value, err := os.ReadFile(filepath.Join(h, name))
			if err != nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(ours, name), value, 0o600); err != nil {
				return fmt.Errorf("cgroup: %w", err)
			}
		}
		if len(all) == 1 {
			if err := delegate(h, ours); err != nil {
				return fmt.Errorf("cgroup: %w", err)
			}
		}
	}
	return nil
}

// delegate lets pods be counted and limited below our cgroup of version 2.
func delegate(h, ours string) error {
	there, err := os.ReadFile(filepath.Join(h, "cgroup.controllers"))
	if err != nil {
		return err
	}
	var names []string
	for name := range bytes.FieldsSeq(there) {
		if slices.Contains([]string{"cpu", "cpuset", "memory", "pids"}, string(name)) {
			names = append(names, "+"+string(name))
		}
	}
	wanted := []byte(strings.Join(names, " "))
	return errors.Join(
		os.WriteFile(filepath.Join(h, "cgroup.subtree_control"), wanted, 0o600),
		os.WriteFile(filepath.Join(ours, "cgroup.subtree_control"), wanted, 0o600))
}

// removeCgroups removes what is below ours as well; the kernel takes a moment to
// notice that the processes in there are gone.
func (n *Node) removeCgroups() {
	all, err := hierarchies()
	if err != nil {
		return
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, h := range all {
		ours := filepath.Join(h, group)
		for removeTree(ours) != nil && time.Now().Before(deadline) {
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // nobody tells when the kernel has noticed
		}
	}
}

// removeTree removes directories from the innermost on: a cgroup's files can't be.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(dir)
}
