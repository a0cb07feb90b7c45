// Package telemetry counts what the sidecar does and exposes it to Prometheus.
//
// It promises three things. Cardinality is bounded: every label is a closed set
// or capped, so no caller can grow the memory of a sidecar or of whoever scrapes
// it. Counting a request allocates nothing and takes no lock: the series of a
// connection are looked up once, when it is opened. And nothing is global: each
// [Metrics] has its own registry.
//
// The metrics are documented in docs/metrics.md, which a test compares with the
// registry.
package telemetry

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/outrider-mesh/outrider/internal/buildinfo"
)

const (
	// maxPeers caps the distinct values of the peer label. With seven labels a
	// peer costs a handful of series of about 1 KiB each; 200 peers is more
	// than a service has callers and still below a megabyte.
	maxPeers = 200
	// maxTrustDomains caps the trust_domain label, which federation decides.
	maxTrustDomains = 100
	// maxScrapes is how many scrapes are answered at a time; one gathers the
	// whole registry.
	maxScrapes = 3
	// scrapeTimeout ends a scrape that its reader does not take.
	scrapeTimeout = 10 * time.Second
)

// durationBuckets are seconds. The lowest is half of the latency the sidecars
// may add, so that a hop which breaks its budget is seen to move.
var durationBuckets = []float64{
	0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
}

// A Metrics holds every metric of one sidecar. All methods may be called
// concurrently.
type Metrics struct {
	registry *prometheus.Registry
	traffic  traffic
	policies policies
	state    state
}

// New returns metrics in a registry of their own, all at zero.
func New() *Metrics {
	c := &catalogue{registry: prometheus.NewRegistry()}
	m := newMetrics(c)
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// newMetrics defines our own metrics, without those of the runtime.
func newMetrics(c *catalogue) *Metrics {
	m := &Metrics{registry: c.registry}
	m.traffic.define(c)
	m.policies.define(c)
	m.state.define(c, buildinfo.Version())
	return m
}

// Handler serves the exposition. Scrapes beyond the few that are answered at a
// time get 503.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		// One broken collector must not hide the others.
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTimeout,
	})
}

// A catalogue defines metrics in a registry and remembers what it defined, for
// the documentation.
type catalogue struct {
	registry *prometheus.Registry
	entries  []entry
}

type entry struct {
	name, kind, help string
	labels           []string
}

func (c *catalogue) add(kind, name, help string, labels []string, metric prometheus.Collector) {
	c.entries = append(c.entries, entry{name, kind, help, labels})
	c.registry.MustRegister(metric) // only a name defined twice in this package can panic
}

func (c *catalogue) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	c.add("counter", name, help, labels, v)
	return v
}

func (c *catalogue) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	c.add("gauge", name, help, labels, v)
	return v
}

func (c *catalogue) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	c.add("histogram", name, help, labels, v)
	return v
}

// peers maps SPIFFE IDs to values of the peer label: themselves while there is
// room, then "other".
type peers struct {
	mu    sync.RWMutex
	known map[string]struct{}
}

// label returns the value for id and whether it had to be folded.
func (p *peers) label(id string) (value string, folded bool) {
	if id == "" {
		return "", false
	}
	id = strings.ToValidUTF8(id, "\uFFFD") // the library panics on anything else
	p.mu.RLock()
	_, known := p.known[id]
	full := len(p.known) >= maxPeers
	p.mu.RUnlock()
	if known {
		return id, false
	}
	if full {
		return "other", true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known = p.known[id]; !known && len(p.known) >= maxPeers {
		return "other", true
	}
	if p.known == nil {
		p.known = make(map[string]struct{})
	}
	p.known[id] = struct{}{}
	return id, false
}
