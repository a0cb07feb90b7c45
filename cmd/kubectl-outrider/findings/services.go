package findings

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/survey"
)

// services looks at those of meshed workloads.
func (c *checker) services() {
	for i := range c.survey.Services {
		s := &c.survey.Services[i]
		if len(s.Spec.Selector) == 0 || !c.meshed(s.Namespace, s.Spec.Selector) {
			continue
		}
		for _, p := range s.Spec.Ports {
			if p.Protocol != corev1.ProtocolUDP && p.Protocol != corev1.ProtocolSCTP && !says(p) {
				c.add(PortWithoutProtocol, "service "+s.Namespace+"/"+s.Name, "", "port %d (%q) does not say what it carries", p.Port, p.Name)
			}
		}
	}
}

// says tells whether a port declares what it carries, by appProtocol or by the
// convention of names.
func says(p corev1.ServicePort) bool {
	if p.AppProtocol != nil && *p.AppProtocol != "" {
		return true
	}
	word, _, _ := strings.Cut(p.Name, "-")
	switch word {
	case "http", "http2", "grpc", "tcp", "tls", "https", "mongo", "mysql", "redis":
		return true
	}
	return false
}

// meshed tells whether a pod with a sidecar is selected.
func (c *checker) meshed(namespace string, selector map[string]string) bool {
	chosen := labels.SelectorFromSet(selector)
	for i := range c.survey.Pods {
		p := &c.survey.Pods[i]
		if p.Injected() && p.Namespace == namespace && chosen.Matches(labels.Set(p.Labels)) {
			return true
		}
	}
	return false
}

// asked tells whether pods of a namespace were read at all.
func asked(s *survey.Survey, namespace string) bool {
	for i := range s.Pods {
		if s.Pods[i].Namespace == namespace {
			return true
		}
	}
	return false
}
