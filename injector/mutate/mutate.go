package mutate

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// An Outcome is what was decided about a pod, and what people should know of it.
type Outcome struct {
	Decision
	// Remarks are about what works otherwise than one might expect.
	Remarks []string
}

// Inject returns the pod with a sidecar, or as it is if the outcome says so; the pod
// itself is not changed. It never returns nil.
func (m Mesh) Inject(pod *corev1.Pod, ns Namespace) (*corev1.Pod, Outcome) {
	d := m.choose(pod, ns)
	if d.Verdict != Inject {
		return pod.DeepCopy(), Outcome{Decision: d}
	}
	bare, kept := pod.DeepCopy(), map[string]added{}
	if Injected(pod) {
		var err error
		if bare, kept, err = remove(pod); err != nil {
			return pod.DeepCopy(), refused(ReasonInvalidStatus, err)
		}
	}
	s, err := m.settings(bare, ns)
	if err != nil {
		return pod.DeepCopy(), refused(ReasonInvalidAnnotation, err)
	}
	if c := clash(bare, s.uid); c != nil {
		return pod.DeepCopy(), Outcome{Decision: *c}
	}
	out := Outcome{Decision: d, Remarks: remarks(bare)}
	more, err := m.add(bare, ns, s, kept)
	if err != nil {
		return pod.DeepCopy(), refused(ReasonInvalidAnnotation, err)
	}
	out.Remarks = append(out.Remarks, more...)
	return bare, out
}

func refused(why Reason, err error) Outcome {
	return Outcome{Decision: Decision{Refuse, why, err.Error()}}
}

// add puts the sidecar into the pod.
func (m Mesh) add(pod *corev1.Pod, ns Namespace, s settings, kept map[string]added) (remarks []string, err error) {
	class := guaranteed(pod)
	note := status{Version: m.Version, Image: s.image}
	c := sidecar(pod, ns, s, nil)
	if s.rewriteProbes && s.capture != captureNone {
		c.Spec.Probes, note.Probes, remarks = rewrite(pod, s)
	}
	text, err := m.text(c)
	if err != nil {
		return nil, fmt.Errorf("the sidecar could not use what these annotations make: %w", err)
	}
	ours := m.containers(s, text, class)
	for i := range ours {
		kept[ours[i].Name].keep(&ours[i])
	}
	pod.Spec.InitContainers = append(ours, pod.Spec.InitContainers...)
	pod.Spec.Volumes = append(pod.Spec.Volumes, m.volumes()...)
	return remarks, note.write(pod)
}

// Template injects what a workload makes pods of, as if it were one of these pods.
// Its owner's name is that of the pods.
func (m Mesh) Template(template *corev1.PodTemplateSpec, owner string, ns Namespace) (*corev1.PodTemplateSpec, Outcome) {
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.GenerateName = owner + "-"
	pod, out := m.Inject(pod, ns)
	pod.GenerateName = template.GenerateName
	return &corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}, out
}

// RemoveTemplate is [Remove] for what a workload makes pods of.
func RemoveTemplate(template *corev1.PodTemplateSpec) (*corev1.PodTemplateSpec, bool, error) {
	pod, had, err := Remove(&corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec})
	if err != nil {
		return nil, had, err
	}
	return &corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}, had, nil
}
