package reconcile

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/outrider-mesh/outrider/injector/reconcile/model"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// read is an object as people write it.
func read[T any](t testing.TB, text string) *T {
	t.Helper()
	o := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), o); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return o
}

func unstructuredOf(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return u
}

var addresses = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// is trims an object and returns what the model gets.
func is(t *testing.T, o runtime.Object) any {
	t.Helper()
	once, err := trim("outrider-system")(o)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := trim("outrider-system")(once); err != nil || again != once {
		t.Error("trimming twice is not trimming once")
	}
	return once.(*trimmed).is
}

func addrs(list ...string) (all []netip.Addr) {
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

const sidecar = `
  initContainers:
  - name: outrider
    env: [{name: OUTRIDER_CONFIG, value: "{spec: {inbound: [{capture: true}], capture: {inbound: {excludePorts: [22]}}}}"}]`

func TestWhatObjectsMean(t *testing.T) {
	const meta = "metadata: {namespace: shop, name: web, labels: {app: web, kubernetes.io/service-name: web}, creationTimestamp: 2026-01-02T03:04:05Z}\n"
	cases := []struct {
		name string
		o    runtime.Object
		want any
	}{
		{"a pod", read[corev1.Pod](t, meta+"spec:\n  serviceAccountName: sa\n  nodeName: n1\n  containers: [{name: a, ports: [{name: http-x, containerPort: 8080}]}]"+sidecar+"\nstatus: {phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}"), &model.Pod{
			Labels: map[string]string{"app": "web", "kubernetes.io/service-name": "web"}, ServiceAccount: "sa", Node: "n1", Created: 1767323045,
			Addrs: addrs("10.0.0.1", "fd00::1"), Sidecar: &model.Sidecar{Captures: true, Ports: []uint16{22, 15020, 15021}}, Ports: map[uint16]config.Protocol{8080: config.HTTP},
		}},
		{"one without a sidecar that has ended", read[corev1.Pod](t, "metadata: {namespace: a, name: b, creationTimestamp: 1970-01-01T00:00:01Z}\nspec: {serviceAccountName: sa}\nstatus: {phase: Failed, podIPs: [{ip: 10.0.0.1}]}"), &model.Pod{
			ServiceAccount: "sa", Created: 1, Ended: true, Addrs: addrs("10.0.0.1"),
		}},
		{"one in its node's network", read[corev1.Pod](t, "metadata: {namespace: a, name: b, creationTimestamp: 1970-01-01T00:00:01Z}\nspec: {serviceAccountName: sa, hostNetwork: true}\nstatus: {podIPs: [{ip: 10.0.0.1}]}"), &model.Pod{ServiceAccount: "sa", Created: 1}},
		{"a service", read[corev1.Service](t, meta+"spec: {clusterIPs: [10.96.0.1, 'fd96::1'], ports: [{name: grpc, port: 80}, {name: dns, port: 53, protocol: UDP}, {port: 5432, appProtocol: tcp}]}"), &model.Service{
			Addrs: addrs("10.96.0.1", "fd96::1"), Ports: []model.Port{{Name: "grpc", Number: 80, Protocol: config.HTTP}, {Number: 5432, Protocol: config.TCP}},
		}},
		{"a headless one", read[corev1.Service](t, meta+"spec: {clusterIPs: [None], ports: [{port: 80}]}"), &model.Service{Ports: []model.Port{{Number: 80}}}},
		{"a slice", read[discoveryv1.EndpointSlice](t, meta+`addressType: IPv4
ports: [{name: http, port: 8080}, {name: dns, port: 53, protocol: UDP}, {name: any}]
endpoints:
- {addresses: [10.0.0.1, 10.0.0.9], zone: z}
- {addresses: [10.0.0.2], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.0.0.3], conditions: {ready: false, serving: false, terminating: true}}
- {addresses: [10.0.0.4], conditions: {ready: false}}
- {addresses: ['::ffff:10.0.0.5']}
- {addresses: [0.0.0.0]}
- {addresses: []}`), &model.Slice{Service: "web", Ports: []model.Port{{Name: "http", Number: 8080, Protocol: config.HTTP}}, Endpoints: []model.Endpoint{
			{Addr: addrs("10.0.0.1")[0], Zone: "z", Ready: true}, {Addr: addrs("10.0.0.2")[0], Ending: true}, {Addr: addrs("10.0.0.3")[0]}, {Addr: addrs("10.0.0.4")[0]},
		}}},
		{"a slice of names", read[discoveryv1.EndpointSlice](t, meta+"addressType: FQDN\nendpoints: [{addresses: [example.org]}]"), &model.Slice{Service: "web"}},
		{"a node", read[corev1.Node](t, "metadata: {name: n1, labels: {topology.kubernetes.io/zone: z}}"), &model.Node{Zone: "z"}},
		{"a policy", unstructuredOf(t, "apiVersion: outrider.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {namespace: shop, name: web, generation: 3, annotations: {kubectl: x}}\nspec: {action: Allow}\nstatus: {revision: r}"), &model.Document{
			Scope: "shop", Generation: 3, Revision: "r", Text: []byte(`{"apiVersion":"outrider.dev/v1alpha1","kind":"AccessPolicy","metadata":{"name":"web","namespace":"shop"},"spec":{"action":"Allow"}}`),
		}},
		{"a policy of the mesh", unstructuredOf(t, "kind: AccessPolicy\nmetadata: {namespace: outrider-system, name: web}\nspec: {action: Deny}\nstatus: 3"), &model.Document{
			Text: []byte(`{"apiVersion":"outrider.dev/v1alpha1","kind":"AccessPolicy","metadata":{"name":"web"},"spec":{"action":"Deny"}}`),
		}},
		{"a MeshConfig", unstructuredOf(t, "kind: MeshConfig\nmetadata: {name: mesh}"), &model.Document{
			Text: []byte(`{"apiVersion":"outrider.dev/v1alpha1","kind":"MeshConfig","metadata":{"name":"mesh"},"spec":null}`),
		}},
	}
	if len(cases) < 11 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, is(t, c.o), addresses); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever somebody manages to have the API server keep, what becomes of it can be
// called or is left out, and nothing of it is taken for a document that it is not.
func FuzzObjects(f *testing.F) {
	f.Add("10.0.0.1", int32(80), "http", "AccessPolicy", `{"action":"Allow"}`)
	f.Add("::ffff:1.2.3.4", int32(-1), "", "MeshConfig", `[]`)
	f.Fuzz(func(t *testing.T, ip string, port int32, name, kind, spec string) {
		s := sliceOf(&discoveryv1.EndpointSlice{
			Ports:     []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{ip}}},
		})
		for _, e := range s.Endpoints {
			if !e.Addr.IsValid() || e.Addr.IsUnspecified() || e.Addr.Is4In6() || e.Addr.Zone() != "" {
				t.Fatalf("%q is called at %s", ip, e.Addr)
			}
		}
		for _, p := range s.Ports {
			if p.Number == 0 || int32(p.Number) != port {
				t.Fatalf("port %d is %d", port, p.Number)
			}
		}
		var parsed any
		if yaml.Unmarshal([]byte(spec), &parsed) != nil {
			return
		}
		u := &unstructured.Unstructured{Object: map[string]any{"kind": kind, "metadata": map[string]any{"name": name, "namespace": "shop"}, "spec": parsed}}
		d := documentOf(u, "outrider-system", "")
		docs, err := config.ParseDocuments([]config.File{{Name: "x", Data: d.Text}})
		if err != nil {
			return
		}
		for _, p := range docs.Access {
			if kind != config.KindAccessPolicy || p.Metadata.Namespace != "shop" || p.Metadata.Name != name {
				t.Fatalf("%s %s becomes %+v", kind, name, p.Metadata)
			}
		}
		if strings.Count(string(d.Text), "\n") > 0 {
			t.Fatalf("more than one document: %q", d.Text)
		}
	})
}

var _ metav1.Object = (*trimmed)(nil)
