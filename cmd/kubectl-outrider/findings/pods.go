package findings

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/survey"
	"github.com/outrider-mesh/outrider/injector/mutate"
)

const (
	// svidMargin: an SVID of an hour is replaced after half of it.
	svidMargin = 10 * time.Minute
	// rootMargin leaves time to replace a root in phases.
	rootMargin = 60 * 24 * time.Hour
	// maxNamed bounds the callers that a finding names.
	maxNamed = 5
)

func (c *checker) namespaces() {
	for _, name := range slices.Sorted(maps.Keys(c.survey.Namespaces)) {
		c.label("namespace "+name, c.survey.Namespaces[name].Labels)
	}
}

func (c *checker) label(object string, labels map[string]string) {
	value, ok := labels[mutate.Label]
	if ok && value != mutate.Enabled && value != mutate.Disabled {
		c.add(LabelNotUnderstood, object, "", "its label %s is %q", mutate.Label, value)
	}
}

func (c *checker) pods() {
	image := c.image()
	for i := range c.survey.Pods {
		p := &c.survey.Pods[i]
		c.label("pod "+p.String(), p.Labels)
		if !p.Injected() {
			c.bare(p)
			continue
		}
		c.container(p)
		c.outdated(p, image)
		c.facts(p)
	}
}

// image is the one that the control plane gives to new pods; empty if not known.
func (c *checker) image() string {
	if c.survey.ControlPlane == nil {
		return ""
	}
	for _, container := range c.survey.ControlPlane.Spec.Template.Spec.Containers {
		for _, arg := range container.Args {
			if image, ok := strings.CutPrefix(arg, "--image="); ok {
				return image
			}
		}
	}
	return ""
}

// bare asks what would become of a pod today, by the same function as the webhook.
func (c *checker) bare(p *survey.Pod) {
	ns, known := c.survey.Namespaces[p.Namespace]
	if !known {
		return
	}
	mesh := mutate.Mesh{Image: "any", ControlPlane: "any:1", ControlPlaneID: "spiffe://any/any", Namespace: c.survey.System}
	// The API server mounts a token, and the scheduler chooses a node, which changes
	// nothing here.
	_, outcome := mesh.Inject(&p.Pod, mutate.Namespace{Name: ns.Name, Labels: ns.Labels, Annotations: ns.Annotations})
	switch outcome.Verdict {
	case mutate.Inject:
		c.add(PodWithoutSidecar, "pod "+p.String(), "", "has no sidecar, and its label or that of its namespace asks for one")
	case mutate.Refuse:
		c.add(PodRefused, "pod "+p.String(), "", "%s: %s", outcome.Reason, outcome.Detail)
	case mutate.Skip:
	}
}

// container looks at what the kubelet says of the sidecar.
func (c *checker) container(p *survey.Pod) {
	for _, s := range p.Status.InitContainerStatuses {
		if s.Name != mutate.Container || s.Ready {
			continue
		}
		c.add(SidecarNotReady, "pod "+p.String(), "kubectl -n "+p.Namespace+" logs "+p.Name+" -c "+mutate.Container, "its sidecar is not ready%s", because(s))
	}
}

func because(s corev1.ContainerStatus) string {
	switch {
	case s.State.Waiting != nil && s.State.Waiting.Reason != "":
		return ": " + s.State.Waiting.Reason
	case s.State.Terminated != nil && s.State.Terminated.Reason != "":
		return ": " + s.State.Terminated.Reason
	}
	return ""
}

func (c *checker) outdated(p *survey.Pod, image string) {
	if image == "" || p.Annotations[mutate.Prefix+"image"] != "" || c.survey.Namespaces[p.Namespace].Annotations[mutate.Prefix+"image"] != "" {
		return // not known, or chosen
	}
	for _, container := range p.Spec.InitContainers {
		if container.Name == mutate.Container && container.Image != image {
			c.add(SidecarOutdated, "pod "+p.String(), "", "its sidecar is %s, and new ones are %s", container.Image, image)
		}
	}
}

// facts looks at what the sidecar says of itself.
func (c *checker) facts(p *survey.Pod) {
	object := "pod " + p.String()
	if p.Err != nil {
		c.add(SidecarSilent, object, "", "%v", p.Err)
	}
	f := p.Facts
	if f == nil {
		return
	}
	c.identity(object, f.SVIDExpires)
	if root := f.RootExpires; !root.IsZero() && root.Sub(c.survey.At) < rootMargin {
		c.add(RootExpires, object, "", "a root that it trusts expires at %s", stamp(root))
	}
	if f.PlaintextTaken > 0 {
		c.add(PlaintextTaken, object, "", "%s let in%s", inPlaintext(f.PlaintextTaken), c.from(p))
	}
	if f.PlaintextRefused > 0 {
		c.add(PlaintextRefused, object, "", "%s refused%s", inPlaintext(f.PlaintextRefused), c.from(p))
	}
	if f.Passed > 0 {
		c.add(PassedThrough, object, "", "%d calls went out in plaintext", f.Passed)
	}
	if f.PoliciesRefused > 0 {
		c.add(PoliciesRefused, object, "", "it refused %d sets of policies, and has generation %s in force", f.PoliciesRefused, f.Generation)
	}
	if f.Uninspected > 0 {
		c.add(Uninspected, object, "", "%d requests were not inspected in full", f.Uninspected)
	}
}

func (c *checker) identity(object string, expires time.Time) {
	switch left := expires.Sub(c.survey.At); {
	case expires.IsZero():
		c.add(NoSVID, object, "", "it has no identity")
	case left <= 0:
		c.add(SVIDExpired, object, "", "its certificate expired at %s", stamp(expires))
	case left < svidMargin:
		c.add(SVIDExpires, object, "", "its certificate expires at %s", stamp(expires))
	}
}

// from names callers, as far as they are known.
func (c *checker) from(p *survey.Pod) string {
	if len(p.PlaintextFrom) == 0 {
		return ""
	}
	var names []string
	for _, address := range p.PlaintextFrom[:min(maxNamed, len(p.PlaintextFrom))] {
		names = append(names, c.survey.Caller(address))
	}
	text := ", among others from " + strings.Join(names, ", ")
	if len(p.PlaintextFrom) > maxNamed {
		text += " and others"
	}
	return text
}

func inPlaintext(connections int64) string {
	if connections == 1 {
		return "1 connection in plaintext was"
	}
	return fmt.Sprintf("%d connections in plaintext were", connections)
}
