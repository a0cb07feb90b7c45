package issue

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrider-mesh/outrider/injector/issue/ca"
)

// Metrics are those of the issuer.
type Metrics struct {
	issues   prometheus.Counter
	refusals *prometheus.CounterVec
	duration prometheus.Histogram
	waiters  prometheus.Gauge
}

// NewMetrics makes the metrics and registers them; nil registers them nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		issues: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "outrider_injector_svids_issued_total", Help: "SVIDs issued.",
		}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "outrider_injector_svid_refusals_total", Help: "Requests for SVIDs or bundles that were refused, by why.",
		}, []string{"reason"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "outrider_injector_issue_duration_seconds", Help: "Time to issue an SVID, review of the token included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 13), // to 4 s
		}),
		waiters: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "outrider_injector_bundle_waiters", Help: "Workloads that wait for a change of the bundles.",
		}),
	}
	for _, r := range reasons() {
		m.refusals.WithLabelValues(string(r))
	}
	if reg != nil {
		reg.MustRegister(m.issues, m.refusals, m.duration, m.waiters)
	}
	return m
}

func (m *Metrics) issued(took time.Duration) {
	m.issues.Inc()
	m.duration.Observe(took.Seconds())
}

func (m *Metrics) refused(r reason) { m.refusals.WithLabelValues(string(r)).Inc() }

func (m *Metrics) waiting(by float64) { m.waiters.Add(by) }

// A Watched is a CA whose state can be looked at.
type Watched interface {
	State() (ca.State, bool)
}

// caMetrics reads a CA's expiries whenever somebody asks.
type caMetrics struct {
	of                    Watched
	root, issuer, foreign *prometheus.Desc
}

// NewCAMetrics returns a collector of what is to be watched about a CA: when its
// certificates expire. Alarms belong well before.
func NewCAMetrics(of Watched) prometheus.Collector {
	return &caMetrics{
		of: of,
		root: prometheus.NewDesc("outrider_injector_ca_root_expiry_timestamp_seconds",
			"When the root of a phase expires, in Unix time; the earliest if there are several.", []string{"phase"}, nil),
		issuer: prometheus.NewDesc("outrider_injector_ca_intermediate_expiry_timestamp_seconds",
			"When the intermediate that signs expires, in Unix time.", nil, nil),
		foreign: prometheus.NewDesc("outrider_injector_ca_federated_domains",
			"Trust domains whose bundles are handed out besides our own.", nil, nil),
	}
}

// Describe implements [prometheus.Collector].
func (c *caMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- c.root
	out <- c.issuer
	out <- c.foreign
}

// Collect implements [prometheus.Collector].
func (c *caMetrics) Collect(out chan<- prometheus.Metric) {
	s, ok := c.of.State()
	if !ok {
		return
	}
	earliest := map[ca.Phase]time.Time{}
	for _, r := range s.Roots {
		if at := earliest[r.Phase]; at.IsZero() || r.Cert.NotAfter.Before(at) {
			earliest[r.Phase] = r.Cert.NotAfter
		}
	}
	for phase, at := range earliest {
		out <- prometheus.MustNewConstMetric(c.root, prometheus.GaugeValue, float64(at.Unix()), string(phase))
	}
	if r := s.Signing(); r != nil {
		out <- prometheus.MustNewConstMetric(c.issuer, prometheus.GaugeValue, float64(r.Issuer.Cert().NotAfter.Unix()))
	}
	out <- prometheus.MustNewConstMetric(c.foreign, prometheus.GaugeValue, float64(len(s.Federated)))
}
