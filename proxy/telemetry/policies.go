package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// policies holds the metrics of single policies.
type policies struct {
	shadow  *prometheus.CounterVec
	limited *prometheus.CounterVec
	folded  prometheus.Counter
	trials  *prometheus.CounterVec
	// inspecting are the policies in force that inspect, by whether clean requests are
	// proved clean.
	inspecting *prometheus.GaugeVec
	// names are the values of the policy label. Documents decide how many there
	// are, and over the weeks they change.
	names peers
}

func (p *policies) define(c *catalogue) {
	p.shadow = c.counter("outrider_authz_shadow_total",
		"Calls judged by policies that are only tried, beside what is in force.", "live", "shadow", "policy")
	p.limited = c.counter("outrider_rate_limited_total",
		"Calls refused because the limit of a policy was used up.", "policy")
	p.folded = c.counter("outrider_rate_limit_folded_total",
		"Calls counted in a limit's common bucket because the cap on buckets was reached.").WithLabelValues()
	p.trials = c.counter("outrider_inspection_trials_total",
		"Requests that an inspection policy which is only tried was asked about, by what it said.", "policy", "outcome", "reason")
	p.inspecting = c.gauge("outrider_inspection_policies",
		"Inspection policies in force, by whether clean requests are proved clean without the rules.", "proof")
	p.inspecting.WithLabelValues(proofOn).Set(0)
	p.inspecting.WithLabelValues(proofOff).Set(0)
}

// The values of the label proof.
const (
	proofOn  = "on"
	proofOff = "off"
)

// InspectionPolicies tells how many policies that inspect are in force, and of how many
// of them no request is proved clean.
func (m *Metrics) InspectionPolicies(all, unproved int) {
	m.policies.inspecting.WithLabelValues(proofOn).Set(float64(all - unproved))
	m.policies.inspecting.WithLabelValues(proofOff).Set(float64(unproved))
}

// trial counts what a policy that is only tried says of a request.
func (p *policies) trial(v *flow.Inspection) {
	p.trials.WithLabelValues(p.label(v.Policy), v.Outcome.String(), v.Uninspected.String()).Inc()
}

// Shadow counts a call judged by what is in force and by what is tried. The
// policy is one that decided.
func (m *Metrics) Shadow(live, shadow bool, policy string) {
	m.policies.shadow.WithLabelValues(verdict(live), verdict(shadow), m.policies.label(policy)).Inc()
}

// RateLimited counts a call refused by the limit of a policy.
func (m *Metrics) RateLimited(policy string) {
	m.policies.limited.WithLabelValues(m.policies.label(policy)).Inc()
}

// RateLimitFolded counts a call for whose caller there was no bucket.
func (m *Metrics) RateLimitFolded() { m.policies.folded.Inc() }

// label is the name itself while there is room, "-" where no policy decided.
func (p *policies) label(policy string) string {
	if policy == "" {
		return "-"
	}
	name, _ := p.names.label(policy)
	return name
}

func verdict(allowed bool) string {
	if allowed {
		return "allow"
	}
	return "deny"
}
