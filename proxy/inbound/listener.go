package inbound

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/proxy/accept"
	"github.com/outrider-mesh/outrider/proxy/accesslog"
	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/capture"
	"github.com/outrider-mesh/outrider/proxy/detect"
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/enforce"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/hop"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
	"github.com/outrider-mesh/outrider/proxy/inspect"
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
	// to ALPN and to the first bytes.
	Protocol flow.Protocol
	// Strict tells whether plaintext is refused; asked for every connection.
	Strict func() bool
	// AllowConnect lets CONNECT through to the application.
	AllowConnect bool
	// App returns the way to the application, which a reload may replace; nil
	// once there is none. Its one endpoint's port is the one that policies
	// speak of. Captured takes its place.
	App func() *forward.Forwarder
	// Captured is for a listener that redirected connections arrive at; nil
	// for one that is called by its own address.
	Captured *Captured
	// Sentry is shown what a redirected connection may be; nil: nobody looks.
	Sentry *capture.Sentry

	// Base ends when every connection must end.
	Base      context.Context //nolint:containedctx // the parent of every connection's
	Source    identity.Source
	TLS       *tls.Config
	Enforcer  *enforce.Enforcer
	Inspector *inspect.Holder
	Tracker   *drain.Tracker
	Gate      *accept.Gate
	Metrics   *telemetry.Metrics
	// AccessLog is nil where no log is kept.
	AccessLog *accesslog.Writer
	IDs       *accesslog.IDs
	HTTP1     *http1.Buffers
	HTTP2     *http2.Buffers
	Limits    limits.Limits
	Log       *slog.Logger
}

// Captured is what differs from one redirected connection to the next.
type Captured struct {
	// Protocol is what a port of the application is declared to carry.
	Protocol func(port uint16) flow.Protocol
	// App returns the way to an address of the application; nil once the
	// listener is gone. It is asked when a call is allowed, and not before.
	App func(netip.AddrPort) *forward.Forwarder
	// Own tells whether a port is one of the sidecar's, which nothing is
	// forwarded to.
	Own func(port uint16) bool
}

// A Listener takes calls for one port of the application, or, if they are
// redirected, for all of them.
type Listener struct {
	opts  Options
	http1 *http1.Server
	http2 *http2.Server
	// shared is http2 for connections that other sidecars share among their clients.
	shared *http2.Server
	loop   *accept.Loop
	app    flow.Connection // what every connection starts with
	ports  *detect.Memory  // of captured connections

	books ledger.Books
}

// New returns a listener that does not accept yet.
func New(opts Options) *Listener {
	l := &Listener{opts: opts, books: ledger.Books{Tracker: opts.Tracker, Metrics: opts.Metrics, AccessLog: opts.AccessLog}}
	l.http1 = http1.NewServer(http1.ServerOptions{
		Limits: opts.Limits, Buffers: opts.HTTP1, AllowConnect: opts.AllowConnect,
	})
	l.http2 = http2.NewServer(http2.ServerOptions{
		Limits: opts.Limits, Buffers: opts.HTTP2, AllowConnect: opts.AllowConnect,
	})
	among := opts.Limits
	among.StreamResets = among.SharedStreamResets
	l.shared = http2.NewServer(http2.ServerOptions{Limits: among, Buffers: opts.HTTP2, AllowConnect: opts.AllowConnect})
	l.app = flow.Connection{Direction: flow.Inbound, Listener: opts.Name}
	if opts.Captured != nil {
		l.ports = detect.NewMemory(opts.Limits.DetectPorts)
	} else if app := opts.App(); app != nil {
		l.app.Destination = destinationOf(app)
	}
	l.loop = &accept.Loop{
		Listener: opts.Listener, Gate: opts.Gate, Serve: l.take, Refuse: l.overloaded,
		Panicked: opts.Metrics.Panic, Log: opts.Log,
	}
	return l
}

// destinationOf is the application's one endpoint.
func destinationOf(app *forward.Forwarder) (addr netip.AddrPort) {
	app.Destination.Each(func(e *balance.Endpoint) { addr = e.Addr })
	return addr
}

// Addr is where the listener is bound.
func (l *Listener) Addr() net.Addr { return l.opts.Listener.Addr() }

// Run accepts until ctx ends; connections that are open then go on.
func (l *Listener) Run(ctx context.Context) error { return l.loop.Run(ctx) }

// ServeHop takes a hop that was made elsewhere, as a stream of a QUIC connection is,
// through the stages that a connection of the listener's own goes through, and returns
// when it has ended. To is the address that the caller named; begin tells the caller
// that it is served. It is false if the listener takes nothing any more: the hop is
// still the caller's then.
func (l *Listener) ServeHop(h *hop.Conn, to netip.AddrPort, begin func() error) bool {
	return l.loop.Handle(&made{h, to, begin})
}

// made is a hop that was made elsewhere.
type made struct {
	*hop.Conn
	to    netip.AddrPort
	begin func() error
}

// Wait returns when every connection has ended.
func (l *Listener) Wait() { l.loop.Wait() }
