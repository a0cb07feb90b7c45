package kube

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/outrider-mesh/outrider/injector"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/internal/child"
	"github.com/outrider-mesh/outrider/test/kube/cluster"
	"github.com/outrider-mesh/outrider/test/kube/pki"
	"github.com/outrider-mesh/outrider/test/kube/programs"
)

const (
	root   = "../.."
	system = mutate.ControlPlaneNamespace
	// image is the one that the golden files of the pods have.
	image = "example.com/outrider:1"
)

// A world is a real API server, what has been applied to it, and the control plane.
type world struct {
	*cluster.Cluster

	client    kubernetes.Interface
	resources dynamic.Interface
	dir       string
	kubectl   string
	program   string // outrider-injector

	mu     sync.Mutex
	checks int
}

// newWorld starts the API server and applies what a user applies.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	store, err := programs.Open(root, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	server, err := store.Kubernetes(t.Context(), "kube-apiserver", "kubectl")
	if err != nil {
		t.Fatal(err)
	}
	etcd, err := store.Debian(t.Context(), "etcd")
	if err != nil {
		t.Fatal(err)
	}
	w.kubectl, w.program = server["kubectl"], filepath.Join(w.dir, "outrider-injector")
	w.command(t, root, "go", "build", "-tags", "grpcnotrace", "-o", w.program, "./cmd/outrider-injector")
	w.Cluster, err = cluster.Start(t.Context(), cluster.Options{Etcd: etcd, APIServer: server["kube-apiserver"], Dir: w.dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	w.client, err = kubernetes.NewForConfig(w.Admin)
	if err != nil {
		t.Fatal(err)
	}
	w.resources, err = dynamic.NewForConfig(w.Admin)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// command runs a program and returns what it says.
func (w *world) command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// apply has kubectl do what a user does.
func (w *world) apply(t *testing.T, args ...string) string {
	t.Helper()
	return w.command(t, root, w.kubectl, append([]string{"--kubeconfig", w.Authority.Path("admin.kubeconfig")}, args...)...)
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
func (w *world) eventually(t *testing.T, within time.Duration, what string, holds func() (bool, string)) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		ok, why := holds()
		if ok {
			w.check(t, true, "")
			return
		}
		select {
		case <-ticker.C:
		case <-deadline.C:
			w.check(t, false, "%s: not within %v: %s", what, within, why)
			return
		}
	}
}

// namespace makes a namespace with its default service account, which a controller
// would make that is not running here, or gives it other labels and annotations.
func (w *world) namespace(t *testing.T, name string, labels, annotations map[string]string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: annotations}}
	_, err := w.client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = w.client.CoreV1().Namespaces().Update(t.Context(), ns, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	w.account(t, name, "default")
}

func (w *world) account(t *testing.T, namespace, name string) {
	t.Helper()
	_, err := w.client.CoreV1().ServiceAccounts(namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// token asks for one of a service account, bound to a pod if one is named.
func (w *world) token(t *testing.T, namespace, account, audience string, pod *corev1.Pod) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID}
	}
	answer, err := w.client.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

// A replica is a running control plane, with the rights of its service account and no
// others.
type replica struct {
	name                                   string
	child                                  *child.Child
	webhook, issuer, push, metrics, health string
	log                                    string
}

// replica starts one. Its listeners take whatever ports are free.
func (w *world) replica(t *testing.T, name string, args ...string) *replica {
	t.Helper()
	kubeconfig, err := w.Authority.Kubeconfig(name, w.URL, pki.User{Token: w.token(t, system, injector.Name, "", nil)})
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{name: name, log: filepath.Join(w.dir, name+".log")}
	log, err := os.Create(r.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	all := []string{"-c", `exec "$0" "$@" 2>&1`, w.program, "serve", "--kubeconfig", kubeconfig, "--image", image, "--log-format", "json", "--linger", "0s"}
	for _, l := range []struct {
		flag string
		at   *string
	}{{"webhook", &r.webhook}, {"issuer", &r.issuer}, {"push", &r.push}, {"metrics", &r.metrics}, {"health", &r.health}} {
		*l.at = cluster.Address(t)
		all = append(all, "--"+l.flag+"-listen", *l.at)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "sh", append(all, args...)...)
	cmd.Stdout, cmd.Env = log, append(os.Environ(), "POD_NAME="+name, "POD_NAMESPACE="+system)
	r.child, err = child.Start(name, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.child.Close)
	return r
}

// ready waits until the replica says that nothing is missing.
func (w *world) ready(t *testing.T, r *replica) {
	t.Helper()
	w.eventually(t, time.Minute, r.name+" is ready", func() (bool, string) {
		if err := r.child.Ended(); err != nil {
			t.Fatalf("%v\n%s", err, r.said(t))
		}
		status, body, err := get(t.Context(), "http://"+r.health+"/healthz/ready")
		return err == nil && status == 200, fmt.Sprint(body, err)
	})
}

// said is the replica's log.
func (r *replica) said(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(r.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(text))
}

// metric is the sum of a metric's series whose labels match.
func (r *replica) metric(t *testing.T, series string) float64 {
	t.Helper()
	_, body, err := get(t.Context(), "http://"+r.metrics+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, found := range regexp.MustCompile(`(?m)^`+series+` (\S+)$`).FindAllStringSubmatch(body, -1) {
		var v float64
		if _, err := fmt.Sscan(found[len(found)-1], &v); err != nil {
			t.Fatal(err)
		}
		sum += v
	}
	return sum
}

// kill ends the replica without a word.
func (r *replica) kill(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(-r.child.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-r.child.Done()
}
