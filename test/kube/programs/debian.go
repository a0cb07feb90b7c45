package programs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// A Package is one of Debian's, with where a program of it is.
type Package struct{ Name, Path string }

// Packages are what a cluster needs of Debian, by the program that is asked for: the API server keeps everything in etcd, the
// kubelet has containerd start containers, and that has runc and the plugins do it.
func Packages() map[string]Package {
	return map[string]Package{
		"etcd":       {"etcd-server", "usr/bin/etcd"},
		"containerd": {"containerd", "usr/bin/containerd"},
		"runc":       {"runc", "usr/sbin/runc"},
		"bridge":     {"containernetworking-plugins", "usr/lib/cni/bridge"},
	}
}

// Debian returns where the program of a package is. One that is installed is taken as
// it is; else the package is fetched and unpacked, which needs apt-get and no root.
func (s *Store) Debian(ctx context.Context, program string) (string, error) {
	p, ok := Packages()[program]
	if !ok {
		return "", fmt.Errorf("no package is known to have %s", program)
	}
	dir := filepath.Join(s.dir, "debian", p.Name)
	at := filepath.Join(dir, p.Path)
	for _, there := range []string{"/" + p.Path, at} {
		if _, err := os.Stat(there); err == nil {
			return there, nil
		}
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "", fmt.Errorf("%s is not installed, and there is no apt-get to fetch Debian's %s with: install it", program, p.Name)
	}
	s.say("fetching Debian's package %s", p.Name)
	fresh, err := s.scratch()
	if err != nil {
		return "", err
	}
	defer s.discard(fresh)
	if err := fetch(ctx, fresh, p.Name); err != nil {
		return "", fmt.Errorf("%s is not installed, and Debian's %s can't be fetched: %w", program, p.Name, err)
	}
	return at, s.keep(filepath.Join(fresh, "x"), dir)
}

// fetch unpacks a package into x below dir.
func fetch(ctx context.Context, dir, name string) error {
	if err := quietly(ctx, dir, "apt-get", "download", "-qq", name); err != nil {
		// The lists of packages may be old, or there may be none yet.
		if os.Geteuid() != 0 || quietly(ctx, dir, "apt-get", "update", "-qq") != nil {
			return err
		}
		if err := quietly(ctx, dir, "apt-get", "download", "-qq", name); err != nil {
			return err
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(files) != 1 {
		return errors.Join(err, fmt.Errorf("%d files came", len(files)))
	}
	return quietly(ctx, dir, "dpkg-deb", "-x", files[0], "x")
}

// quietly runs a program whose output only matters when it fails.
func quietly(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, tail(out))
	}
	return nil
}
