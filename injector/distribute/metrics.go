package distribute

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// Metrics counts what a server does.
type Metrics struct {
	sidecars  prometheus.Gauge
	refusals  prometheus.Counter
	responses *prometheus.CounterVec
	bytes     *prometheus.CounterVec
	answers   *prometheus.CounterVec
	ends      *prometheus.CounterVec
	took      *prometheus.HistogramVec
}

// NewMetrics returns metrics that are registered with r.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		sidecars: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "outrider_injector_push_sidecars", Help: "Sidecars that are connected to this replica.",
		}),
		refusals: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "outrider_injector_push_refusals_total", Help: "Sidecars whose claim to be a workload was not believed.",
		}),
		responses: counter("outrider_injector_push_responses_total", "Responses sent to sidecars.", "type"),
		bytes:     counter("outrider_injector_push_bytes_total", "Bytes of responses sent to sidecars, before TLS.", "type"),
		answers:   counter("outrider_injector_push_answers_total", "Answers of sidecars: acked, or nacked.", "type", "result"),
		ends:      counter("outrider_injector_push_ended_total", "Streams that this replica ended.", "reason"),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "outrider_injector_push_seconds", Help: "Time from a change to a sidecar's answer.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"type"}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.sidecars, m.refusals, m.responses, m.bytes, m.answers, m.ends, m.took} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *Metrics) joined()  { m.sidecars.Inc() }
func (m *Metrics) parted()  { m.sidecars.Dec() }
func (m *Metrics) refused() { m.refusals.Inc() }

func (m *Metrics) sent(kind string, size int) {
	m.responses.WithLabelValues(word(kind)).Inc()
	m.bytes.WithLabelValues(word(kind)).Add(float64(size))
}

func (m *Metrics) answered(a answer) {
	result := "acked"
	if a.nack != "" {
		result = "nacked"
	}
	m.answers.WithLabelValues(word(a.kind), result).Inc()
	m.took.WithLabelValues(word(a.kind)).Observe(a.took.Seconds())
}

func (m *Metrics) ended(why error) {
	reason := "other"
	for _, known := range []struct {
		err  error
		name string
	}{{errGone, "gone"}, {errReplaced, "replaced"}, {errAge, "age"}, {errSlow, "slow"}, {errStopping, "stopping"}, {errHasty, "hasty"}} {
		if errors.Is(why, known.err) {
			reason = known.name
		}
	}
	m.ends.WithLabelValues(reason).Inc()
}

// word is the value of the label type: one of two.
func word(kind string) string {
	if kind == push.DestinationType {
		return "destination"
	}
	return "document"
}
