package reconcile

import (
	"encoding/json"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/injector/reconcile/model"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// A trimmed object is what is kept of one of the API server's, whose own would be ten
// times as large.
type trimmed struct {
	metav1.ObjectMeta // namespace, name and resource version

	id     model.ID
	is     any                    // as the model has it
	status *v1alpha1.PolicyStatus // of a document
}

// trim is a [cache.TransformFunc] for every kind of objects. Policies in the root
// namespace are about the whole mesh.
func trim(root string) func(any) (any, error) {
	return func(o any) (any, error) {
		var t *trimmed
		switch o := o.(type) {
		case *corev1.Pod:
			t = trimmedFrom(model.KindPod, o, podOf(o))
		case *corev1.Service:
			t = trimmedFrom(model.KindService, o, serviceOf(o))
		case *discoveryv1.EndpointSlice:
			t = trimmedFrom(model.KindSlice, o, sliceOf(o))
		case *corev1.Node:
			t = trimmedFrom(model.KindNode, o, &model.Node{Zone: o.Labels[corev1.LabelTopologyZone]})
		case *unstructured.Unstructured:
			status := statusOf(o)
			t = trimmedFrom(model.Kind(o.GetKind()), o, documentOf(o, root, status.Revision))
			t.status = &status
		default:
			return o, nil // trimmed already, or the mark of a deletion
		}
		return t, nil
	}
}

func trimmedFrom(kind model.Kind, o metav1.Object, is any) *trimmed {
	return &trimmed{
		ObjectMeta: metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName(), ResourceVersion: o.GetResourceVersion()},
		id:         model.ID{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}, is: is,
	}
}

func podOf(p *corev1.Pod) *model.Pod {
	pod := &model.Pod{
		Labels: p.Labels, ServiceAccount: p.Spec.ServiceAccountName, Node: p.Spec.NodeName, Created: p.CreationTimestamp.Unix(),
		Ended: p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed,
	}
	if g := mutate.GuardOf(p); g != nil {
		pod.Sidecar = &model.Sidecar{Captures: g.Captures, Ports: g.Ports}
	}
	if ports := mutate.Declared(p); len(ports) > 0 {
		pod.Ports = ports
	}
	if p.Spec.HostNetwork {
		return pod // its address is the node's, and that of other pods
	}
	for _, ip := range p.Status.PodIPs {
		if a, ok := address(ip.IP); ok {
			pod.Addrs = append(pod.Addrs, a)
		}
	}
	return pod
}

// address reads one that can be called.
func address(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	return a, err == nil && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast()
}

func serviceOf(s *corev1.Service) *model.Service {
	service := &model.Service{}
	for _, ip := range s.Spec.ClusterIPs {
		if a, ok := address(ip); ok { // or it is "None"
			service.Addrs = append(service.Addrs, a)
		}
	}
	for _, p := range s.Spec.Ports {
		if n, ok := number(p.Port); ok && tcp(p.Protocol) {
			service.Ports = append(service.Ports, model.Port{Name: p.Name, Number: n, Protocol: mutate.Protocol(p.AppProtocol, p.Name)})
		}
	}
	return service
}

func sliceOf(s *discoveryv1.EndpointSlice) *model.Slice {
	slice := &model.Slice{Service: s.Labels[discoveryv1.LabelServiceName]}
	for _, p := range s.Ports {
		if p.Port == nil || p.Protocol != nil && !tcp(*p.Protocol) {
			continue
		}
		if n, ok := number(*p.Port); ok {
			name := or(p.Name, "")
			slice.Ports = append(slice.Ports, model.Port{Name: name, Number: n, Protocol: mutate.Protocol(p.AppProtocol, name)})
		}
	}
	for _, e := range s.Endpoints {
		if len(e.Addresses) == 0 {
			continue
		}
		// The API has all but the first for no purpose (discovery/v1, Endpoint).
		a, ok := address(e.Addresses[0])
		if !ok {
			continue // such as the name in a slice of names
		}
		ready := or(e.Conditions.Ready, true)
		slice.Endpoints = append(slice.Endpoints, model.Endpoint{
			Addr: a, Zone: or(e.Zone, ""), Ready: ready,
			Ending: or(e.Conditions.Terminating, false) && or(e.Conditions.Serving, ready),
		})
	}
	return slice
}

func tcp(p corev1.Protocol) bool { return p == "" || p == corev1.ProtocolTCP }

func number(port int32) (uint16, bool) { return uint16(port), port > 0 && port <= 65535 } //nolint:gosec // checked beside it

// or is what p points to.
func or[T any](p *T, fallback T) T {
	if p == nil {
		return fallback
	}
	return *p
}

// documentOf is a document as a sidecar reads it: what it says and what it is called,
// and nothing of what tools note in its metadata.
func documentOf(u *unstructured.Unstructured, root, revision string) *model.Document {
	d := &model.Document{Scope: u.GetNamespace(), Generation: u.GetGeneration(), Revision: revision}
	if d.Scope == root || u.GetKind() == config.KindMeshConfig {
		d.Scope = ""
	}
	metadata := map[string]any{"name": u.GetName()}
	if d.Scope != "" {
		metadata["namespace"] = d.Scope
	}
	text, err := json.Marshal(map[string]any{"apiVersion": config.APIVersion, "kind": u.GetKind(), "metadata": metadata, "spec": u.Object["spec"]})
	if err != nil {
		text = []byte(err.Error()) // it was JSON before, so this can't be; it is no document then
	}
	d.Text = text
	return d
}

// statusOf is that of a document; one that can't be read is none.
func statusOf(u *unstructured.Unstructured) v1alpha1.PolicyStatus {
	var status v1alpha1.PolicyStatus
	raw, _, err := unstructured.NestedMap(u.Object, "status")
	if err != nil || runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &status) != nil {
		return v1alpha1.PolicyStatus{}
	}
	return status
}
