package kube

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/kube/admissions"
)

// benchmarked is set by the Makefile.
const benchmarked = "OUTRIDER_BENCH_WEBHOOK"

var (
	markdown = flag.String("markdown", "", "`file` whose part between the two markers is replaced by what the webhook adds")
	asJSON   = flag.String("json", "", "`file` to write all that was measured of the webhook to")
	rounds   = flag.Int("rounds", 10, "how often pods are created with and without the webhook; intervals need 8")
)

// TestAdmissions measures what the webhook adds to the creation of a pod. It judges no
// figure, but only whether every pod of the one namespace was injected, and asked about
// once, and none of the other.
func TestAdmissions(t *testing.T) {
	if os.Getenv(benchmarked) == "" {
		t.Skip("what the webhook adds is measured by make bench-webhook only")
	}
	if *markdown != "" {
		if err := admissions.Page().Check(fromRoot(*markdown)); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t)
	w.installation(t)
	a := w.replica(t, "a")
	w.ready(t, a)
	w.route(t, a)
	w.namespace(t, "with", map[string]string{mutate.Label: mutate.Enabled}, nil)
	w.namespace(t, "without", nil, nil)
	w.eventually(t, time.Minute, "the webhook is asked", func() (bool, string) {
		err := w.creator("with", true, []string{metav1.DryRunAll})(t.Context(), 0)
		return err == nil, errText(err)
	})
	r := w.measure(t, a)
	t.Logf("\n%s", r.Tables())
	if err := r.Write(fromRoot(*asJSON), fromRoot(*markdown)); err != nil {
		t.Error(err)
	}
}

func (w *world) measure(t *testing.T, a *replica) *admissions.Report {
	t.Helper()
	o := admissions.Options{
		Rounds: *rounds, Block: time.Second, Callers: []int{1, 8, 32},
		CPU: func() (time.Duration, error) {
			used, err := watch.ReadCPU([]int{a.child.PID()})
			return used.Total, err
		},
	}
	r := &admissions.Report{Date: time.Now(), Machine: watch.DescribeMachine(), Rounds: o.Rounds, Block: o.Block}
	var made atomic.Int64
	before := a.metric(t, asked)
	for _, k := range []admissions.Kind{
		{Name: "dry run", With: w.with(&made, metav1.DryRunAll), Without: w.without(metav1.DryRunAll)},
		{Name: "created", With: w.with(&made), Without: w.without()},
	} {
		loads, err := k.Measure(t.Context(), o)
		if err != nil {
			t.Fatalf("%v\n%s", err, a.said(t))
		}
		r.Loads = append(r.Loads, loads...)
	}
	times := a.metric(t, asked) - before
	w.check(t, times == float64(made.Load()), "it was asked %v times about %d pods", times, made.Load())
	return r
}

// with is where the webhook is asked; made counts the pods.
func (w *world) with(made *atomic.Int64, dryRun ...string) admissions.Side {
	s := admissions.Side{Clear: w.clear("with", dryRun)}
	create := w.creator("with", true, dryRun)
	s.Create = func(ctx context.Context, n int64) error {
		made.Add(1)
		return create(ctx, n)
	}
	return s
}

func (w *world) without(dryRun ...string) admissions.Side {
	return admissions.Side{Create: w.creator("without", false, dryRun), Clear: w.clear("without", dryRun)}
}

// creator creates pods, and looks whether they have a sidecar where they must and none
// elsewhere.
func (w *world) creator(namespace string, sidecar bool, dryRun []string) func(context.Context, int64) error {
	pods := w.client.CoreV1().Pods(namespace)
	return func(ctx context.Context, n int64) error {
		made, err := pods.Create(ctx, ordinary(n), metav1.CreateOptions{DryRun: dryRun})
		if err == nil && injected(made) != sidecar {
			err = fmt.Errorf("%s/%s: injected: %v", namespace, made.Name, !sidecar)
		}
		return err
	}
}

// clear removes what creator has made, if it has.
func (w *world) clear(namespace string, dryRun []string) func(context.Context) error {
	if len(dryRun) > 0 {
		return nil
	}
	now := int64(0)
	return func(ctx context.Context) error {
		return w.client.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
	}
}

// ordinary is a pod as a Deployment has it: one container with a port, two probes and
// resources.
func ordinary(n int64) *corev1.Pod {
	probe := func(path string) *corev1.Probe {
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http")}}}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("web-%d", n), Labels: map[string]string{"app": "web", "version": "v1"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "web", Image: "example.com/web:1", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
			ReadinessProbe: probe("/ready"), LivenessProbe: probe("/live"),
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi"),
			}},
		}}},
	}
}

// fromRoot is a path that was meant where make is run.
func fromRoot(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}
