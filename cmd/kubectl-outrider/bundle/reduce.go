package bundle

import (
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/survey"
	"github.com/outrider-mesh/outrider/injector/mutate"
)

// What is taken of objects: only what is known to be harmless. Environment, commands,
// volumes, and annotations that are not ours stay where they are.
type (
	object struct {
		Namespace   string            `json:"namespace,omitempty"`
		Name        string            `json:"name"`
		Created     time.Time         `json:"created,omitzero"`
		Labels      map[string]string `json:"labels,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	container struct {
		Name  string                 `json:"name"`
		Image string                 `json:"image"`
		Ports []corev1.ContainerPort `json:"ports,omitempty"`
	}
	pod struct {
		object

		Workload       string                   `json:"workload"`
		Injected       bool                     `json:"injected"`
		ServiceAccount string                   `json:"serviceAccount"`
		HostNetwork    bool                     `json:"hostNetwork,omitempty"`
		Init           []container              `json:"initContainers,omitempty"`
		Containers     []container              `json:"containers"`
		Phase          corev1.PodPhase          `json:"phase"`
		Conditions     []corev1.PodCondition    `json:"conditions,omitempty"`
		Statuses       []corev1.ContainerStatus `json:"containerStatuses,omitempty"`
	}
	service struct {
		object

		Selector map[string]string    `json:"selector,omitempty"`
		Type     corev1.ServiceType   `json:"type"`
		Ports    []corev1.ServicePort `json:"ports"`
	}
	deployment struct {
		object

		// Args are the control plane's own, none of which is a secret.
		Args   []string                `json:"args"`
		Image  string                  `json:"image"`
		Status appsv1.DeploymentStatus `json:"status"`
	}
)

// ours are the annotations of our prefix; the status annotation holds the probes of the
// application, whose headers may be secret.
func ours(all map[string]string) map[string]string {
	some := map[string]string{}
	for name, value := range all {
		if strings.HasPrefix(name, mutate.Prefix) && name != mutate.StatusAnnotation {
			some[name] = value
		}
	}
	return some
}

func reducePod(p *survey.Pod) pod {
	return pod{
		object:   object{p.Namespace, p.Name, p.CreationTimestamp.Time, p.Labels, ours(p.Annotations)},
		Workload: mutate.Workload(&p.Pod), Injected: p.Injected(), ServiceAccount: p.Spec.ServiceAccountName, HostNetwork: p.Spec.HostNetwork,
		Init: reduceContainers(p.Spec.InitContainers), Containers: reduceContainers(p.Spec.Containers),
		Phase: p.Status.Phase, Conditions: p.Status.Conditions, Statuses: append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...),
	}
}

func reduceContainers(all []corev1.Container) []container {
	var some []container
	for _, c := range all {
		some = append(some, container{c.Name, c.Image, c.Ports})
	}
	return some
}

func reduceService(s *corev1.Service) service {
	return service{object{s.Namespace, s.Name, s.CreationTimestamp.Time, s.Labels, nil}, s.Spec.Selector, s.Spec.Type, s.Spec.Ports}
}

func reduceDeployment(d *appsv1.Deployment) deployment {
	out := deployment{object: object{d.Namespace, d.Name, d.CreationTimestamp.Time, d.Labels, nil}, Status: d.Status}
	for _, c := range d.Spec.Template.Spec.Containers {
		out.Args, out.Image = append(out.Args, c.Args...), c.Image
	}
	return out
}
