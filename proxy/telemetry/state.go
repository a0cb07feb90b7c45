package telemetry

import (
	"crypto/x509"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/internal/buildinfo"
)

// state holds the metrics of the sidecar itself.
type state struct {
	panics       prometheus.Counter
	logDropped   prometheus.Counter
	svidExpiry   prometheus.Gauge
	bundleExpiry *prometheus.GaugeVec
	generation   prometheus.Gauge
	idErrors     prometheus.Counter
	policyInfo   *prometheus.GaugeVec
	policyLoaded prometheus.Gauge
	policyErrors prometheus.Counter
	confirmed    prometheus.Gauge
	cached       prometheus.Gauge
	controlPlane prometheus.Gauge
	destinations prometheus.Gauge
	ready        prometheus.Gauge

	mu      sync.Mutex      // for what follows: which label values are exposed now
	domains map[string]bool // of bundleExpiry
	policy  string          // of policyInfo
}

func (s *state) define(c *catalogue, build buildinfo.Info) {
	s.panics = c.counter("outrider_panics_total",
		"Panics that ended one connection and were survived.").WithLabelValues()
	s.logDropped = c.counter("outrider_accesslog_dropped_total",
		"Access-log records lost because their sink failed or was too slow.").WithLabelValues()
	s.svidExpiry = c.gauge("outrider_identity_svid_expiry_timestamp_seconds",
		"When our own certificate expires, in Unix time; 0 while there is none.").WithLabelValues()
	s.bundleExpiry = c.gauge("outrider_identity_bundle_expiry_timestamp_seconds",
		"When the last root of a trust domain's bundle expires, in Unix time.", "trust_domain")
	s.generation = c.gauge("outrider_identity_generation",
		"How often the certificate or the bundles have been replaced; 0 before the first.").WithLabelValues()
	s.idErrors = c.counter("outrider_identity_update_errors_total",
		"Failures to get newer identity material.").WithLabelValues()
	s.policyInfo = c.gauge("outrider_policy_generation_info",
		"Always 1; its label names the policy set in force.", "generation")
	s.policyLoaded = c.gauge("outrider_policy_last_success_timestamp_seconds",
		"When policies were last loaded successfully, in Unix time; 0 before the first.").WithLabelValues()
	s.policyErrors = c.counter("outrider_policy_load_errors_total",
		"Policy sets that were refused; the one before stayed in force.").WithLabelValues()
	s.confirmed = c.gauge("outrider_policy_confirmed_timestamp_seconds",
		"When the source of policies was last seen to say what is in force, in Unix time; 0 before the first.").WithLabelValues()
	s.cached = c.gauge("outrider_policy_cached",
		"1 while the policies in force are those of an earlier run that no control plane has confirmed, else 0.").WithLabelValues()
	s.controlPlane = c.gauge("outrider_control_plane_connected",
		"1 while the control plane can be heard, else 0; 0 where there is none.").WithLabelValues()
	s.destinations = c.gauge("outrider_discovered_destinations",
		"Addresses of which the control plane is asked who answers there.").WithLabelValues()
	s.ready = c.gauge("outrider_ready",
		"1 while the sidecar is ready to serve, else 0.").WithLabelValues()
	c.gauge("outrider_build_info", "Always 1; its labels name the build.",
		"version", "commit", "modified", "go_version").
		WithLabelValues(build.Version, build.Commit, strconv.FormatBool(build.Modified), build.GoVersion).Set(1)
	s.domains = make(map[string]bool)
}

// Panic counts one panic that ended a connection.
func (m *Metrics) Panic() { m.state.panics.Inc() }

// AccessLogDropped counts records that the access log lost.
func (m *Metrics) AccessLogDropped(records int) { m.state.logDropped.Add(float64(records)) }

// Ready says whether the sidecar is ready to serve.
func (m *Metrics) Ready(ready bool) { m.state.ready.Set(oneIf(ready)) }

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Identity records a new snapshot; call it once for each, so that each failure
// is counted once.
func (m *Metrics) Identity(snapshot *identity.Snapshot) {
	s := &m.state
	if snapshot.Err != nil {
		s.idErrors.Inc()
	}
	s.generation.Set(float64(snapshot.Generation))
	if snapshot.SVID != nil && len(snapshot.SVID.Certificates) > 0 {
		s.svidExpiry.Set(unix(snapshot.SVID.Certificates[0].NotAfter))
	}
	if snapshot.Bundles != nil {
		s.setBundles(snapshot.Bundles.Bundles())
	}
}

func (s *state) setBundles(bundles []*x509bundle.Bundle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := make(map[string]bool, len(bundles))
	for _, b := range bundles {
		if len(seen) == maxTrustDomains {
			break
		}
		domain := b.TrustDomain().Name()
		seen[domain] = true
		s.bundleExpiry.WithLabelValues(domain).Set(unix(lastExpiry(b.X509Authorities())))
	}
	for domain := range s.domains {
		if !seen[domain] {
			s.bundleExpiry.DeleteLabelValues(domain)
		}
	}
	s.domains = seen
}

// lastExpiry looks for the latest: while roots are rotated, old ones expire as
// they should, and only the end of the last one is the end of trust.
func lastExpiry(roots []*x509.Certificate) time.Time {
	var last time.Time
	for _, r := range roots {
		if r.NotAfter.After(last) {
			last = r.NotAfter
		}
	}
	return last
}

// unix is 0 for the zero time, whose Unix time is a negative number that reads
// like an overflow.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1e3
}

// PolicyLoaded records that the policy set of that generation is in force since
// at.
func (m *Metrics) PolicyLoaded(generation string, at time.Time) {
	s := &m.state
	s.mu.Lock()
	defer s.mu.Unlock()
	generation = strings.ToValidUTF8(generation, "\uFFFD") // the library panics on anything else
	if s.policy != generation {
		s.policyInfo.DeleteLabelValues(s.policy)
		s.policy = generation
	}
	s.policyInfo.WithLabelValues(generation).Set(1)
	s.policyLoaded.Set(unix(at))
}

// PolicyFailed counts a policy set that was refused.
func (m *Metrics) PolicyFailed() { m.state.policyErrors.Inc() }

// PolicyConfirmed says when the source of policies was last seen to say what is in
// force, and whether that is what is left of an earlier run.
func (m *Metrics) PolicyConfirmed(at time.Time, cached bool) {
	m.state.confirmed.Set(unix(at))
	m.state.cached.Set(oneIf(cached))
}

// ControlPlane says whether the control plane can be heard, and of how many addresses
// it is asked.
func (m *Metrics) ControlPlane(connected bool, destinations int) {
	m.state.controlPlane.Set(oneIf(connected))
	m.state.destinations.Set(float64(destinations))
}
