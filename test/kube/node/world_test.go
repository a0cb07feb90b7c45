package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/outrider-mesh/outrider/test/kube/image"
	"github.com/outrider-mesh/outrider/test/kube/node"
	"github.com/outrider-mesh/outrider/test/kube/programs"
)

const root = "../../.."

// tags are those of the Makefile, as the images are built with them.
const tags = "grpcnotrace,coraza.disabled_operators.validateSchema,no_fs_access"

// A world is a node and what has been looked at.
type world struct {
	*node.Node

	client kubernetes.Interface
	dir    string

	mu     sync.Mutex
	checks int
}

// newWorld builds everything and starts a node with our images on it.
func newWorld(t *testing.T) *world {
	t.Helper()
	// Not t.TempDir, which is removed while mounts of the node may still be going.
	dir, err := os.MkdirTemp("", "outrider-node-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir}
	bin := filepath.Join(dir, "bin")
	run(t, "go", "build", "-trimpath", "-tags", tags+",nethttpomithttp2", "-ldflags", "-s -w", "-o", bin+"/", "./cmd/outrider")
	run(t, "go", "build", "-trimpath", "-tags", tags, "-ldflags", "-s -w", "-o", bin+"/",
		"./cmd/outrider-injector", "./test/kube/app", "./test/kube/pause", "./test/kube/nodeinit")
	store, err := programs.Open(root, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.Node, err = node.Start(t.Context(), node.Options{
		Dir: dir, Store: store, Init: filepath.Join(bin, "nodeinit"), Say: t.Logf,
		Images: []image.Image{
			node.Image(bin, "outrider", "dev", "21337:21337"), node.Image(bin, "outrider-injector", "dev", "65532:65532"),
			node.Image(bin, "pause", "e2e", "65535:65535"), node.Image(bin, "app", "e2e", "65532:65532"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Close()
		if os.Getenv("OUTRIDER_KEEP_LOGS") == "" {
			_ = os.RemoveAll(dir)
		} else {
			t.Logf("logs are in %s", dir)
		}
	})
	t.Logf("the node is up after %v", time.Since(began).Round(time.Second))
	if w.client, err = kubernetes.NewForConfig(w.Admin); err != nil {
		t.Fatal(err)
	}
	return w
}

// run runs a program of this machine, in the repository.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// try has kubectl do something.
func (w *world) try(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, w.Kubectl(), append([]string{"--kubeconfig", w.Kubeconfig()}, args...)...)
	cmd.Dir, cmd.Stdin = root, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// kubectl does something that must succeed.
func (w *world) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := w.try(t.Context(), "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (w *world) apply(t *testing.T, manifest string) {
	t.Helper()
	if _, err := w.try(t.Context(), manifest, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// check counts one thing that was looked at.
func (w *world) check(t *testing.T, holds bool, format string, args ...any) bool {
	t.Helper()
	w.mu.Lock()
	w.checks++
	w.mu.Unlock()
	if !holds {
		t.Errorf(format, args...)
	}
	return holds
}

// eventually is a check of what takes a while.
func (w *world) eventually(t *testing.T, within time.Duration, what string, holds func() (bool, string)) bool {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		ok, why := holds()
		if ok {
			return w.check(t, true, "")
		}
		select {
		case <-ticker.C:
		case <-deadline.C:
			return w.check(t, false, "%s: not within %v: %s", what, within, why)
		}
	}
}

// rolledOut waits for a Deployment, and says what its pods lack if that takes too long.
func (w *world) rolledOut(t *testing.T, namespace, name string) bool {
	t.Helper()
	_, err := w.try(t.Context(), "", "-n", namespace, "rollout", "status", "deployment/"+name, "--timeout=150s")
	if err == nil {
		return w.check(t, true, "")
	}
	pods, _ := w.try(t.Context(), "", "-n", namespace, "describe", "pods", "-l", "app="+name)
	logs, _ := w.try(t.Context(), "", "-n", namespace, "logs", "-l", "app="+name, "--all-containers", "--tail=15", "--prefix")
	return w.check(t, false, "%s/%s does not roll out: %v\n%s\n%s", namespace, name, err, pods, logs)
}

// An answer is what the application's client printed.
type answer struct {
	status int
	header string
	body   string
	err    error
}

func (a answer) String() string { return fmt.Sprintf("%d\n%s%s%v", a.status, a.header, a.body, a.err) }

// get has an application make a call.
func (w *world) get(t *testing.T, namespace, deployment, url string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := w.try(ctx, "", "-n", namespace, "exec", "deployment/"+deployment, "-c", "app", "--", "/app", "get", url)
	if err != nil {
		return answer{err: err}
	}
	var a answer
	first, rest, _ := strings.Cut(out, "\n")
	if _, err := fmt.Sscan(first, &a.status); err != nil {
		return answer{err: fmt.Errorf("%w: %q", err, out)}
	}
	at := strings.LastIndex(rest, "\r\n")
	a.header, a.body = rest[:at+2], rest[at+2:]
	return a
}

// A tally is what the application's client counted under load.
type tally struct {
	Sent, Failed int
	First        string
}

// load starts calls and returns what waits for their end.
func (w *world) load(t *testing.T, namespace, deployment, url string, lasting time.Duration) func() tally {
	t.Helper()
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := w.try(t.Context(), "", "-n", namespace, "exec", "deployment/"+deployment, "-c", "app", "--", "/app", "load", url, lasting.String())
		done <- result{out, err}
	}()
	return func() tally {
		t.Helper()
		r := <-done
		var counted tally
		if r.err == nil {
			r.err = json.Unmarshal([]byte(r.out), &counted)
		}
		if r.err != nil {
			t.Fatalf("load: %v", r.err)
		}
		return counted
	}
}
