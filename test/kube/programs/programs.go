// Package programs finds what a cluster is made of: Kubernetes and CoreDNS, built
// from source by the go command, and what Debian has packages of, unpacked and not
// installed, so that nothing starts by itself. Both are kept outside of the tree, for
// building Kubernetes takes ten minutes and more.
package programs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// CacheVariable names the directory to keep programs in; without it they are in the
// user's own cache directory.
const CacheVariable = "OUTRIDER_KUBE_CACHE"

// A Store is where programs are kept.
type Store struct {
	// root is our repository, dir what is kept.
	root, dir string
	// say reports what takes long.
	say func(format string, args ...any)
}

// Open returns the store of a repository, whose root it is told.
func Open(root string, say func(format string, args ...any)) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	dir := os.Getenv(CacheVariable)
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("where to keep Kubernetes: set %s: %w", CacheVariable, err)
		}
		dir = filepath.Join(user, "outrider-kube")
	}
	return &Store{root: root, dir: dir, say: say}, nil
}

// components is the directory of the modules that we build from.
func (s *Store) components() string { return filepath.Join(s.root, "test", "kube", "components") }

// version finds which Kubernetes the module asks for.
var version = regexp.MustCompile(`(?m)^require k8s\.io/kubernetes (v\S+)$`)

// Kubernetes returns the programs of Kubernetes of these names, such as
// "kube-apiserver", by name. Those that are not there yet are built.
func (s *Store) Kubernetes(ctx context.Context, names ...string) (map[string]string, error) {
	mod, err := os.ReadFile(filepath.Join(s.components(), "go.mod"))
	if err != nil {
		return nil, err
	}
	found := version.FindSubmatch(mod)
	if found == nil {
		return nil, errors.New("test/kube/components/go.mod requires no k8s.io/kubernetes")
	}
	v := string(found[1])
	var packages []string
	for _, name := range names {
		packages = append(packages, "k8s.io/kubernetes/cmd/"+name)
	}
	return s.build(ctx, target{
		module: s.components(), in: "kubernetes-" + v, packages: packages, flags: stamp(v),
	})
}

// CoreDNS returns the program.
func (s *Store) CoreDNS(ctx context.Context) (string, error) {
	all, err := s.build(ctx, target{module: filepath.Join(s.components(), "coredns"), in: "coredns", packages: []string{"."}, flags: "-s -w"})
	return all["coredns"], err
}

// stamp is what the linker notes in Kubernetes' programs: they refuse to work without
// a version.
func stamp(v string) string {
	major, rest, _ := strings.Cut(strings.TrimPrefix(v, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	flags := []string{"-s", "-w"}
	for _, at := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for name, value := range map[string]string{"gitVersion": v, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean", "gitCommit": "none", "buildDate": "2026-01-01T00:00:00Z"} {
			flags = append(flags, "-X", at+"."+name+"="+value)
		}
	}
	return strings.Join(flags, " ")
}

// A target is what is built at once.
type target struct {
	module   string // its directory
	in       string // where it is kept, without the sum
	packages []string
	flags    string // of the linker
}

// build returns the programs of the packages by name, and builds those that are not
// there. What is kept is of one version of every dependency.
func (s *Store) build(ctx context.Context, t target) (map[string]string, error) {
	sum, err := os.ReadFile(filepath.Join(t.module, "go.sum"))
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, fmt.Sprintf("%s-%.6x", t.in, sha256.Sum256(sum)))
	all := map[string]string{}
	var missing []string
	for _, p := range t.packages {
		name := filepath.Base(filepath.Join(t.module, p))
		all[name] = filepath.Join(dir, name)
		if _, err := os.Stat(all[name]); err != nil {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return all, nil
	}
	s.say("building %s: some minutes, ten and more the first time", strings.Join(missing, " "))
	fresh, err := s.scratch()
	if err != nil {
		return nil, err
	}
	defer s.discard(fresh)
	args := append([]string{"build", "-mod=readonly", "-ldflags", t.flags, "-o", fresh + string(filepath.Separator)}, missing...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = t.module, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", strings.Join(missing, " "), err, tail(out))
	}
	return all, s.keep(fresh, dir)
}

// scratch is a directory beside what is kept, so that files can be moved.
func (s *Store) scratch() (string, error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(s.dir, ".new-*")
}

// discard removes a scratch directory; what is left of it costs space and nothing else.
func (s *Store) discard(dir string) {
	if err := os.RemoveAll(dir); err != nil {
		s.say("%v", err)
	}
}

// keep moves what has been made to where it is looked for, each file at once, so that
// half of one is never found.
func (s *Store) keep(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	made, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range made {
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// tail is the end of what a program has said, where the reason is.
func tail(out []byte) []byte {
	const most = 4 << 10
	return bytes.TrimSpace(out[max(0, len(out)-most):])
}
