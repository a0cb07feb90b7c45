package telemetry

import (
	"sync/atomic"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// A ConnectionMetrics counts one connection and what it carries.
type ConnectionMetrics struct {
	traffic  *traffic
	policies *policies
	series   *series
	closed   atomic.Bool
	// What Transferred has already counted, so that Closed adds the rest.
	received, sent atomic.Int64
}

// Connection counts conn as opened and returns what counts the rest of its
// life. Call it once the peer, the security and the protocol are known, or once
// it is known that they never will be because the connection is refused.
// [ConnectionMetrics.Closed] must follow.
func (m *Metrics) Connection(conn *flow.Connection) *ConnectionMetrics {
	s := m.traffic.lookup(conn)
	s.opened.Inc()
	s.active.Inc()
	return &ConnectionMetrics{traffic: &m.traffic, policies: &m.policies, series: s}
}

// Becomes counts on as what conn is known to be now. It counts as opened as what it
// seemed to be at first.
func (c *ConnectionMetrics) Becomes(conn *flow.Connection) {
	c.series.active.Dec()
	c.series = c.traffic.lookup(conn)
	c.series.active.Inc()
}

// Request counts one finished request: its outcome, duration, bytes and
// inspection. It allocates nothing once its combination of reason and status
// class has been seen on any connection of the same kind.
func (c *ConnectionMetrics) Request(req *flow.Request) {
	t, d := c.traffic, c.series.direction
	reason := req.Refusal.Reason
	c.series.requests.inc(int(reason), classOf(req.Status))
	t.durations[d][outcomeOf(reason)].Observe(req.Times.Total.Seconds())
	c.bytes(req.Received, req.Sent)
	if req.Inspection.Outcome != flow.InspectionOff {
		t.inspections[d].inc(int(req.Inspection.Outcome), int(req.Inspection.Uninspected))
	}
	if req.Inspection.Trial != nil {
		c.policies.trial(req.Inspection.Trial)
	}
	if req.Stream != flow.NoStream {
		t.streams[d].inc(int(req.Stream), 0)
	}
}

// Transferred counts bytes of an opaque connection while they flow, so that one
// which lives for days is not invisible until it ends. Calling it is optional.
func (c *ConnectionMetrics) Transferred(received, sent int64) {
	c.received.Add(received)
	c.sent.Add(sent)
	c.bytes(received, sent)
}

// Closed counts the end of the connection, its reason, and those of its bytes
// that were not counted yet. Only the first call counts.
func (c *ConnectionMetrics) Closed(conn *flow.Connection) {
	if c.closed.Swap(true) {
		return
	}
	c.series.active.Dec()
	c.series.closed.inc(int(conn.Refusal.Reason), 0)
	if !conn.Protocol.IsHTTP() { // the bytes of HTTP were counted with its requests
		c.bytes(conn.Received-c.received.Load(), conn.Sent-c.sent.Load())
	}
}

func (c *ConnectionMetrics) bytes(received, sent int64) {
	if received > 0 { // a counter panics when it is asked to go down
		c.traffic.received[c.series.direction].Add(float64(received))
	}
	if sent > 0 {
		c.traffic.sent[c.series.direction].Add(float64(sent))
	}
}
