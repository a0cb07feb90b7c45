package kube

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrider-mesh/outrider/injector"
	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/issue/kube"
	"github.com/outrider-mesh/outrider/injector/mutate"
)

// route lets the API server reach a replica as it reaches the Service in a cluster: by
// its name, which the certificate has to be for. There is no network here that would
// lead there, so the Service is one of the kind that names another host.
func (w *world) route(t *testing.T, r *replica) {
	t.Helper()
	_, port, _ := strings.Cut(r.webhook, ":")
	services := w.client.CoreV1().Services(system)
	there, err := services.Get(t.Context(), injector.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	there.Spec.Type, there.Spec.ExternalName = corev1.ServiceTypeExternalName, "localhost"
	there.Spec.ClusterIP, there.Spec.ClusterIPs, there.Spec.Selector = "", nil, nil
	if _, err := services.Update(t.Context(), there, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	at := func(i string) string {
		return `{"op":"replace","path":"/webhooks/` + i + `/clientConfig/service/port","value":` + port + `}`
	}
	_, err = w.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(t.Context(), injector.Name, types.JSONPatchType,
		[]byte("["+at("0")+","+at("1")+"]"), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// bundles are what the API server trusts, of each entry of the webhook.
func (w *world) bundles(t *testing.T) []int {
	t.Helper()
	configuration, err := w.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), injector.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, hook := range configuration.Webhooks {
		all = append(all, certificates(hook.ClientConfig.CABundle))
	}
	return all
}

func certificates(text []byte) (n int) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && c.IsCA {
			n++
		}
	}
	return n
}

// state looks at what the control plane has written, and takes some of it away.
func (w *world) state(t *testing.T, _ *replica) {
	known := func() (bool, string) {
		for _, n := range w.bundles(t) {
			if n < 1 {
				return false, "an entry of the webhook trusts nobody"
			}
		}
		return true, ""
	}
	w.eventually(t, time.Minute, "both entries of the webhook know the certificate's authority", known)
	for _, name := range []string{injector.CertificateSecret, kube.StateSecret} {
		s, err := w.client.CoreV1().Secrets(system).Get(t.Context(), name, metav1.GetOptions{})
		w.check(t, err == nil && len(s.Data) > 0, "the Secret %s is empty, %v", name, err)
	}
	secrets, err := w.client.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{})
	w.check(t, err == nil && len(secrets.Items) == 2, "there are %d Secrets, %v", len(secrets.Items), err)
	w.namespace(t, "late", nil, nil)
	for _, name := range []string{"default", "shop", "late"} {
		w.eventually(t, time.Minute, name+" knows the roots", func() (bool, string) { return w.anchored(t, name) })
	}
	for _, name := range append(mutate.SystemNamespaces()[:3], system) {
		ok, _ := w.anchored(t, name)
		w.check(t, !ok, "%s has trust anchors", name)
	}
	if err := w.client.CoreV1().ConfigMaps("late").Delete(t.Context(), kube.TrustConfigMap, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually(t, time.Minute, "what was deleted is back", func() (bool, string) { return w.anchored(t, "late") })
	_, err = w.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(t.Context(), injector.Name, types.JSONPatchType,
		[]byte(`[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.eventually(t, 2*time.Minute, "a bundle that was removed is back", known)
}

// anchored tells whether a namespace has been told of the roots.
func (w *world) anchored(t *testing.T, namespace string) (bool, string) {
	t.Helper()
	cm, err := w.client.CoreV1().ConfigMaps(namespace).Get(t.Context(), kube.TrustConfigMap, metav1.GetOptions{})
	if err != nil {
		return false, err.Error()
	}
	return certificates([]byte(cm.Data[kube.TrustKey])) == 1, cm.Data[kube.TrustKey]
}

// meshConfig writes good ones and bad ones and reads what becomes of them.
func (w *world) meshConfig(t *testing.T, _ *replica) {
	meshes := w.resources.Resource(v1alpha1.GroupVersion().WithResource("meshconfigs"))
	document := func(spec map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": v1alpha1.GroupVersion().String(), "kind": "MeshConfig", "metadata": map[string]any{"name": "mesh"}, "spec": spec,
		}}
	}
	made, err := meshes.Create(t.Context(), document(map[string]any{"mtls": "Strict"}), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, status, lint string
		spec               map[string]any
	}{
		{"a good one", "True", "", map[string]any{"mtls": "Strict"}},
		{"one with a warning", "True", "spec.mtls", map[string]any{"mtls": "Permissive"}},
		{"another trust domain", "False", "spec.trustDomain", map[string]any{"trustDomain": "example.net"}},
		{"another provider", "False", "spec.identity.provider", map[string]any{"identity": map[string]any{"provider": "WorkloadAPI"}}},
		{"a good one again", "True", "", map[string]any{"trustDomain": mutate.DefaultTrustDomain}},
	} {
		patch, err := json.Marshal([]any{map[string]any{"op": "replace", "path": "/spec", "value": c.spec}})
		if err != nil {
			t.Fatal(err)
		}
		if made, err = meshes.Patch(t.Context(), "mesh", types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		w.eventually(t, time.Minute, c.what, func() (bool, string) {
			m, err := meshes.Get(t.Context(), "mesh", metav1.GetOptions{})
			if err != nil {
				return false, err.Error()
			}
			return accepted(m, made.GetGeneration(), c.status, c.lint), m.GetName()
		})
	}
	out := w.apply(t, "get", "meshconfig")
	w.check(t, strings.Contains(out, "ACCEPTED") && strings.Contains(out, "True"), "kubectl get meshconfig: %s", out)
	if err := meshes.Delete(t.Context(), "mesh", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// accepted tells whether a status says so, of that generation.
func accepted(m *unstructured.Unstructured, generation int64, status, lint string) bool {
	observed, _, _ := unstructured.NestedInt64(m.Object, "status", "observedGeneration")
	conditions, _, _ := unstructured.NestedSlice(m.Object, "status", "conditions")
	findings, _, _ := unstructured.NestedSlice(m.Object, "status", "lint")
	if observed != generation || (len(findings) == 0) != (lint == "") || lint != "" && findings[0].(map[string]any)["field"] != lint {
		return false
	}
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == v1alpha1.Accepted {
			return c["status"] == status
		}
	}
	return false
}
