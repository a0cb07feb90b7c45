package inbound

import (
	"net"
	"net/netip"

	"github.com/outrider-mesh/outrider/proxy/capture"
	"github.com/outrider-mesh/outrider/proxy/detect"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/hop"
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

// capture finds where a redirected connection was going, which is where it will
// be forwarded and the port that policies speak of. A listener that is called by
// its own address has one application, and nothing is to be found.
func (c *conn) capture() bool {
	c.declared, c.port = c.l.opts.Protocol, new(detect.Port)
	how := c.l.opts.Captured
	if how == nil {
		return true
	}
	to, err := c.original()
	if err != nil {
		c.l.opts.Metrics.Captured(flow.Inbound, telemetry.CaptureNotRedirected)
		return c.refuse(flow.NotRedirected, err.Error())
	}
	c.Flow.Original, c.Flow.Destination = to, to
	if how.Own(to.Port()) {
		c.l.opts.Metrics.Captured(flow.Inbound, telemetry.CaptureNotRedirected)
		return c.refuse(flow.NotRedirected, "the port is the sidecar's own")
	}
	c.l.opts.Metrics.Captured(flow.Inbound, telemetry.CaptureKnown)
	c.declared, c.port = how.Protocol(to.Port()), c.l.ports.At(to)
	c.to.Latest = func() *forward.Forwarder { return how.App(to) }
	return true
}

// original is where the caller wanted to go: what the kernel remembers of a
// redirected connection, or what the caller has declared on a stream.
func (c *conn) original() (netip.AddrPort, error) {
	if c.made != nil {
		return c.made.to, nil
	}
	return capture.Original(c.nc)
}

// opaqueByConvention tells whether a captured connection goes to a port where
// nobody has declared anything and HTTP is not to be expected.
func (c *conn) opaqueByConvention() bool {
	return c.Flow.Original.IsValid() && detect.OpaqueByConvention(c.Flow.Original.Port())
}

// isTheApplications tells whether TLS on a permissive port is that of the
// application: where the operator has declared a captured port opaque, a client
// that is no sidecar is taken to mean the application's own certificate. It has
// no identity then.
func (c *conn) isTheApplications() bool {
	if !c.Flow.Original.IsValid() || c.declared != flow.TCP {
		return false
	}
	offered, replay, err := detect.Offered(c.nc, c.l.opts.Limits.DetectTimeout)
	c.nc = replay
	return err == nil && !hop.FromSidecar(offered) // else the handshake says what is wrong
}
