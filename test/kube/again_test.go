package kube

import (
	"context"
	"crypto/x509/pkix"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionapi "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/test/kube/cluster"
)

const asked = `outrider_injector_admissions_total\{[^}]*\}`

// reinvocation is what a fake API server can't show. The plugin of service accounts
// looks at the containers that we have added, and where a later webhook changes the
// pod we are asked again about what we have made of it.
func (w *world) reinvocation(t *testing.T, r *replica) {
	w.namespace(t, "again", map[string]string{mutate.Label: mutate.Enabled}, nil)
	pod, times := w.asked(t, r, "alone")
	w.check(t, times == 1, "it was asked %v times about a pod that nobody else changes", times)
	w.single(t, pod, "web")

	w.other(t)
	pod, times = w.asked(t, r, "together")
	w.check(t, times == 2, "it was asked %v times about a pod that another webhook has changed", times)
	w.single(t, pod, "web", "late")
	for _, c := range pod.Spec.Containers {
		if c.Name == "late" {
			w.check(t, c.LivenessProbe.HTTPGet.Port.IntValue() == mutate.HealthPort, "what came later goes past the sidecar: %+v", c.LivenessProbe.HTTPGet)
		}
	}

	// One that is injected already is created again as it is.
	twice := pod.DeepCopy()
	twice.ObjectMeta = metav1.ObjectMeta{Name: "twice", Labels: pod.Labels, Annotations: pod.Annotations}
	again, err := w.client.CoreV1().Pods("again").Create(t.Context(), twice, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	again.Name = pod.Name
	diff := cmp.Diff(normal(t, pod), strings.ReplaceAll(normal(t, again), "twice", pod.Name))
	w.check(t, diff == "", "(-once +twice):\n%s", diff)
}

// asked creates a pod and returns how often the replica was asked about it.
func (w *world) asked(t *testing.T, r *replica, name string) (*corev1.Pod, float64) {
	t.Helper()
	before := r.metric(t, asked)
	pod, err := w.client.CoreV1().Pods("again").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.remove(t, pod) })
	return pod, r.metric(t, asked) - before
}

// single checks that the pod has each container once, and who has a token of the API
// server: the application's, as it would without us, and none of ours.
func (w *world) single(t *testing.T, pod *corev1.Pod, applications ...string) {
	t.Helper()
	count, want := map[string]int{}, map[string]int{mutate.Container: 1, mutate.InitContainer: 1}
	for _, name := range applications {
		want[name] = 1
	}
	for _, c := range append(slices.Clone(pod.Spec.InitContainers), pod.Spec.Containers...) {
		count[c.Name]++
		token := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return tokenVolume.MatchString(m.Name) })
		w.check(t, token == slices.Contains(applications, c.Name), "the container %s has a token of the API server: %v", c.Name, token)
	}
	w.check(t, cmp.Equal(count, want), "containers: %v", count)
}

// other is a webhook of somebody else, which is asked after ours and adds a container.
func (w *world) other(t *testing.T) {
	t.Helper()
	if err := w.Authority.Issue("other", pkix.Name{CommonName: "other"}, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	at := cluster.Address(t)
	server := &http.Server{Addr: at, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(late)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ListenAndServeTLS(w.Authority.Path("other.crt"), w.Authority.Path("other.key"))
	}()
	t.Cleanup(func() { server.Close(); <-done })
	ca, err := os.ReadFile(w.Authority.Path("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	url, fail, none, never := "https://"+at+"/", admissionv1.Fail, admissionv1.SideEffectClassNone, admissionv1.NeverReinvocationPolicy
	configurations := w.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	_, err = configurations.Create(t.Context(), &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "zz-other"}, // they are asked in the order of their names
		Webhooks: []admissionv1.MutatingWebhook{{
			Name: "other.example.com", ClientConfig: admissionv1.WebhookClientConfig{URL: &url, CABundle: ca}, FailurePolicy: &fail, SideEffects: &none,
			ReinvocationPolicy: &never, AdmissionReviewVersions: []string{"v1"},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "again"}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = configurations.Delete(context.WithoutCancel(t.Context()), "zz-other", metav1.DeleteOptions{})
	})
	// The API server takes a moment to know of it.
	w.eventually(t, 30*time.Second, "the other webhook is asked", func() (bool, string) {
		made, err := w.client.CoreV1().Pods("again").Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && len(made.Spec.Containers) == 2, errText(err)
	})
}

// late answers a review with one more container, which is probed, if it isn't there.
func late(w http.ResponseWriter, r *http.Request) {
	var review admissionapi.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	kind := admissionapi.PatchTypeJSONPatch
	review.Response = &admissionapi.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	if !strings.Contains(string(review.Request.Object.Raw), `"name":"late"`) {
		review.Response.PatchType = &kind
		review.Response.Patch = []byte(`[{"op":"add","path":"/spec/containers/-","value":{"name":"late","image":"late",` +
			`"livenessProbe":{"httpGet":{"path":"/live","port":9999}}}}]`)
	}
	review.Request = nil
	_ = json.NewEncoder(w).Encode(review)
}
