package injector_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/meshca"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/injector"
	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/issue/kube"
	"github.com/outrider-mesh/outrider/injector/mutate"
)

// eventually waits for what another goroutine brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !holds() {
		select {
		case <-deadline:
			t.Fatal("never came true: " + what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// reviewing has the API server know one token, which is that of a pod of checkout.
func reviewing(client *fake.Clientset) {
	client.PrependReactor("create", "tokenreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
		review := action.(k8stesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		if review.Spec.Token != "good" || !slices.Equal(review.Spec.Audiences, []string{wire.Audience}) {
			return true, &authenticationv1.TokenReview{Status: authenticationv1.TokenReviewStatus{Error: "unknown"}}, nil
		}
		return true, &authenticationv1.TokenReview{Status: authenticationv1.TokenReviewStatus{
			Authenticated: true, Audiences: []string{wire.Audience},
			User: authenticationv1.UserInfo{Username: "system:serviceaccount:shop:checkout", Extra: map[string]authenticationv1.ExtraValue{
				"authentication.kubernetes.io/pod-name": {"checkout-1"}, "authentication.kubernetes.io/pod-uid": {"1"},
			}},
		}}, nil
	})
}

// sidecar asks for an identity as the sidecar of a pod does: with its token, and
// with what the ConfigMap of its namespace says about the issuer.
func sidecar(ctx context.Context, t *testing.T, client *fake.Clientset, address, token string) *meshca.Source {
	t.Helper()
	var anchors string
	eventually(t, "the namespace knows the roots", func() bool {
		// Past the client, for what that is asked the control plane has to answer for.
		cm, err := client.Tracker().Get(corev1.SchemeGroupVersion.WithResource("configmaps"), "shop", kube.TrustConfigMap)
		if err == nil {
			anchors = cm.(*corev1.ConfigMap).Data[kube.TrustKey]
		}
		return strings.HasPrefix(anchors, "-----BEGIN CERTIFICATE-----")
	})
	dir := t.TempDir()
	for name, text := range map[string]string{"token": token, "ca.pem": anchors} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := meshca.New(meshca.Options{
		Address: address, Server: spiffeid.RequireFromString(mutate.ControlPlaneID("shop.example", system)),
		Token: filepath.Join(dir, "token"), TrustAnchors: filepath.Join(dir, "ca.pem"),
		MinBackoff: 5 * time.Millisecond, MaxBackoff: 5 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func ready(t *testing.T, ls injector.Listeners) (int, string) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	return fetch(t, &http.Client{Transport: transport}, "GET", "http://"+ls.Health.Addr().String()+"/healthz/ready", "")
}

// From an empty Secret to a sidecar with an SVID that the control plane's own
// bundles vouch for, and nothing for whom the API server doesn't know.
func TestASidecarGetsItsIdentity(t *testing.T) {
	client := cluster()
	reviewing(client)
	ctx, cancel := context.WithCancel(t.Context())
	done, ls, _ := startWith(ctx, t, client)
	s := sidecar(t.Context(), t, client, ls.Issuer.Addr().String(), "good")
	eventually(t, "the sidecar has an identity", func() bool { return s.Current().Ready() })
	snap := s.Current()
	if got := snap.SVID.ID.String(); got != "spiffe://shop.example/ns/shop/sa/checkout" {
		t.Errorf("it is %s", got)
	}
	if err := mtls.Verify(identity.Peer{ID: snap.SVID.ID, Chain: snap.SVID.Certificates}, snap, time.Now()); err != nil {
		t.Error(err)
	}
	eventually(t, "it is ready", func() bool { status, _ := ready(t, ls); return status == http.StatusOK })
	bad := sidecar(t.Context(), t, client, ls.Issuer.Addr().String(), "bad")
	eventually(t, "the other one is refused", func() bool {
		return bad.Current().Err != nil && strings.Contains(bad.Current().Err.Error(), "token was not accepted")
	})
	if bad.Current().SVID != nil {
		t.Error("somebody with a bad token has an identity")
	}
	secret, err := client.CoreV1().Secrets(system).Get(t.Context(), kube.StateSecret, metav1.GetOptions{})
	if err != nil || len(secret.Data) == 0 {
		t.Errorf("the CA is not in its Secret: %v", err)
	}
	for _, name := range []string{"kube-system", system} {
		if _, err := client.CoreV1().ConfigMaps(name).Get(t.Context(), kube.TrustConfigMap, metav1.GetOptions{}); err == nil {
			t.Errorf("%s has trust anchors, although none of its pods is in the mesh", name)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A replica that can't issue gets no calls: its readiness says what it lacks.
func TestWithoutACAItIsNotReady(t *testing.T) {
	client := cluster()
	if err := client.CoreV1().Secrets(system).Delete(t.Context(), kube.StateSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done, ls, _ := startWith(ctx, t, client)
	eventually(t, "it says that the Secret is not there", func() bool {
		status, body := ready(t, ls)
		return status == http.StatusServiceUnavailable && strings.Contains(body, "apply the manifests again")
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// With SPIRE the control plane is one more workload of SPIRE: it has its identity
// from there, keeps no CA, and tells no namespace whom to trust.
func TestWithAnotherIssuerItIssuesNothing(t *testing.T) {
	client := cluster()
	own := new(identity.Publisher)
	ls := listeners(t)
	ls.Issuer = nil
	c, err := injector.New(injector.Options{
		Client: client, Resources: meshConfigs(), Replica: "a", Listeners: ls, Mesh: mutate.Mesh{Image: "i"}, Identity: own,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	eventually(t, "only its identity is missing", func() bool {
		status, body := ready(t, ls)
		return status == http.StatusServiceUnavailable && body == "not ready: the control plane has no identity yet\n"
	})
	ca := identitytest.NewCA(t, "cluster.local")
	snap := ca.Source(t, mutate.ControlPlaneID("cluster.local", system)).Current()
	own.Publish(snap.SVID, snap.Bundles)
	eventually(t, "it is ready", func() bool { status, _ := ready(t, ls); return status == http.StatusOK })
	for _, a := range client.Actions() {
		if r := a.GetResource().Resource; r == "configmaps" || r == "tokenreviews" || r == "secrets" && strings.Contains(named(a), kube.StateSecret) {
			t.Errorf("it asks: %s", named(a))
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// meshConfig is the MeshConfig of a cluster.
func meshConfig(spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion().String(), "kind": "MeshConfig",
		"metadata": map[string]any{"name": v1alpha1.MeshConfigName, "generation": int64(1)}, "spec": spec,
	}}
}

// Pods are injected by what the MeshConfig says at that moment.
func TestPodsFollowTheMeshConfig(t *testing.T) {
	resources := meshConfigs(meshConfig(map[string]any{"identity": map[string]any{"provider": "WorkloadAPI", "driver": "one.example"}}))
	client := cluster()
	own := new(identity.Publisher)
	ls := listeners(t)
	ls.Issuer = nil
	mesh := mutate.Mesh{Image: "i"}
	mesh.Identity.Provider = "WorkloadAPI"
	ctx, cancel := context.WithCancel(t.Context())
	done, post := run(ctx, t, client, injector.Options{
		Client: client, Resources: resources, Replica: "a", Listeners: ls, Mesh: mesh, Identity: own,
	})
	inject := func(driver string) bool {
		status, body := post(`{"name":"web"}`)
		return status == http.StatusOK && strings.Contains(decoded(t, body), `"driver":"`+driver+`"`)
	}
	if !inject("one.example") {
		t.Error("the first pod does not get the driver of the MeshConfig")
	}
	changed := meshConfig(map[string]any{"identity": map[string]any{"provider": "WorkloadAPI", "driver": "two.example"}})
	if _, err := resources.Resource(v1alpha1.GroupVersion().WithResource("meshconfigs")).Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a later pod gets the other driver", func() bool { return inject("two.example") })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
