package sidecars

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Facts are what a sidecar's metrics say.
type Facts struct {
	// Ready is what the sidecar says itself.
	Ready bool
	// Version names its build, Generation the policies in force.
	Version, Generation string
	// SVIDExpires is zero while there is none, RootExpires, of the root that expires
	// first, where there are no bundles.
	SVIDExpires, RootExpires time.Time
	// PoliciesRefused are sets of policies that were not taken.
	PoliciesRefused int64
	// Plaintext are calls without an identity: connections let in, and refused.
	PlaintextTaken, PlaintextRefused int64
	// Uninspected are requests that a policy wanted inspected and that were not, in
	// whole or in part.
	Uninspected int64
	// Passed are calls that went out in plaintext to addresses nobody configured.
	Passed int64
}

// Facts asks a sidecar for its metrics.
func (p Pod) Facts(ctx context.Context) (Facts, error) {
	m, err := p.metrics(ctx)
	if err != nil {
		return Facts{}, err
	}
	return m.facts(), nil
}

// A metrics is an exposition that was read.
type metrics map[string]*dto.MetricFamily

func (p Pod) metrics(ctx context.Context) (metrics, error) {
	text, err := p.get(ctx, MetricsPort, "/metrics", maxMetrics)
	if err != nil {
		return nil, err
	}
	m, err := parseMetrics(text)
	if err != nil {
		return nil, fmt.Errorf("the metrics of %s: %w", p, err)
	}
	return m, nil
}

func parseMetrics(text []byte) (metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(bytes.NewReader(text))
}

func (m metrics) facts() Facts {
	inPlaintext := labels{"direction": "inbound", "security": "plaintext"}
	refused := m.sum("outrider_connections_closed_total", labels{"direction": "inbound", "security": "plaintext", "reason": "plaintext_refused"})
	return Facts{
		Ready:            m.sum("outrider_ready", nil) == 1,
		Version:          m.label("outrider_build_info", "version"),
		Generation:       m.label("outrider_policy_generation_info", "generation"),
		SVIDExpires:      m.earliest("outrider_identity_svid_expiry_timestamp_seconds"),
		RootExpires:      m.earliest("outrider_identity_bundle_expiry_timestamp_seconds"),
		PoliciesRefused:  m.sum("outrider_policy_load_errors_total", nil),
		PlaintextTaken:   max(0, m.sum("outrider_connections_opened_total", inPlaintext)-refused),
		PlaintextRefused: refused,
		Uninspected:      m.sum("outrider_inspections_total", nil) - m.sum("outrider_inspections_total", labels{"reason": "-"}),
		Passed:           m.sum("outrider_captured_connections_total", labels{"result": "passthrough"}),
	}
}

// labels are values that a series must have.
type labels map[string]string

func (l labels) match(s *dto.Metric) bool {
	matched := 0
	for _, pair := range s.GetLabel() {
		if want, ok := l[pair.GetName()]; ok && want == pair.GetValue() {
			matched++
		}
	}
	return matched == len(l)
}

// sum adds what the matching series count. What is no count is none.
func (m metrics) sum(name string, of labels) (total int64) {
	for _, s := range m[name].GetMetric() {
		if of.match(s) {
			total += count(value(s))
		}
	}
	return max(total, 0)
}

// count is a counter's value as a whole number; 0 where it can't be one.
func count(v float64) int64 {
	if !(v >= 0) || v > math.MaxInt32*1e3 {
		return 0
	}
	return int64(v)
}

func value(s *dto.Metric) float64 {
	switch {
	case s.GetCounter() != nil:
		return s.GetCounter().GetValue()
	case s.GetGauge() != nil:
		return s.GetGauge().GetValue()
	}
	return s.GetUntyped().GetValue()
}

// label is that of the only series of an information metric.
func (m metrics) label(name, label string) string {
	for _, s := range m[name].GetMetric() {
		for _, pair := range s.GetLabel() {
			if pair.GetName() == label {
				return pair.GetValue()
			}
		}
	}
	return ""
}

// earliest is the smallest of some times; zero where there is none.
func (m metrics) earliest(name string) time.Time {
	var first time.Time
	for _, s := range m[name].GetMetric() {
		seconds := count(value(s))
		if at := time.Unix(seconds, 0).UTC(); seconds > 0 && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// WebhookExpires asks a replica of the control plane when the webhook's certificate
// expires; zero while there is none.
func (p Pod) WebhookExpires(ctx context.Context) (time.Time, error) {
	m, err := p.metrics(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return m.earliest("outrider_injector_webhook_certificate_expiry_timestamp_seconds"), nil
}
