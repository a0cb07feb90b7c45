package config

import (
	"path/filepath"
	"strings"
)

// policies checks where documents come from.
func (c *checker) policies(s *Sidecar) {
	const field = "spec.policies"
	p := s.Spec.Policies
	if p == nil {
		c.warn(field, "is missing: every call to this workload is refused", "name a directory, or write denyAll: true if that is meant")
		return
	}
	var named []string
	for _, source := range []struct {
		name string
		set  bool
	}{{"a directory", p.Directory != ""}, {"a controlPlane", p.ControlPlane != nil}, {"denyAll", p.DenyAll}} {
		if source.set {
			named = append(named, source.name)
		}
	}
	switch {
	case len(named) == 0:
		c.bad(field, "has neither a directory nor a controlPlane nor denyAll: true", "write one of them")
	case len(named) > 1:
		c.bad(field, "has both "+strings.Join(named, " and "), "keep one of them")
	}
	if p.ControlPlane != nil {
		c.controlPlane(field+".controlPlane", s)
	}
	if p.Shadow != "" && filepath.Clean(p.Shadow) == filepath.Clean(p.Directory) {
		c.warn(field+".shadow", "is the directory in force, so there is nothing to compare", "name another directory")
	}
}

func (c *checker) controlPlane(field string, s *Sidecar) {
	p := s.Spec.Policies.ControlPlane
	c.server(field, endpoint{"address", p.Address, "outrider-injector.outrider-system.svc:15011"}, endpoint{"spiffeID", p.SPIFFEID, ""})
	if s.Metadata.Namespace == "" {
		c.bad("metadata.namespace", "is missing or empty: the control plane knows workloads by namespace and name", "write the namespace of the pod")
	}
	if p.Cache == "" {
		c.warn(field+".cache", "is missing: while the control plane is away, this sidecar can't start", "name a directory that outlives the container")
	}
}
