package mutate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// status is what an injected pod says was done to it, in [StatusAnnotation].
type status struct {
	// Version is the injector's.
	Version string `json:"version,omitempty"`
	// Image is what the sidecar was given; another one there since is somebody
	// else's wish, and stays.
	Image string `json:"image"`
	// Probes are what stood there before, by name.
	Probes map[string]original `json:"probes,omitempty"`
}

func (s status) write(pod *corev1.Pod) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write the annotation %s: %w", StatusAnnotation, err)
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[StatusAnnotation] = string(text)
	return nil
}

// added is what others have done to our containers since: it is kept where it can't
// hurt, so that injecting again doesn't undo it.
type added struct {
	image  string // empty: that of the settings
	mounts []corev1.VolumeMount
	env    []corev1.EnvVar
}

// Injected tells whether the pod has a sidecar of ours.
func Injected(pod *corev1.Pod) bool {
	_, ok := pod.Annotations[StatusAnnotation]
	return ok
}

// Remove returns the pod without its sidecar, as it was before, and whether it had
// one. The pod itself is not changed. The error is about a status that can't be read.
func Remove(pod *corev1.Pod) (*corev1.Pod, bool, error) {
	if !Injected(pod) {
		return pod.DeepCopy(), false, nil
	}
	bare, _, err := remove(pod)
	return bare, true, err
}

func remove(pod *corev1.Pod) (*corev1.Pod, map[string]added, error) {
	var s status
	if err := json.Unmarshal([]byte(pod.Annotations[StatusAnnotation]), &s); err != nil {
		return nil, nil, fmt.Errorf("the annotation %s can't be read (%w); remove it, and the containers of the sidecar with it", StatusAnnotation, err)
	}
	pod = pod.DeepCopy()
	delete(pod.Annotations, StatusAnnotation)
	if len(pod.Annotations) == 0 {
		pod.Annotations = nil
	}
	kept := map[string]added{}
	pod.Spec.InitContainers = slices.DeleteFunc(pod.Spec.InitContainers, func(c corev1.Container) bool {
		ours := c.Name == Container || c.Name == InitContainer
		if ours {
			kept[c.Name] = foreign(c, s.Image)
		}
		return ours
	})
	if len(pod.Spec.InitContainers) == 0 {
		pod.Spec.InitContainers = nil
	}
	pod.Spec.Volumes = slices.DeleteFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return ourVolume(v.Name) })
	if len(pod.Spec.Volumes) == 0 {
		pod.Spec.Volumes = nil
	}
	restore(pod, s.Probes)
	return pod, kept, nil
}

// foreign is what of our container is not ours.
func foreign(c corev1.Container, image string) added {
	var a added
	if c.Image != image {
		a.image = c.Image
	}
	for _, m := range c.VolumeMounts {
		if !ourVolume(m.Name) {
			a.mounts = append(a.mounts, m)
		}
	}
	for _, e := range c.Env {
		if e.Name != configVariable && e.Name != podVariable && e.Name != "GOMEMLIMIT" {
			a.env = append(a.env, e)
		}
	}
	return a
}

// keep puts it back. Nothing is mounted where something of ours is.
func (a added) keep(c *corev1.Container) {
	c.Image = or(a.image, c.Image)
	taken := map[string]bool{}
	for _, m := range c.VolumeMounts {
		taken[m.MountPath] = true
	}
	for _, m := range a.mounts {
		if !taken[m.MountPath] {
			c.VolumeMounts = append(c.VolumeMounts, m)
		}
	}
	c.Env = append(c.Env, a.env...)
}

// remarks about what the sidecar can't see or could be passed by.
func remarks(pod *corev1.Pod) []string {
	found := map[string]bool{}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, p := range c.Ports {
			if p.Protocol == corev1.ProtocolUDP || p.Protocol == corev1.ProtocolSCTP {
				found[fmt.Sprintf("container %s: port %d is %s, which the sidecar does not see", c.Name, p.ContainerPort, p.Protocol)] = true
			}
		}
		if powerful(c.SecurityContext) {
			found[fmt.Sprintf("container %s is privileged or has NET_ADMIN: it could remove the redirection", c.Name)] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func powerful(s *corev1.SecurityContext) bool {
	if s == nil {
		return false
	}
	return s.Privileged != nil && *s.Privileged ||
		s.Capabilities != nil && slices.ContainsFunc(s.Capabilities.Add, func(c corev1.Capability) bool {
			return c == "ALL" || c == "NET_ADMIN" || c == "CAP_NET_ADMIN" || c == "SYS_ADMIN"
		})
}
