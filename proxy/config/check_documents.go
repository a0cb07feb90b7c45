package config

import (
	"fmt"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

const (
	// maxInspectBytes bounds memory: every inspected body is held until its
	// verdict.
	maxInspectBytes = 1 << 20
	maxParanoia     = 4
	// maxThreshold is far above any score; who wants nothing to be blocked
	// writes mode Detect.
	maxThreshold = 1000
	// maxCPUMillis is ten seconds: what takes longer is an outage of its own.
	maxCPUMillis = 10_000
)

func (c *checker) mesh(m *MeshConfig) {
	if m.Metadata.Name != "" {
		c.metadata(m.Metadata)
	}
	if td := m.Spec.TrustDomain; td != "" {
		if _, err := spiffeid.TrustDomainFromString(td); err != nil || strings.Contains(td, "/") {
			c.bad("spec.trustDomain", fmt.Sprintf("%q is not a trust domain", clipped(td)), "write its name only, such as example.org")
		}
	}
	c.meshIdentity(m.Spec.Identity)
	if m.Spec.MTLS == Permissive {
		c.warn("spec.mtls", "Permissive lets callers in without an identity", "make it Strict once every caller has one")
	}
	if m.Spec.DefaultAccess == DefaultAllowAll {
		c.warn("spec.defaultAccess", "AllowAll lets everybody call workloads that no Allow policy selects", "")
	}
}

func (c *checker) meshIdentity(id MeshIdentity) {
	const field = "spec.identity"
	for _, f := range []struct{ name, value string }{{"driver", id.Driver}, {"socket", id.Socket}} {
		at := strict.Key(field, f.name)
		switch {
		case f.value == "":
		case id.Provider != ProviderWorkloadAPI:
			c.bad(at, "is without effect: the provider is not WorkloadAPI", "write provider: WorkloadAPI, or remove it")
		case len(f.value) > 63 || !subdomain.MatchString(f.value):
			c.bad(at, fmt.Sprintf("%q is not a name", clipped(f.value)), "write a name such as "+DefaultCSIDriver+" or "+DefaultCSISocket)
		}
	}
}

func (c *checker) inspection(p *InspectionPolicy) {
	c.metadata(p.Metadata)
	s := &p.Spec
	if s.Selector != nil && len(s.Selector.MatchLabels) == 0 {
		c.bad("spec.selector", "is empty", "give it matchLabels, or remove it to select every workload of the namespace")
	}
	c.within("spec.paranoia", s.Paranoia, maxParanoia)
	c.within("spec.threshold", s.Threshold, maxThreshold)
	c.within("spec.body.inspectBytes", s.Body.InspectBytes, maxInspectBytes)
	c.paths("spec.paths", s.Paths)
	c.grpc(s.GRPC)
	c.failures(s.OnFailure)
	c.within("spec.cpuMillis", s.CPUMillis, maxCPUMillis)
	c.rollout(s.Rollout)
	for i, caller := range s.Callers {
		c.caller(strict.Index("spec.callers", i), caller)
	}
	for i, e := range s.Exclusions {
		c.exclusion(strict.Index("spec.exclusions", i), e)
	}
	if s.Rules != "" && strings.TrimSpace(s.Rules) == "" {
		c.bad("spec.rules", "holds no rule", "remove it")
	}
}

// within checks a number for which 0 means the default.
func (c *checker) within(field string, n, most int) {
	if n < 0 || n > most {
		c.bad(field, fmt.Sprintf("%d is out of range", n), fmt.Sprintf("write 1 to %d, or remove it for the default", most))
	}
}

// grpc refuses what would look like protection and be none.
func (c *checker) grpc(g InspectionGRPC) {
	if g.Streaming != "" && g.Inspect != GRPCUnary {
		c.bad("spec.grpc.streaming", "has no effect, as no message is inspected", "write inspect: Unary beside it, or remove it")
	}
}

func (c *checker) failures(f OnFailure) {
	for _, m := range []struct {
		field string
		mode  FailureMode
	}{
		{"error", f.Error},
		{"timeout", f.Timeout},
		{"overload", f.Overload},
		{"encoding", f.Encoding},
		{"arguments", f.Arguments},
	} {
		if m.mode == FailAllow {
			c.warn(strict.Key("spec.onFailure", m.field), "Allow lets requests pass that were not inspected", "")
		}
	}
}

// rollout refuses a share that is none. A policy that is tried and one that is in
// force for a share are both beside another.
func (c *checker) rollout(r *Rollout) {
	switch {
	case r == nil:
	case r.Percent < 1 || r.Percent > 100:
		c.bad("spec.rollout.percent", fmt.Sprintf("%d is out of range", r.Percent), "write 1 to 100, or remove the rollout")
	case r.Mode == Off:
		c.bad("spec.rollout.mode", "is Off", "write Detect to try the policy or Block to have it decide")
	}
}

func (c *checker) caller(at string, m CallerInspection) {
	if m.changesNothing() {
		c.bad(at+".mode", "is missing", strict.Suggest("", m.Mode.Values()))
	}
	c.within(at+".paranoia", m.Paranoia, maxParanoia)
	c.within(at+".threshold", m.Threshold, maxThreshold)
	c.within(at+".body.inspectBytes", m.Body.InspectBytes, maxInspectBytes)
	for i, e := range m.Exclusions {
		c.exclusion(strict.Index(at+".exclusions", i), e)
	}
	if len(m.Principals) == 0 {
		c.bad(at+".principals", "is missing or empty", "name at least one SPIFFE ID")
		return
	}
	c.borrow("spec.rules[0].from[0].principals", at+".principals", authz.Rule{From: []authz.From{{Principals: m.Principals}}})
}

// changesNothing tells whether an entry says nothing about its callers.
func (m CallerInspection) changesNothing() bool {
	return m.Mode == "" && m.Profile == "" && m.Paranoia == 0 && m.Threshold == 0 &&
		m.Body == InspectionBody{} && len(m.Exclusions) == 0
}

func (c *checker) paths(at string, paths []string) {
	switch {
	case paths == nil:
	case len(paths) == 0:
		c.bad(at, "is an empty list", "remove it to mean every path, or name one")
	default:
		c.borrow("spec.rules[0].to[0].paths", at, authz.Rule{To: []authz.To{{Paths: paths}}})
	}
}

// borrow checks patterns with the rules of access policies, so that the same
// text means the same in both: it puts them into a policy and brings the
// problems found under from back to where the patterns stand.
func (c *checker) borrow(from, to string, rule authz.Rule) {
	for _, p := range authz.Validate([]authz.Policy{{
		Metadata: authz.Metadata{Name: "borrowed"},
		Spec:     authz.PolicySpec{Action: authz.Deny, Rules: []authz.Rule{rule}},
	}}) {
		if rest, ok := strings.CutPrefix(p.Field, from); ok {
			c.problems = append(c.problems, accessProblem(c.doc, to+rest, p))
		}
	}
}

func (c *checker) exclusion(at string, e Exclusion) {
	if why := untouchable(e.Rule); why != "" {
		c.bad(at+".rule", fmt.Sprintf("rule %d %s", e.Rule, why), "exclude the rules that add to the score")
	} else if e.Rule <= 0 {
		c.bad(at+".rule", "is missing or not the id of a rule", "write the id that the access log shows")
	}
	c.required(at+".reason", e.Reason, "say why, for whoever finds it later")
	if e.Path != "" {
		c.borrow("spec.rules[0].to[0].paths[0]", at+".path", authz.Rule{To: []authz.To{{Paths: []string{e.Path}}}})
	}
	if e.Parameter == "" && e.Path == "" {
		c.warn(at, fmt.Sprintf("takes rule %d out for every path and parameter", e.Rule), "name a parameter or a path")
	}
}

// untouchable says why a rule can't be excluded; empty when it can. Without
// these rules of the CRS the others run and nothing comes of it.
func untouchable(rule int) string {
	switch rule / 1000 {
	case 901:
		return "sets the rule set up: without it no score is kept"
	case 949, 959:
		return "compares the score: without it nothing is ever blocked"
	}
	return ""
}
