package injector_test

import (
	"context"
	"net"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/injector"
	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// injected is a pod as the webhook leaves it.
func injected(name, serviceAccount, ip string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"app": serviceAccount}},
		Spec: corev1.PodSpec{ServiceAccountName: serviceAccount, InitContainers: []corev1.Container{{
			Name: mutate.Container, Env: []corev1.EnvVar{{Name: "OUTRIDER_CONFIG", Value: "spec: {inbound: [{capture: true}]}"}},
		}}},
		Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: ip}}},
	}
}

func accessPolicy(name, action string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "outrider.dev/v1alpha1", "kind": "AccessPolicy",
		"metadata": map[string]any{"namespace": "shop", "name": name, "generation": int64(1)},
		"spec": map[string]any{
			"action": action, "selector": map[string]any{"matchLabels": map[string]any{"app": "checkout"}}, "rules": []any{map[string]any{}},
		},
	}}
}

func inspectionPolicy(name string) *unstructured.Unstructured {
	p := accessPolicy(name, "")
	p.Object["kind"], p.Object["spec"] = "InspectionPolicy", map[string]any{"mode": "Detect"}
	return p
}

// A subscriber asks for documents as a sidecar does.
type subscriber struct {
	t    *testing.T
	wire discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
}

func subscribe(t *testing.T, src identity.Source, ls injector.Listeners, pod string) *subscriber {
	t.Helper()
	own, err := mtls.NewExpected(spiffeid.RequireFromString(mutate.ControlPlaneID("shop.example", system)))
	if err != nil {
		t.Fatal(err)
	}
	cc, err := grpc.NewClient(ls.Push.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(
		mtls.ClientConfig(src, mtls.ClientOptions{Expected: own, NextProtos: []string{"h2"}}))))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); _ = cc.Close() })
	wire, err := discovery.NewAggregatedDiscoveryServiceClient(cc).DeltaAggregatedResources(ctx, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	s := &subscriber{t, wire}
	node := new(core.Node)
	if err := proto.Unmarshal(push.Node{Namespace: "shop", Name: pod}.Append(nil), node); err != nil {
		t.Fatal(err)
	}
	s.say(&discovery.DeltaDiscoveryRequest{Node: node, TypeUrl: push.DocumentType, ResourceNamesSubscribe: []string{push.Wildcard}})
	return s
}

func (s *subscriber) say(r *discovery.DeltaDiscoveryRequest) {
	s.t.Helper()
	if err := s.wire.Send(r); err != nil {
		s.t.Fatal(err)
	}
}

// hear returns the contents of the next response, by name, and acknowledges it.
func (s *subscriber) hear() map[string]string {
	s.t.Helper()
	r, err := s.wire.Recv()
	if err != nil {
		s.t.Fatal(err)
	}
	s.say(&discovery.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()})
	all := map[string]string{}
	for _, res := range r.GetResources() {
		all[res.GetName()] = string(res.GetResource().GetValue())
	}
	for _, name := range r.GetRemovedResources() {
		all[name] = "removed"
	}
	return all
}

// From a token to documents and destinations, and what changes in the cluster to the
// sidecar.
func TestASidecarGetsItsDocuments(t *testing.T) {
	client, resources := cluster(), meshConfigs(accessPolicy("callers", "Allow"))
	for _, o := range []*corev1.Pod{injected("checkout-1", "checkout", "10.0.0.1"), injected("payments-1", "payments", "10.0.0.2")} {
		if err := client.Tracker().Add(o); err != nil {
			t.Fatal(err)
		}
	}
	reviewing(client)
	ctx, cancel := context.WithCancel(t.Context())
	ls := listeners(t)
	done, _ := run(ctx, t, client, injector.Options{
		Client: client, Resources: resources, Replica: "a", Listeners: ls, Mesh: mutate.Mesh{Image: "example.com/outrider:1"}, TrustDomain: "shop.example",
	})
	src := sidecar(t.Context(), t, client, ls.Issuer.Addr().String(), "good")
	eventually(t, "a sidecar has an identity", func() bool { return src.Current().Ready() })

	s := subscribe(t, src, ls, "checkout-1")
	first := s.hear()
	if len(first) != 2 || first["AccessPolicy/shop/callers"] == "" || first["Workload/shop/checkout-1"] == "" {
		t.Errorf("%v", first)
	}
	s.say(&discovery.DeltaDiscoveryRequest{TypeUrl: push.DestinationType, ResourceNamesSubscribe: []string{"10.0.0.2:8080"}})
	if got, want := s.hear()["10.0.0.2:8080"], `{"name":"payments-1.shop:8080","endpoints":[{"id":"spiffe://shop.example/ns/shop/sa/payments","at":["10.0.0.2:8080"]}]}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	policies := resources.Resource(v1alpha1.GroupVersion().WithResource("accesspolicies")).Namespace("shop")
	eventually(t, "its policy says that it has it", func() bool {
		u, err := policies.Get(ctx, "callers", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		summary, _, _ := unstructured.NestedString(u.Object, "status", "sidecars", "summary")
		return summary == "1/1"
	})
	if err := policies.Delete(ctx, "callers", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := s.hear(); got["AccessPolicy/shop/callers"] != "removed" {
		t.Errorf("%v", got)
	}
	if _, err := subscribe(t, src, ls, "payments-1").wire.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("another pod's documents: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The status that one replica writes is about the sidecars of both.
func TestAStatusIsAboutAllReplicas(t *testing.T) {
	client, resources := cluster(), meshConfigs(accessPolicy("callers", "Allow"))
	if err := client.Tracker().Add(injected("checkout-1", "checkout", "10.0.0.1")); err != nil {
		t.Fatal(err)
	}
	reviewing(client)
	ctx, cancel := context.WithCancel(t.Context())
	var ended []<-chan error
	start := func(replica string) injector.Listeners {
		ls := listeners(t)
		done, _ := run(ctx, t, client, injector.Options{
			Client: client, Resources: resources, Replica: replica, Listeners: ls, Mesh: mutate.Mesh{Image: "example.com/outrider:1"}, TrustDomain: "shop.example",
		})
		ended = append(ended, done)
		return ls
	}
	summary := func() string {
		u, err := resources.Resource(v1alpha1.GroupVersion().WithResource("accesspolicies")).Namespace("shop").Get(ctx, "callers", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		summary, _, _ := unstructured.NestedString(u.Object, "status", "sidecars", "summary")
		return summary
	}
	start("a")
	eventually(t, "the first replica leads and writes", func() bool { return summary() == "0/1" })
	other := start("b")
	src := sidecar(t.Context(), t, client, other.Issuer.Addr().String(), "good")
	eventually(t, "a sidecar has an identity", func() bool { return src.Current().Ready() })
	subscribe(t, src, other, "checkout-1").hear()
	name, port := "push", int32(other.Push.Addr().(*net.TCPAddr).Port)
	if _, err := client.DiscoveryV1().EndpointSlices(system).Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "replicas", Labels: map[string]string{discoveryv1.LabelServiceName: injector.Name}},
		Ports:      []discoveryv1.EndpointPort{{Name: &name, Port: &port}}, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"127.0.0.1"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the status has the sidecar of the other", func() bool { return summary() == "1/1" })
	cancel()
	for _, done := range ended {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
