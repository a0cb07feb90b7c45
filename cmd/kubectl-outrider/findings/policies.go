package findings

import (
	"cmp"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kube"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/survey"
	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// exclusionMargin is time to see whether a reason still holds.
const exclusionMargin = 14 * 24 * time.Hour

func (c *checker) policies() {
	documents, problems := survey.Documents(c.survey.Policies)
	problems = append(problems, c.ports(documents)...)
	for _, p := range problems {
		c.problem(p)
	}
	for i := range c.survey.Policies {
		c.status(&c.survey.Policies[i])
	}
	for _, p := range documents.Access {
		c.selects("AccessPolicy", p.Metadata.Namespace, p.Metadata.Name, p.Spec.Selector)
	}
	for _, p := range documents.Inspection {
		c.selects("InspectionPolicy", p.Metadata.Namespace, p.Metadata.Name, p.Spec.Selector)
		for i, e := range p.Spec.Exclusions {
			c.exclusion(fmt.Sprintf("InspectionPolicy %s/%s", p.Metadata.Namespace, p.Metadata.Name), i, e)
		}
	}
}

// problem passes on what "outrider check" would say. A code of package authz stays
// what it is.
func (c *checker) problem(p config.Problem) {
	object, message := cmp.Or(p.Object, p.File, "policies"), p.Message
	if p.Field != "" {
		message = p.Field + ": " + message
	}
	if p.Severity == config.Error {
		c.add(DocumentInvalid, object, p.Remedy, "%s", message)
		return
	}
	c.add(DocumentQuestionable, object, p.Remedy, "%s", message)
	if p.Code != "" {
		c.found[len(c.found)-1].Code = Code(p.Code)
	}
}

// ports warns of policies that speak of HTTP on ports that carry none, once for each
// workload that has such ports.
func (c *checker) ports(d *config.Documents) (problems []config.Problem) {
	said := map[string]bool{}
	for i := range c.survey.Pods {
		p := &c.survey.Pods[i]
		opaque := opaquePorts(p)
		if len(opaque) == 0 {
			continue
		}
		for _, found := range d.LintPorts(authz.Workload{Namespace: p.Namespace, Name: p.Name, Labels: p.Labels}, opaque) {
			if text := found.String(); !said[text] {
				said[text] = true
				problems = append(problems, found)
			}
		}
	}
	return problems
}

// opaquePorts are those that the sidecar's own configuration declares to carry no
// HTTP. One that can't be read here, for it is of another version, declares none.
func opaquePorts(p *survey.Pod) []uint16 {
	for _, container := range p.Spec.InitContainers {
		for _, e := range container.Env {
			if container.Name != mutate.Container || e.Name != "OUTRIDER_CONFIG" {
				continue
			}
			if s, _, err := config.ParseSidecar(p.String(), []byte(e.Value)); err == nil {
				return s.Spec.OpaquePorts()
			}
		}
	}
	return nil
}

// status looks at what the control plane says of a document.
func (c *checker) status(p *kube.Policy) {
	object := survey.Object(p)
	if p.Kind == config.KindMeshConfig && p.Metadata.Name != v1alpha1.MeshConfigName {
		c.add(MeshConfigIgnored, object, "", "is not called %s", v1alpha1.MeshConfigName)
		return
	}
	s := p.Status
	if s.ObservedGeneration != p.Metadata.Generation {
		return // about an older one
	}
	switch n := s.Sidecars; {
	case n.Rejected > 0:
		c.add(DocumentRejected, object, "", "%d of %d sidecars refuse it%s", n.Rejected, n.Total, said(s.Conditions))
	case n.Programmed < n.Total:
		c.add(DocumentPending, object, "", "%d of %d sidecars have it in force", n.Programmed, n.Total)
	}
}

// said is the message of the condition Programmed.
func said(conditions []metav1.Condition) string {
	for _, c := range conditions {
		if c.Type == v1alpha1.Programmed && c.Message != "" {
			return ": " + c.Message
		}
	}
	return ""
}

// selects warns of a selector that no pod with a sidecar has the labels of. Of
// namespaces whose pods were not read nothing is known.
func (c *checker) selects(kind, namespace, name string, s *authz.Selector) {
	if s == nil || !asked(c.survey, namespace) || c.meshed(namespace, s.MatchLabels) {
		return
	}
	c.add(SelectsNothing, fmt.Sprintf("%s %s/%s", kind, namespace, name), "", "no pod with a sidecar has the labels %v", s.MatchLabels)
}

func (c *checker) exclusion(object string, i int, e config.Exclusion) {
	switch {
	case e.Expires.IsZero():
	case e.Expired(c.survey.At):
		c.add(ExclusionExpired, object, "", "spec.exclusions[%d], of rule %d, expired on %s", i, e.Rule, e.Expires.Format(time.DateOnly))
	case e.Expired(c.survey.At.Add(exclusionMargin)):
		c.add(ExclusionExpires, object, "", "spec.exclusions[%d], of rule %d, expires on %s", i, e.Rule, e.Expires.Format(time.DateOnly))
	}
}
