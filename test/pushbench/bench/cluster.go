package bench

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/outrider-mesh/outrider/injector/mutate"
)

// The cluster: pods of a thousand deployments in ten namespaces. Each pod is an endpoint
// of two services, so each service has ten endpoints.
const (
	namespaces = 10
	services   = 1000
	pods       = 5000
	endpoints  = 2 * pods

	domain = "cluster.local"
	root   = mutate.ControlPlaneNamespace
)

func namespaceOf(i int) string { return fmt.Sprintf("team-%d", i%namespaces) }
func podName(j int) string     { return fmt.Sprintf("app-%d-%d", j%services, j/services) }
func accountOf(j int) string   { return fmt.Sprintf("app-%d", j%services) }
func addressOf(j int) string   { return fmt.Sprintf("10.1.%d.%d", j/250, j%250+1) }
func serviceName(i int) string { return fmt.Sprintf("service-%d", i) }
func clusterIP(i int) string   { return fmt.Sprintf("10.96.%d.%d", i/250, i%250+1) }
func identityOf(j int) string {
	return fmt.Sprintf("spiffe://%s/ns/%s/sa/%s", domain, namespaceOf(j), accountOf(j))
}

// members are the pods of a service.
func members(i int) []int {
	var all []int
	for j := i; j < pods; j += services {
		all = append(all, j, (j+services/2)%services+j/services*services)
	}
	return all
}

// objects are what the API server has, policies aside.
func objects() ([]runtime.Object, error) {
	var all []runtime.Object
	for n := range 20 {
		all = append(all, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", n), Labels: map[string]string{corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", n%3)}}})
	}
	mesh := mutate.Mesh{
		Image: "example.com/outrider:1", ControlPlane: mutate.ControlPlaneAddress(root), ControlPlaneID: mutate.ControlPlaneID(domain, root),
	}
	for j := range pods {
		pod, outcome := mesh.Inject(pod(j), mutate.Namespace{Name: namespaceOf(j)})
		if pod == nil {
			return nil, fmt.Errorf("a pod of the benchmark is not injected: %v", outcome)
		}
		all = append(all, pod)
	}
	for i := range services {
		all = append(all, service(i), slice(i, false))
	}
	return all, nil
}

// pod is one as a Deployment makes it, without a sidecar.
func pod(j int) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespaceOf(j), Name: podName(j),
			Labels: map[string]string{"app": accountOf(j), "instance": podName(j), "team": namespaceOf(j), mutate.Label: mutate.Enabled},
		},
		Spec: corev1.PodSpec{
			ServiceAccountName: accountOf(j), NodeName: fmt.Sprintf("node-%d", j%20),
			Containers: []corev1.Container{{
				Name: "app", Image: "example.com/app:1", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
				Env: []corev1.EnvVar{{Name: "DATABASE", Value: "db.example.com"}, {Name: "LOG_LEVEL", Value: "info"}},
			}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: addressOf(j)}}},
	}
}

func service(i int) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespaceOf(i), Name: serviceName(i)},
		Spec:       corev1.ServiceSpec{ClusterIPs: []string{clusterIP(i)}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
}

// slice has all endpoints of a service, of which one may be not ready.
func slice(i int, oneIsNot bool) *discoveryv1.EndpointSlice {
	name, port, not := "http", int32(8080), false
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespaceOf(i), Name: serviceName(i), Labels: map[string]string{discoveryv1.LabelServiceName: serviceName(i)}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
	for _, j := range members(i) {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{addressOf(j)}})
	}
	if oneIsNot {
		s.Endpoints[0].Conditions.Ready = &not
	}
	return s
}

// policies are one for each deployment, one of the mesh and the MeshConfig.
func policies() []runtime.Object {
	all := []runtime.Object{policy(root, "floor", nil, 0), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "outrider.dev/v1alpha1", "kind": "MeshConfig", "metadata": map[string]any{"name": "mesh"}, "spec": map[string]any{"mtls": "Strict"},
	}}}
	for i := range services {
		all = append(all, policy(namespaceOf(i), "callers-"+accountOf(i), map[string]any{"app": accountOf(i)}, 0))
	}
	return all
}

// policy is one of some 600 bytes; another version of it says something else.
func policy(namespace, name string, labels map[string]any, version int) *unstructured.Unstructured {
	spec := map[string]any{
		"action": "Allow",
		"rules": []any{map[string]any{
			"from": []any{map[string]any{"principals": []any{"spiffe://" + domain + "/ns/team-0/sa/app-0", "spiffe://" + domain + "/ns/team-1/sa/app-1"}}},
			"to": []any{map[string]any{
				"ports": []any{int64(8080)}, "methods": []any{"GET", "POST"},
				"paths": []any{"/v1/charges", "/v1/charges/{*}", "/v1/refunds/{*}", fmt.Sprintf("/v1/version-%d", version)},
			}},
		}},
	}
	if labels != nil {
		spec["selector"] = map[string]any{"matchLabels": labels}
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "outrider.dev/v1alpha1", "kind": "AccessPolicy",
		"metadata": map[string]any{"namespace": namespace, "name": name, "generation": int64(version + 1)},
		"spec":     spec,
	}}
}
