package telemetry

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// An UpstreamResult is how a connection to the next hop was had.
type UpstreamResult uint8

// The results; a closed set, as it labels a metric.
const (
	// UpstreamNew: dialled.
	UpstreamNew UpstreamResult = iota
	// UpstreamReused: taken from the pool.
	UpstreamReused
	// UpstreamStaleRetry: dialled because the pooled one turned out to be dead.
	UpstreamStaleRetry
	// UpstreamFailed: none could be had.
	UpstreamFailed

	upstreamCount
)

var upstreamNames = [upstreamCount]string{"new", "reused", "stale_retry", "failed"}

// A CaptureResult is what became of a redirected connection.
type CaptureResult uint8

// The results; a closed set, as it labels a metric.
const (
	// CaptureKnown: it is for the application, or for a configured destination.
	CaptureKnown CaptureResult = iota
	// CapturePassthrough: it goes to a destination that nobody configured.
	CapturePassthrough
	// CaptureUnknown: there is no such destination, so it is refused.
	CaptureUnknown
	// CaptureNotRedirected: it was not redirected, or leads back to us.
	CaptureNotRedirected
	// CaptureUnresolved: nobody has said yet who answers there, so it is refused.
	CaptureUnresolved

	captureCount
)

var captureNames = [captureCount]string{"known", "passthrough", "unknown", "not_redirected", "unresolved"}

// A RetryResult is what became of a request that was to be sent again.
type RetryResult uint8

// The results.
const (
	// Retried: it was sent again.
	Retried RetryResult = iota
	// RetryOverBudget: the destination had no retry left.
	RetryOverBudget

	retryCount
)

var retryNames = [retryCount]string{"retried", "over_budget"}

// Sizes of the closed sets that index arrays of counters.
const (
	inspectionCount  = int(flow.NotInspected) + 1
	uninspectedCount = flow.UninspectedCount
)

// traffic holds the metrics of connections and requests.
type traffic struct {
	requests    *prometheus.CounterVec
	opened      *prometheus.CounterVec
	closed      *prometheus.CounterVec
	active      *prometheus.GaugeVec
	folded      prometheus.Counter
	durations   [directionCount][outcomeCount]prometheus.Observer
	received    [directionCount]prometheus.Counter
	sent        [directionCount]prometheus.Counter
	upstream    [directionCount][upstreamCount]prometheus.Counter
	captured    [directionCount][captureCount]prometheus.Counter
	fallbacks   *prometheus.CounterVec
	retries     [retryCount]prometheus.Counter
	inspections [directionCount]grid
	streams     [directionCount]grid

	peers  peers
	mu     sync.RWMutex
	series map[seriesKey]*series
}

func (t *traffic) define(c *catalogue) {
	t.requests = c.counter("outrider_requests_total", "HTTP requests finished.",
		"direction", "peer", "protocol", "security", "outcome", "reason", "code_class")
	durations := c.histogram("outrider_request_duration_seconds",
		"Time from the first byte of a request to the last byte of its answer.",
		durationBuckets, "direction", "outcome")
	t.opened = c.counter("outrider_connections_opened_total", "Connections accepted.",
		"direction", "peer", "protocol", "security")
	t.closed = c.counter("outrider_connections_closed_total", "Connections ended, by why.",
		"direction", "peer", "protocol", "security", "reason")
	t.active = c.gauge("outrider_connections_active", "Connections open now.",
		"direction", "protocol", "security")
	received := c.counter("outrider_received_bytes_total",
		"Bytes received from whoever connected: bodies of HTTP, all bytes of TCP.", "direction")
	sent := c.counter("outrider_sent_bytes_total",
		"Bytes sent to whoever connected: bodies of HTTP, all bytes of TCP.", "direction")
	inspections := c.counter("outrider_inspections_total",
		"Requests that a policy wanted inspected, by outcome and by why some or all of it was not.",
		"direction", "outcome", "reason")
	streams := c.counter("outrider_streams_total",
		"Requests finished that were streams, of which inspection sees the head.", "direction", "class")
	upstream := c.counter("outrider_upstream_connections_total",
		"Connections to the next hop that requests asked for, by how they were had.", "direction", "result")
	retries := c.counter("outrider_retries_total",
		"Requests that were to be sent again because the next hop had failed, by whether they were.", "result")
	for i, result := range retryNames {
		t.retries[i] = retries.WithLabelValues(result)
	}
	t.fallbacks = c.counter("outrider_quic_fallbacks_total",
		"Connections to destinations with quic: Auto that were made over TCP, by why.", "reason")
	captured := c.counter("outrider_captured_connections_total",
		"Connections that arrived at a capture port, by what became of them.", "direction", "result")
	t.folded = c.counter("outrider_folded_series_total",
		"Connections counted under peer=\"other\" because the cap on distinct peers was reached.").WithLabelValues()

	t.series = make(map[seriesKey]*series)
	for d := range directions {
		direction := directions[d].String()
		for o, outcome := range outcomeNames {
			t.durations[d][o] = durations.WithLabelValues(direction, outcome)
		}
		for u, result := range upstreamNames {
			t.upstream[d][u] = upstream.WithLabelValues(direction, result)
		}
		for i, result := range captureNames {
			t.captured[d][i] = captured.WithLabelValues(direction, result)
		}
		t.received[d] = received.WithLabelValues(direction)
		t.sent[d] = sent.WithLabelValues(direction)
		t.inspections[d] = newGrid(inspectionCount, uninspectedCount, func(outcome, reason int) prometheus.Counter {
			return inspections.WithLabelValues(direction,
				flow.Outcome(outcome).String(), flow.Uninspected(reason).String()) //nolint:gosec // both are below their counts
		})
		t.streams[d] = newGrid(len(flow.Classes()), 1, func(class, _ int) prometheus.Counter {
			return streams.WithLabelValues(direction, flow.Class(class).String()) //nolint:gosec // below their count
		})
	}
}

// Upstream counts one connection to the next hop.
func (m *Metrics) Upstream(d flow.Direction, r UpstreamResult) {
	if r >= upstreamCount {
		r = UpstreamFailed
	}
	m.traffic.upstream[directionOf(d)][r].Inc()
}

// Captured counts one redirected connection.
func (m *Metrics) Captured(d flow.Direction, r CaptureResult) {
	if r < captureCount {
		m.traffic.captured[directionOf(d)][r].Inc()
	}
}

// Retry counts one request that was to be sent again.
func (m *Metrics) Retry(r RetryResult) {
	if r < retryCount {
		m.traffic.retries[r].Inc()
	}
}

// QUICFallback counts one connection that was made over TCP where QUIC was preferred.
// The reasons are a closed set.
func (m *Metrics) QUICFallback(reason string) { m.traffic.fallbacks.WithLabelValues(reason).Inc() }

// A seriesKey is what the label sets of one connection depend on.
type seriesKey struct {
	direction flow.Direction
	protocol  flow.Protocol
	security  flow.Security
	peer      string
}

// A series holds the resolved handles of all connections with one key.
type series struct {
	direction int
	opened    prometheus.Counter
	active    prometheus.Gauge
	closed    grid // by reason
	requests  grid // by reason and class of the status
}

func (t *traffic) lookup(conn *flow.Connection) *series {
	peer, folded := t.peers.label(conn.PeerID)
	if folded {
		t.folded.Inc()
	}
	key := seriesKey{conn.Direction, conn.Protocol, conn.Security, peer}
	t.mu.RLock()
	s := t.series[key]
	t.mu.RUnlock()
	if s != nil {
		return s
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s = t.series[key]; s == nil {
		s = t.resolve(key)
		t.series[key] = s
	}
	return s
}

func (t *traffic) resolve(key seriesKey) *series {
	d := directionOf(key.direction)
	direction, protocol, security := directions[d].String(), key.protocol.String(), key.security.String()
	reasons := flow.Reasons()
	return &series{
		direction: d,
		opened:    t.opened.WithLabelValues(direction, key.peer, protocol, security),
		active:    t.active.WithLabelValues(direction, protocol, security),
		closed: newGrid(len(reasons), 1, func(reason, _ int) prometheus.Counter {
			return t.closed.WithLabelValues(direction, key.peer, protocol, security, reasons[reason].String())
		}),
		requests: newGrid(len(reasons), len(classNames), func(reason, class int) prometheus.Counter {
			return t.requests.WithLabelValues(direction, key.peer, protocol, security,
				outcomeNames[outcomeOf(reasons[reason])], reasons[reason].String(), classNames[class])
		}),
	}
}

// A grid is a table of counters that are made when they are first counted, so
// that combinations which never happen are neither kept nor exposed.
type grid struct {
	width int
	cells []atomic.Pointer[cell]
	make  func(row, column int) prometheus.Counter
}

// A cell boxes the interface, which an atomic.Pointer cannot hold itself.
type cell struct{ prometheus.Counter }

func newGrid(rows, columns int, resolve func(row, column int) prometheus.Counter) grid {
	return grid{width: columns, cells: make([]atomic.Pointer[cell], rows*columns), make: resolve}
}

func (g *grid) inc(row, column int) {
	i := row*g.width + column
	if row < 0 || i >= len(g.cells) {
		return // an enumeration of package flow grew past this package; its test says so
	}
	c := g.cells[i].Load()
	if c == nil {
		// Two goroutines may both get here; the vector gives both the same counter.
		c = &cell{g.make(row, column)}
		g.cells[i].Store(c)
	}
	c.Inc()
}
