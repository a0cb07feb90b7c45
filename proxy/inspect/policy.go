package inspect

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// A policy is an InspectionPolicy made ready for requests, as it holds for the
// callers that no entry of it lists. It is immutable.
type policy struct {
	name    string
	paths   []pattern // none means all
	callers []callerPolicy
	// percent is for how many requests of a hundred it is asked; 0 means all.
	percent int
	// trial tells that it is only tried.
	trial bool

	mode     config.InspectionMode
	body     config.InspectionBody
	grpc     config.InspectionGRPC
	failures config.OnFailure
	cpu      time.Duration
	source   source
	engine   engine // nil when the policy is off for everybody
}

// A callerPolicy is the policy as it holds for the callers of one entry.
type callerPolicy struct {
	principals []pattern
	expires    time.Time // zero for never
	policy     *policy
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
			-boolCompare(a.Spec.Rollout != nil, b.Spec.Rollout != nil),
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
	p, err := compileSpec(policyName(doc), spec, opts)
	if err != nil {
		return nil, err
	}
	if p.paths, err = parsePaths(spec.Paths); err != nil {
		return nil, fmt.Errorf("paths%w", err)
	}
	if r := spec.Rollout; r != nil {
		if r.Percent < 1 || r.Percent > 100 {
			return nil, fmt.Errorf("rollout.percent: %d is not between 1 and 100", r.Percent)
		}
		p.percent, p.trial = r.Percent, r.Mode != config.Block
	}
	for i, c := range spec.Callers {
		if err := p.addCaller(spec, c, opts); err != nil {
			return nil, fmt.Errorf("callers[%d].%w", i, err)
		}
	}
	return p, nil
}

// compileSpec prepares what holds for one kind of callers.
func compileSpec(name string, spec config.InspectionSpec, opts Options) (*policy, error) {
	p := &policy{
		name: name, mode: spec.Mode, body: spec.Body, grpc: spec.GRPC, failures: spec.OnFailure,
		cpu: time.Duration(spec.CPUMillis) * time.Millisecond,
	}
	if n := spec.Body.InspectBytes; n < 1 || n > maxInspectBytes {
		return nil, fmt.Errorf("body.inspectBytes: %d is not between 1 and %d", n, maxInspectBytes)
	}
	var err error
	p.source, err = compileSource(spec, opts.Now(), opts.Log.With(slog.String("policy", name)))
	return p, err
}

// addCaller prepares an entry. One that has expired is left out and logged; one that
// expires later is asked request by request.
func (p *policy) addCaller(spec config.InspectionSpec, c config.CallerInspection, opts Options) error {
	principals, err := parsePrincipals(c.Principals)
	if err != nil {
		return fmt.Errorf("principals%w", err)
	}
	if c.Expires.Passed(opts.Now()) {
		opts.Log.Warn("what a policy says of some callers has expired and is not applied",
			slog.String("policy", p.name), slog.Any("principals", c.Principals), slog.Time("expired", c.Expires.Time))
		return nil
	}
	own, err := compileSpec(p.name, spec.For(c), opts)
	if err != nil {
		return err
	}
	p.callers = append(p.callers, callerPolicy{principals: principals, expires: c.Expires.Time, policy: own})
	return nil
}

// each calls f with the policy and what it is for some callers.
func (p *policy) each(f func(*policy) error) error {
	for _, c := range p.callers {
		if err := f(c.policy); err != nil {
			return err
		}
	}
	return f(p)
}

// on tells whether the policy inspects anybody's requests.
func (p *policy) on() bool {
	return p.mode != config.Off ||
		slices.ContainsFunc(p.callers, func(c callerPolicy) bool { return c.policy.mode != config.Off })
}

// forCaller returns what holds for a caller; peer is empty for one without identity,
// which no entry matches.
func (p *policy) forCaller(peer string, now time.Time) *policy {
	for i := range p.callers {
		c := &p.callers[i]
		if peer != "" && (c.expires.IsZero() || now.Before(c.expires)) && matchAny(c.principals, peer, pathOfID(peer)) {
			return c.policy
		}
	}
	return p
}

// denies tells whether the policy refuses what was not inspected for a reason.
func (p *policy) denies(reason flow.Uninspected) bool {
	allowed := p.failures.Error
	switch reason {
	case flow.EngineTimeout:
		allowed = p.failures.Timeout
	case flow.EngineOverload:
		allowed = p.failures.Overload
	case flow.Encoding:
		allowed = p.failures.Encoding
	case flow.Arguments:
		allowed = p.failures.Arguments
	case flow.Stream:
		allowed = p.failures.Stream
	case flow.BodyOverCap:
		return p.body.Overflow == config.OverflowDeny
	case flow.Inspected, flow.EngineError, flow.Unfinished:
	}
	return allowed != config.FailAllow
}
