package proxy

import (
	"io"
	"log/slog"
	"time"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/limits"
)

// Options are what a [Sidecar] is made of.
type Options struct {
	// Config is the parsed and valid configuration; required.
	Config *config.Sidecar
	// ConfigPath is the file that Config came from; it is watched and read
	// again when it changes. Empty: there is nothing to watch.
	ConfigPath string
	// EndpointSocket is the value of SPIFFE_ENDPOINT_SOCKET, used where the
	// configuration names no socket.
	EndpointSocket string
	// PodName is the value of POD_NAME, by which the control plane knows this workload;
	// empty: by the name in the configuration.
	PodName string
	// Source replaces the identity source of the configuration; nil keeps it.
	Source identity.Source
	// Stdout and Stderr are where an access log of that name goes; required.
	Stdout, Stderr io.Writer
	// Log receives the events of the process; required.
	Log *slog.Logger
	// SweepInterval is how often connections are checked for certificates that
	// expired and pools for connections that are past their time; 0 means 1 s.
	SweepInterval time.Duration
	// PolicyInterval is how often the policy directory is looked at even if
	// the system notified no change; 0 means the feed's default.
	PolicyInterval time.Duration
	// Sparse is told, before policies are compiled, whether much of the memory in use
	// will stay: inspection's rules. Nil: nobody wants to know.
	Sparse func(bool)
	// DestinationIdle is when a discovered destination that nobody calls is forgotten;
	// 0 means what package limits says.
	DestinationIdle time.Duration
}

// effectiveLimits are the defaults with what the configuration overrides.
func effectiveLimits(c config.Limits) limits.Limits {
	l := limits.Default()
	override(&l.Connections, c.Connections)
	override(&l.HeadBytes, c.HeadBytes)
	override(&l.TargetBytes, c.TargetBytes)
	override(&l.HeaderCount, c.HeaderCount)
	override(&l.BodyBytes, c.BodyBytes)
	override(&l.IdleTimeout, c.IdleTimeout)
	override(&l.HeadTimeout, c.HeadTimeout)
	override(&l.BodyTimeout, c.BodyTimeout)
	override(&l.WriteTimeout, c.WriteTimeout)
	override(&l.HandshakeTimeout, c.HandshakeTimeout)
	override(&l.DetectTimeout, c.DetectTimeout)
	override(&l.TCPIdleTimeout, c.TCPIdleTimeout)
	override(&l.InspectionWait, c.InspectionWait)
	override(&l.InspectionTimeout, c.InspectionTimeout)
	override(&l.UpstreamConnectTimeout, c.UpstreamConnectTimeout)
	override(&l.UpstreamResponseTimeout, c.UpstreamResponseTimeout)
	override(&l.UpstreamIdleTimeout, c.UpstreamIdleTimeout)
	override(&l.UpstreamIdle, c.UpstreamIdlePerDestination)
	override(&l.UpstreamConnections, c.UpstreamConnectionsPerDestination)
	return l
}

func override[T int | int64 | time.Duration](value *T, by T) {
	if by != 0 {
		*value = by
	}
}
