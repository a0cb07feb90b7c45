package kube

import (
	"context"
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/outrider-mesh/outrider/injector/mutate"
)

// A specimen is one of the golden files of package mutate.
type specimen struct {
	name          string
	ns            corev1.Namespace
	pod           *corev1.Pod
	outcome, want string // the latter as the file has it; empty: the pod stays as it is
	mesh          bool   // it is of an installation other than this
}

func specimens(t *testing.T) []specimen {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "injector/mutate/testdata/pods/*.txtar"))
	if err != nil || len(names) < 70 {
		t.Fatalf("%d pods, %v", len(names), err)
	}
	all := make([]specimen, len(names))
	for i, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := specimen{name: strings.TrimSuffix(filepath.Base(name), ".txtar"), pod: &corev1.Pod{}}
		for _, f := range a.Files {
			switch f.Name {
			case "namespace.yaml":
				err = yaml.UnmarshalStrict(f.Data, &s.ns)
			case "pod.yaml":
				err = yaml.UnmarshalStrict(f.Data, s.pod)
			case "outcome":
				s.outcome, _, _ = strings.Cut(string(f.Data), "\n")
			case "patched.yaml":
				s.want = string(f.Data)
			case "mesh.yaml":
				s.mesh = true
			}
			if err != nil {
				t.Fatalf("%s: %s: %v", name, f.Name, err)
			}
		}
		all[i] = s
	}
	return all
}

// pods has the API server create each pod of the golden files. What has become of it,
// by way of the webhook, is what becomes of the golden one without a webhook: the API
// server's own defaults are the same.
func (w *world) pods(t *testing.T, r *replica) {
	seen := map[string]int{}
	for _, s := range specimens(t) {
		if s.mesh {
			continue
		}
		verdict, _, _ := strings.Cut(s.outcome, ":")
		t.Run(s.name, func(t *testing.T) {
			w.namespace(t, s.ns.Name, s.ns.Labels, s.ns.Annotations)
			if s.pod.Spec.ServiceAccountName != "" {
				w.account(t, s.ns.Name, s.pod.Spec.ServiceAccountName)
			}
			if w.specimen(t, s, verdict, r) {
				seen[verdict]++
			}
		})
	}
	t.Logf("pods created by a real API server: %v", seen)
	w.check(t, seen["inject"] >= 40 && seen["refuse"] >= 10 && seen["skip"] >= 6, "too few: %v", seen)
}

// specimen returns whether the API server would have had the pod at all.
func (w *world) specimen(t *testing.T, s specimen, verdict string, r *replica) bool {
	t.Helper()
	pods := w.client.CoreV1().Pods(s.ns.Name)
	plain, reason := w.plain(t, s.pod)
	if reason != "" {
		t.Logf("the API server itself does not take it: %s", reason)
		return false
	}
	got, err := pods.Create(t.Context(), s.pod.DeepCopy(), metav1.CreateOptions{})
	if verdict == "refuse" {
		why, _, _ := strings.Cut(strings.TrimPrefix(s.outcome, "refuse: "), ":")
		return w.check(t, err != nil && strings.Contains(err.Error(), "denied the request") && strings.Contains(err.Error(), why), "%v, want %s", err, why)
	}
	if err != nil {
		return w.check(t, false, "%v\n%s", err, r.said(t))
	}
	defer w.remove(t, got)
	want := plain
	if s.want != "" {
		var golden corev1.Pod
		if err := yaml.UnmarshalStrict([]byte(s.want), &golden); err != nil {
			t.Fatal(err)
		}
		if want, reason = w.plain(t, &golden); reason != "" {
			return w.check(t, false, "the golden pod is none: %s", reason)
		}
	}
	diff := cmp.Diff(normal(t, want), normal(t, got))
	w.check(t, diff == "", "(-golden +by the API server):\n%s", diff)
	return w.check(t, (s.want != "") == injected(got), "injected: %v", injected(got))
}

// plain is what the API server makes of a pod without a webhook: one in a namespace,
// and with labels, that no webhook is for.
func (w *world) plain(t *testing.T, pod *corev1.Pod) (*corev1.Pod, string) {
	t.Helper()
	const namespace = "plain"
	w.namespace(t, namespace, nil, nil)
	if pod.Spec.ServiceAccountName != "" {
		w.account(t, namespace, pod.Spec.ServiceAccountName)
	}
	pod = pod.DeepCopy()
	label, labelled := pod.Labels[mutate.Label]
	pod.Namespace = ""
	delete(pod.Labels, mutate.Label)
	made, err := w.client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil, err.Error()
	}
	if labelled {
		if made.Labels == nil {
			made.Labels = map[string]string{}
		}
		made.Labels[mutate.Label] = label
	}
	return made, ""
}

func (w *world) remove(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	now := int64(0)
	// Also after the test's own context has ended.
	err := w.client.CoreV1().Pods(pod.Namespace).Delete(context.WithoutCancel(t.Context()), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

func injected(pod *corev1.Pod) bool { return pod.Annotations[mutate.StatusAnnotation] != "" }

// What the API server chooses, and what says which version of ours it was.
var (
	tokenVolume = regexp.MustCompile(`kube-api-access-[a-z0-9]{5}`)
	ourVersion  = regexp.MustCompile(`\\"version\\":\\"[^"\\]*\\"`)
)

// normal is a pod without what differs each time, in an order of its own: the service
// account's volume stands before ours or behind them.
func normal(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	pod = pod.DeepCopy()
	pod.ManagedFields, pod.UID, pod.ResourceVersion, pod.CreationTimestamp, pod.Namespace = nil, "", "", metav1.Time{}, ""
	pod.Status = corev1.PodStatus{}
	if pod.GenerateName != "" {
		pod.Name = ""
	}
	slices.SortFunc(pod.Spec.Volumes, func(a, b corev1.Volume) int { return strings.Compare(a.Name, b.Name) })
	for _, all := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range all {
			slices.SortFunc(all[i].VolumeMounts, func(a, b corev1.VolumeMount) int { return strings.Compare(a.MountPath, b.MountPath) })
		}
	}
	out, err := json.MarshalIndent(pod, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	text := tokenVolume.ReplaceAllString(string(out), "kube-api-access")
	text = ourVersion.ReplaceAllString(text, `\"version\":\"\"`)
	// Probes are remembered as they come, which is with the API server's defaults.
	return strings.NewReplacer(`,\"scheme\":\"HTTP\"`, "", `\"service\":\"\"`, `\"service\":null`).Replace(text)
}

// events go to whoever owns the pod.
func (w *world) events(t *testing.T, _ *replica) {
	w.namespace(t, "told", map[string]string{mutate.Label: mutate.Enabled}, nil)
	for name, c := range map[string]struct {
		reason string
		bend   func(*corev1.Pod)
	}{
		"good": {"Injected", func(*corev1.Pod) {}},
		"host": {"Skipped", func(p *corev1.Pod) { p.Spec.HostNetwork = true }},
		"bad":  {"Refused", func(p *corev1.Pod) { p.Annotations = map[string]string{mutate.Prefix + "mtls": "Sometimes"} }},
	} {
		owner := w.replicaSet(t, "told", name)
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, owner.GroupVersionKind())}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}},
		}
		c.bend(pod)
		_, err := w.client.CoreV1().Pods("told").Create(t.Context(), pod, metav1.CreateOptions{})
		w.check(t, (err != nil) == (name == "bad"), "%s: %v", name, err)
		w.eventually(t, 30*time.Second, "an Event says "+c.reason, func() (bool, string) {
			all, err := w.client.CoreV1().Events("told").List(t.Context(), metav1.ListOptions{})
			if err != nil {
				return false, err.Error()
			}
			var said []string
			for _, e := range all.Items {
				if strings.HasPrefix(e.InvolvedObject.Name, name) {
					said = append(said, e.InvolvedObject.Kind+" "+e.Reason+": "+e.Message)
				}
			}
			return slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, c.reason) }), strings.Join(said, "\n")
		})
	}
}
