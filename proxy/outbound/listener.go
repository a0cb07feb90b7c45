package outbound

import (
	"context"
	"log/slog"
	"net"
	"net/netip"

	"github.com/outrider-mesh/outrider/proxy/accept"
	"github.com/outrider-mesh/outrider/proxy/accesslog"
	"github.com/outrider-mesh/outrider/proxy/capture"
	"github.com/outrider-mesh/outrider/proxy/detect"
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
	"github.com/outrider-mesh/outrider/proxy/ledger"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

// Options configure a [Listener]. Every field that doesn't say otherwise is
// required.
type Options struct {
	// Name labels logs and metrics.
	Name string
	// Listener stays the caller's.
	Listener accept.Listener
	// Protocol is what the listener is declared to carry; Undetected leaves it
	// to the first bytes.
	Protocol flow.Protocol
	// AllowConnect lets CONNECT through to the destination.
	AllowConnect bool
	// Service is the name of the destination; empty with Captured.
	Service string
	// Forward returns the way to the destination, which a reload may replace;
	// nil once there is none. Captured takes its place.
	Forward func() *forward.Forwarder
	// Captured finds the way of a redirected connection by where it was going;
	// nil for a listener that is called by its own address.
	Captured func(netip.AddrPort) Way
	// Sentry is shown what a redirected connection may be; nil: nobody looks.
	Sentry *capture.Sentry
	// Base ends when every connection must end.
	Base    context.Context //nolint:containedctx // the parent of every connection's
	Tracker *drain.Tracker
	Gate    *accept.Gate
	Metrics *telemetry.Metrics
	// AccessLog is nil where no log is kept.
	AccessLog *accesslog.Writer
	IDs       *accesslog.IDs
	HTTP1     *http1.Buffers
	HTTP2     *http2.Buffers
	Limits    limits.Limits
	Log       *slog.Logger
}

// A Way is where captured calls to one address go. Its zero value says that
// nobody knows.
type Way struct {
	// Forward is nil where the call is refused.
	Forward *forward.Forwarder
	// Service is the name of the destination.
	Service string
	// Protocol is what the destination is declared to carry.
	Protocol flow.Protocol
	// Passthrough tells that nobody configured the destination: the call goes
	// there in plaintext.
	Passthrough bool
	// Unresolved tells that nobody has said yet who answers there. Then there is no
	// way, not even past us.
	Unresolved bool
}

// A Listener takes the calls of the application to one destination, or, if they
// are redirected, to all of them.
type Listener struct {
	opts  Options
	http1 *http1.Server
	http2 *http2.Server
	loop  *accept.Loop
	port  detect.Port     // what earlier connections told about it
	ports *detect.Memory  // the same of each original destination
	app   flow.Connection // what every connection starts with
	books ledger.Books
}

// New returns a listener that does not accept yet.
func New(opts Options) *Listener {
	l := &Listener{
		opts:  opts,
		app:   flow.Connection{Direction: flow.Outbound, Listener: opts.Name, Service: opts.Service},
		books: ledger.Books{Tracker: opts.Tracker, Metrics: opts.Metrics, AccessLog: opts.AccessLog},
	}
	if opts.Captured != nil {
		l.ports = detect.NewMemory(opts.Limits.DetectPorts)
	}
	l.http1 = http1.NewServer(http1.ServerOptions{
		Limits: opts.Limits, Buffers: opts.HTTP1, AllowConnect: opts.AllowConnect,
	})
	l.http2 = http2.NewServer(http2.ServerOptions{
		Limits: opts.Limits, Buffers: opts.HTTP2, AllowConnect: opts.AllowConnect,
	})
	l.loop = &accept.Loop{
		Listener: opts.Listener, Gate: opts.Gate, Serve: l.take, Refuse: l.overloaded,
		Panicked: opts.Metrics.Panic, Log: opts.Log,
	}
	return l
}

// Addr is where the listener is bound.
func (l *Listener) Addr() net.Addr { return l.opts.Listener.Addr() }

// Run accepts until ctx ends; connections that are open then go on.
func (l *Listener) Run(ctx context.Context) error { return l.loop.Run(ctx) }

// Wait returns when every connection has ended.
func (l *Listener) Wait() { l.loop.Wait() }
