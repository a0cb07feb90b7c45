package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrider-mesh/outrider/injector/mutate"
)

// Metrics are those of the webhook.
type Metrics struct {
	admissions *prometheus.CounterVec
	failures   prometheus.Counter
	dropped    prometheus.Counter
	duration   prometheus.Histogram
}

// NewMetrics makes the metrics and registers them; nil registers them nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		admissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "outrider_injector_admissions_total", Help: "Pods that the API server asked about, by what became of them and why.",
		}, []string{"verdict", "reason"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "outrider_injector_admission_failures_total", Help: "Questions of the API server that could not be answered; it refuses these pods.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "outrider_injector_events_dropped_total", Help: "Events that were not written, because there were too many or the API server refused them.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "outrider_injector_admission_duration_seconds", Help: "Time to answer, with the question for the namespace.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14), // to 4 s
		}),
	}
	if reg != nil {
		reg.MustRegister(m.admissions, m.failures, m.dropped, m.duration)
	}
	return m
}

// answered counts; both labels are closed sets.
func (m *Metrics) answered(d mutate.Decision, took time.Duration) {
	m.admissions.WithLabelValues(string(d.Verdict), string(d.Reason)).Inc()
	m.duration.Observe(took.Seconds())
}

func (m *Metrics) failed() { m.failures.Inc() }
