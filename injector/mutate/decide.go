package mutate

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// A Verdict is what becomes of a pod.
type Verdict string

// The verdicts.
const (
	// Inject puts a sidecar into it.
	Inject Verdict = "inject"
	// Skip admits it as it is.
	Skip Verdict = "skip"
	// Refuse keeps it out of the cluster: it asked for protection that it can't
	// be given.
	Refuse Verdict = "refuse"
)

// A Reason is why. The set is closed; metrics and Events carry it.
type Reason string

// The reasons.
const (
	ReasonLabelled          Reason = "Labelled"
	ReasonNotLabelled       Reason = "NotLabelled"
	ReasonOptedOut          Reason = "OptedOut"
	ReasonInvalidLabel      Reason = "InvalidLabel"
	ReasonSystemNamespace   Reason = "SystemNamespace"
	ReasonHostNetwork       Reason = "HostNetwork"
	ReasonWindows           Reason = "Windows"
	ReasonStaticPod         Reason = "StaticPod"
	ReasonUserInUse         Reason = "UserInUse"
	ReasonNameInUse         Reason = "NameInUse"
	ReasonPortInUse         Reason = "PortInUse"
	ReasonInvalidAnnotation Reason = "InvalidAnnotation"
	ReasonInvalidStatus     Reason = "InvalidStatus"
)

// Reasons lists all of them.
func Reasons() []Reason {
	return []Reason{
		ReasonLabelled, ReasonNotLabelled, ReasonOptedOut, ReasonInvalidLabel, ReasonSystemNamespace, ReasonHostNetwork,
		ReasonWindows, ReasonStaticPod, ReasonUserInUse, ReasonNameInUse, ReasonPortInUse, ReasonInvalidAnnotation, ReasonInvalidStatus,
	}
}

// A Decision is a verdict with its reason.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	// Detail is for people: what exactly, and what to do.
	Detail string
}

// String is the decision in one line.
func (d Decision) String() string {
	s := fmt.Sprintf("%s: %s", d.Verdict, d.Reason)
	if d.Detail != "" {
		s += ": " + d.Detail
	}
	return s
}

// mirror marks pods that the kubelet runs from a file; the API server only shows
// them, so nothing that is changed there has an effect.
const mirror = "kubernetes.io/config.mirror"

// choose decides by labels, and by what no sidecar could work with. A pod that
// only lives in a labelled namespace is left alone when it can't have a sidecar;
// one that is labelled itself is refused, for it would run without what it asks for.
func (m Mesh) choose(pod *corev1.Pod, ns Namespace) Decision {
	if slices.Contains(append(systemNamespaces[:], m.namespace()), ns.Name) {
		return Decision{Skip, ReasonSystemNamespace, fmt.Sprintf("pods of %s are never injected", ns.Name)}
	}
	asked, d := opted(pod, ns)
	if d.Verdict != Inject {
		return d
	}
	otherwise := Skip
	if asked {
		otherwise = Refuse
	}
	switch {
	case pod.Annotations[mirror] != "":
		return Decision{Skip, ReasonStaticPod, "static pods are run from a file on their node"}
	case windows(pod):
		return Decision{otherwise, ReasonWindows, "the sidecar runs on Linux; remove the label " + Label}
	case pod.Spec.HostNetwork:
		return Decision{otherwise, ReasonHostNetwork, "the pod uses its node's network, where a sidecar would redirect the traffic of the node; remove hostNetwork or the label " + Label}
	}
	return d
}

// opted reads the labels, and tells whether that of the pod itself asks.
func opted(pod *corev1.Pod, ns Namespace) (asked bool, _ Decision) {
	value, of := ns.Labels[Label], "namespace "+ns.Name
	if own, ok := pod.Labels[Label]; ok {
		value, of, asked = own, "pod", true
	}
	switch value {
	case Enabled:
		return asked, Decision{Inject, ReasonLabelled, "by the label of the " + of}
	case Disabled:
		return asked, Decision{Skip, ReasonOptedOut, "by the label of the " + of}
	case "":
		if !asked {
			return asked, Decision{Skip, ReasonNotLabelled, ""}
		}
	}
	return asked, Decision{Skip, ReasonInvalidLabel, fmt.Sprintf("%s=%q of the %s is neither %s nor %s", Label, value, of, Enabled, Disabled)}
}

func windows(pod *corev1.Pod) bool {
	return pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows || pod.Spec.NodeSelector[corev1.LabelOSStable] == "windows"
}

// clash refuses pods in which the sidecar would be somebody else too.
func clash(pod *corev1.Pod, uid int64) *Decision {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name == Container || c.Name == InitContainer {
			return &Decision{Refuse, ReasonNameInUse, fmt.Sprintf("the pod has a container %s of its own; rename it", c.Name)}
		}
		if as := runsAs(pod, c); as != nil && *as == uid {
			return &Decision{Refuse, ReasonUserInUse, fmt.Sprintf("container %s runs as user %d, whose traffic passes by the sidecar; choose another runAsUser", c.Name, uid)}
		}
		for _, p := range c.Ports {
			if slices.Contains(ownPorts[:], p.ContainerPort) {
				return &Decision{Refuse, ReasonPortInUse, fmt.Sprintf("container %s has port %d, which is the sidecar's; choose another", c.Name, p.ContainerPort)}
			}
		}
	}
	for _, v := range pod.Spec.Volumes {
		if ourVolume(v.Name) {
			return &Decision{Refuse, ReasonNameInUse, fmt.Sprintf("the pod has a volume %s of its own; rename it", v.Name)}
		}
	}
	return nil
}

// runsAs is the user that a container is told to run as; nil if only its image
// says.
func runsAs(pod *corev1.Pod, c corev1.Container) *int64 {
	if s := c.SecurityContext; s != nil && s.RunAsUser != nil {
		return s.RunAsUser
	}
	if s := pod.Spec.SecurityContext; s != nil {
		return s.RunAsUser
	}
	return nil
}
