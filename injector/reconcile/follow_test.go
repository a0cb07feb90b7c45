package reconcile

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/injector/reconcile/model"
	"github.com/outrider-mesh/outrider/proxy/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A recorder is told of changes.
type recorder struct {
	workloads, gone chan []distribute.Key
	addrs           chan []netip.Addr
	documents       chan map[model.ID]struct{}
}

func newRecorder() *recorder {
	const room = 64
	return &recorder{make(chan []distribute.Key, room), make(chan []distribute.Key, room), make(chan []netip.Addr, room), make(chan map[model.ID]struct{}, room)}
}

func (r *recorder) DocumentsChanged(of ...distribute.Key) { r.workloads <- of }
func (r *recorder) TargetsChanged(at ...netip.Addr)       { r.addrs <- at }
func (r *recorder) Gone(keys ...distribute.Key)           { r.gone <- keys }

func listKinds() map[schema.GroupVersionResource]string {
	all := map[schema.GroupVersionResource]string{}
	for _, r := range v1alpha1.Resources() {
		all[r.GroupVersionResource()] = r.Kind + "List"
	}
	return all
}

func policyResource() schema.GroupVersionResource {
	return v1alpha1.GroupVersion().WithResource("accesspolicies")
}

func webPod(t *testing.T) *corev1.Pod {
	return read[corev1.Pod](t, "metadata: {namespace: shop, name: web-0, labels: {app: web}}\nspec:\n  serviceAccountName: web"+sidecar+"\nstatus: {podIPs: [{ip: 10.0.0.1}]}")
}

const allowWeb = `
apiVersion: outrider.dev/v1alpha1
kind: AccessPolicy
metadata: {namespace: shop, name: web}
spec: {selector: {matchLabels: {app: web}}, action: Allow, rules: [{}]}`

// What the API server has reaches the model, what changes there reaches those whom it
// concerns.
func TestTheModelFollowsTheCluster(t *testing.T) {
	client := fake.NewClientset(webPod(t))
	resources := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds(), unstructuredOf(t, allowWeb))
	m, heard := model.New(spiffeid.RequireTrustDomainFromString("example.org")), newRecorder()
	f, err := New(Options{
		Client: client, Resources: resources, Model: m, Sink: heard, Root: "outrider-system", Log: slog.New(slog.DiscardHandler),
		Changed: func(ids map[model.ID]struct{}) { heard.documents <- ids },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	<-f.Synced()
	web := distribute.Key{Namespace: "shop", Name: "web-0"}
	if set, ok := m.Documents(web); !ok || len(set) != 2 {
		t.Errorf("%d documents, %v", len(set), ok)
	}
	if got := <-heard.workloads; len(got) != 1 || got[0] != web {
		t.Errorf("affected at first: %v", got)
	}
	<-heard.addrs
	id := model.ID{Kind: config.KindAccessPolicy, Namespace: "shop", Name: "web"}
	if got := <-heard.documents; len(got) != 1 {
		t.Errorf("documents at first: %v", got)
	}
	if _, ok := f.Status(id); !ok {
		t.Error("its status is not known")
	}

	changed := unstructuredOf(t, allowWeb+"\nstatus: {revision: r}")
	changed.Object["spec"].(map[string]any)["action"] = "Deny"
	if _, err := resources.Resource(policyResource()).Namespace("shop").Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := <-heard.workloads; len(got) != 1 || got[0] != web {
		t.Errorf("affected by the policy: %v", got)
	}
	if s, ok := f.Status(id); !ok || s.Revision != "r" {
		t.Errorf("%+v, %v", s, ok)
	}

	slice := read[discoveryv1.EndpointSlice](t, "metadata: {namespace: shop, name: web-x, labels: {kubernetes.io/service-name: web}}\nports: [{port: 80}]\nendpoints: [{addresses: [10.0.0.1]}]")
	if _, err := client.DiscoveryV1().EndpointSlices("shop").Create(ctx, slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := <-heard.addrs; len(got) != 1 || got[0] != addrs("10.0.0.1")[0] {
		t.Errorf("affected by the slice: %v", got)
	}
	if err := client.CoreV1().Pods("shop").Delete(ctx, "web-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := <-heard.gone; len(got) != 1 || got[0] != web {
		t.Errorf("gone: %v", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Of what happens to an object while nobody looks, the last counts.
func TestABurstIsOneChange(t *testing.T) {
	p := newPending()
	for i := range 1000 {
		p.add(model.Change{ID: model.ID{Kind: model.KindNode, Name: "n"}, Object: &model.Node{Zone: string(rune('a' + i%26))}})
	}
	<-p.wake
	got := p.take()
	if len(got) != 1 || got[0].Object.(*model.Node).Zone != string(rune('a'+999%26)) || len(p.take()) > 0 {
		t.Errorf("%d changes", len(got))
	}
	select {
	case <-p.wake:
		t.Error("it wakes for what was taken")
	default:
	}
}
