package inspect

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// A policy is an InspectionPolicy made ready for requests. It is immutable.
type policy struct {
	name     string
	paths    []pattern // none means all
	mode     config.InspectionMode
	callers  []callerMode
	body     config.InspectionBody
	grpc     config.InspectionGRPC
	failures config.OnFailure
	source   source
	engine   engine // nil when the policy is off for everybody
}

type callerMode struct {
	principals []pattern
	mode       config.InspectionMode
}

// choose returns the policies that select the workload, the most specific
// first; see [New].
func choose(policies []config.InspectionPolicy, w authz.Workload) []config.InspectionPolicy {
	var chosen []config.InspectionPolicy
	for _, p := range policies {
		if selects(p, w) {
			chosen = append(chosen, p)
		}
	}
	slices.SortStableFunc(chosen, func(a, b config.InspectionPolicy) int {
		return cmp.Or(
			-boolCompare(len(a.Spec.Paths) > 0, len(b.Spec.Paths) > 0),
			-cmp.Compare(labels(a), labels(b)),
			-boolCompare(a.Metadata.Namespace != "", b.Metadata.Namespace != ""),
			cmp.Compare(policyName(a), policyName(b)),
		)
	})
	return chosen
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func labels(p config.InspectionPolicy) int {
	if p.Spec.Selector == nil {
		return 0
	}
	return len(p.Spec.Selector.MatchLabels)
}

func selects(p config.InspectionPolicy, w authz.Workload) bool {
	if ns := p.Metadata.Namespace; ns != "" && ns != w.Namespace {
		return false
	}
	return p.Spec.Selector.Matches(w.Labels)
}

func policyName(p config.InspectionPolicy) string {
	if p.Metadata.Namespace == "" {
		return p.Metadata.Name
	}
	return p.Metadata.Namespace + "/" + p.Metadata.Name
}

// compile checks a policy and prepares it; it builds no engine.
func compile(doc config.InspectionPolicy, opts Options) (*policy, error) {
	spec := doc.Spec.WithDefaults()
	p := &policy{
		name:     policyName(doc),
		mode:     spec.Mode,
		body:     spec.Body,
		grpc:     spec.GRPC,
		failures: spec.OnFailure,
	}
	if n := spec.Body.InspectBytes; n < 1 || n > maxInspectBytes {
		return nil, fmt.Errorf("body.inspectBytes: %d is not between 1 and %d", n, maxInspectBytes)
	}
	var err error
	if p.paths, err = parsePaths(spec.Paths); err != nil {
		return nil, fmt.Errorf("paths%w", err)
	}
	for i, c := range spec.Callers {
		m := callerMode{mode: c.Mode}
		if m.principals, err = parsePrincipals(c.Principals); err != nil {
			return nil, fmt.Errorf("callers[%d].principals%w", i, err)
		}
		p.callers = append(p.callers, m)
	}
	p.source, err = compileSource(spec, opts.Now(), opts.Log.With(slog.String("policy", p.name)))
	if err != nil {
		return nil, err
	}
	return p, nil
}

// on tells whether the policy inspects anybody's requests.
func (p *policy) on() bool {
	return p.mode != config.Off ||
		slices.ContainsFunc(p.callers, func(c callerMode) bool { return c.mode != config.Off })
}

// modeFor returns what holds for a caller; peer is empty for one without
// identity, which no entry matches.
func (p *policy) modeFor(peer string) config.InspectionMode {
	for i := range p.callers {
		if peer != "" && matchAny(p.callers[i].principals, peer, pathOfID(peer)) {
			return p.callers[i].mode
		}
	}
	return p.mode
}

// denies tells whether the policy refuses what was not inspected for a reason.
// A reason that no field speaks of is not refused: an endless body, whose head
// was inspected, and the rest of a body whose first part was.
func (p *policy) denies(reason flow.Uninspected) bool {
	switch reason {
	case flow.EngineTimeout:
		return p.failures.Timeout != config.FailAllow
	case flow.EngineOverload:
		return p.failures.Overload != config.FailAllow
	case flow.BodyOverCap:
		return p.body.Overflow == config.OverflowDeny
	case flow.Stream:
		return false
	case flow.Inspected, flow.EngineError, flow.Encoding:
	}
	return p.failures.Error != config.FailAllow
}
