package outbound

import (
	"net"

	"github.com/outrider-mesh/outrider/proxy/capture"
	"github.com/outrider-mesh/outrider/proxy/detect"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

// take serves a connection, unless it has done its work by arriving.
func (l *Listener) take(raw net.Conn) {
	if l.opts.Sentry.Took(raw) {
		_ = raw.Close() // nothing is said on it
		return
	}
	l.serve(raw)
}

// capture finds where a redirected connection was going, and the way there. A
// listener that is called by its own address has one destination, and nothing is
// to be found.
func (c *conn) capture() bool {
	c.declared, c.port = c.l.opts.Protocol, &c.l.port
	find := c.l.opts.Captured
	if find == nil {
		return true
	}
	to, err := capture.Original(c.nc)
	if err != nil {
		c.l.opts.Metrics.Captured(flow.Outbound, telemetry.CaptureNotRedirected)
		c.Flow.Refusal = flow.Refusal{Reason: flow.NotRedirected, Detail: err.Error()}
		return false
	}
	way := find(to)
	c.l.opts.Metrics.Captured(flow.Outbound, resultOf(way))
	c.Flow.Original, c.Flow.Destination = to, to
	c.Flow.Service, c.Flow.Passthrough = way.Service, way.Passthrough
	c.port = c.l.ports.At(to)
	c.unresolved.Store(way.Unresolved)
	c.to.Latest = func() *forward.Forwarder {
		now := find(to)
		c.unresolved.Store(now.Unresolved)
		if now.Passthrough != way.Passthrough {
			return nil // what was said so far was for somebody else; the next connection is not
		}
		return now.Forward
	}
	switch {
	case way.Passthrough:
		c.declared = flow.TCP // whom we don't know, we don't speak for
	case way.Protocol != flow.Undetected:
		c.declared = way.Protocol
	case c.declared == flow.Undetected && detect.OpaqueByConvention(to.Port()):
		c.declared = flow.TCP
	}
	return true
}

func resultOf(w Way) telemetry.CaptureResult {
	switch {
	case w.Passthrough:
		return telemetry.CapturePassthrough
	case w.Unresolved:
		return telemetry.CaptureUnresolved
	case w.Forward == nil:
		return telemetry.CaptureUnknown
	}
	return telemetry.CaptureKnown
}

// stillPasses judges a connection that passed by again, when the configuration
// has changed: unknown destinations may be refused now, or this one be known. It
// is nil for every other connection.
func (c *conn) stillPasses() func() bool {
	if !c.Flow.Passthrough {
		return nil
	}
	find, to := c.l.opts.Captured, c.Flow.Original
	return func() bool { return find(to).Passthrough }
}

// nowhere says why there is no way.
func (c *conn) nowhere() flow.Refusal {
	if c.unresolved.Load() {
		return flow.Refusal{Reason: flow.Unresolved, Detail: "the control plane has not said who answers at " + c.Flow.Original.String()}
	}
	detail := "it was taken out of the configuration"
	if c.Flow.Original.IsValid() {
		detail = "no destination has the address " + c.Flow.Original.String() +
			"; name it in spec.destinations, or let it pass with spec.capture.unknown: Passthrough"
	}
	return flow.Refusal{Reason: flow.NoDestination, Detail: detail}
}
