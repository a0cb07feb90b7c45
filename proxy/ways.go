package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"reflect"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/accept"
	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/hop"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/http2"
	"github.com/outrider-mesh/outrider/proxy/inbound"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/outbound"
	"github.com/outrider-mesh/outrider/proxy/quic"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// way is how traffic gets to a destination or to the application.
type way struct {
	forwarder *forward.Forwarder
	apps      *apps // in place of forwarder where calls are captured
	quic      []*quic.Peer
	spec      any // what it was made from: a reload that leaves it alone keeps the pool
	limits    config.Limits
}

// each calls f with every destination that the way has led to.
func (w *way) each(f func(*balance.Destination)) {
	if w.apps != nil {
		w.apps.each(f)
		return
	}
	f(w.forwarder.Destination)
}

func (w *way) close() {
	if w.apps != nil {
		w.apps.close()
		return
	}
	w.forwarder.Destination.Close()
	for _, p := range w.quic {
		p.Close()
	}
}

func (w *way) eachPool(f func(balance.Pool)) {
	w.each(func(d *balance.Destination) { d.EachPool(f) })
}

// appKey is the key of the way to the application behind an inbound listener.
func appKey(listener string) string { return "app:" + listener }

// outKey is the key of the way that an outbound listener leads to; it is also
// there under the name of its destination.
func outKey(listener string) string { return "out:" + listener }

// makeWays makes what is new and keeps what did not change.
func (t *traffic) makeWays(c *config.Sidecar) (map[string]*way, error) {
	ways := make(map[string]*way)
	for _, d := range c.Spec.Destinations {
		if w := t.unchanged(d.Name, d, c); w != nil {
			ways[d.Name] = w
			continue
		}
		w, err := t.toDestination(c, d)
		if err != nil {
			return nil, fmt.Errorf("destination %q: %w", d.Name, err)
		}
		ways[d.Name] = w
	}
	for _, out := range c.Spec.Outbound {
		if !out.Capture {
			ways[outKey(out.Name)] = ways[out.Destination]
		}
	}
	for _, in := range c.Spec.Inbound {
		key := appKey(in.Name)
		if w := t.unchanged(key, in, c); w != nil {
			ways[key] = w
			continue
		}
		if in.Capture {
			ways[key] = t.newApps(c, in)
			continue
		}
		addr, err := netip.ParseAddrPort(in.Forward)
		if err != nil {
			return nil, fmt.Errorf("listener %q: forward: %w", in.Name, err)
		}
		ways[key] = &way{
			spec: in, limits: c.Spec.Limits,
			forwarder: t.toOne(c, flow.Inbound, in.Name, addr, new(appDialer)),
		}
	}
	return ways, nil
}

func (t *traffic) unchanged(key string, spec any, c *config.Sidecar) *way {
	if w := (*t.ways.Load())[key]; w != nil && reflect.DeepEqual(w.spec, spec) && w.limits == c.Spec.Limits {
		return w
	}
	return nil
}

func expectedIDs(list []string) (mtls.Expected, error) {
	ids := make([]spiffeid.ID, 0, len(list))
	for _, text := range list {
		id, err := spiffeid.FromString(text)
		if err != nil {
			return mtls.Expected{}, fmt.Errorf("spiffe ID %q: %w", text, err)
		}
		ids = append(ids, id)
	}
	return mtls.NewExpected(ids...)
}

// toDestination is a new way to a destination.
func (t *traffic) toDestination(c *config.Sidecar, d config.Destination) (*way, error) {
	w := &way{spec: d, limits: c.Spec.Limits}
	l := effectiveLimits(c.Spec.Limits)
	override(&l.UpstreamConnectTimeout, d.ConnectTimeout)
	override(&l.UpstreamResponseTimeout, d.ResponseTimeout)
	to := balance.Options{Name: d.Name, Zone: c.Metadata.Labels[zoneLabel], MaxPending: d.MaxPending}
	for _, e := range d.AllEndpoints() {
		expected, err := expectedIDs(e.SPIFFEIDs)
		if err != nil {
			return nil, err
		}
		to.Endpoints = append(to.Endpoints, balance.Address{
			AddrPort: e.AddrPort(), Zone: e.Zone, Dial: t.dialer(c, w, d, e.AddrPort(), expected),
		})
	}
	w.forwarder = t.newForwarder(flow.Outbound, l, to)
	w.forwarder.Retry = retryOf(d.Retry, l)
	return w, nil
}

// zoneLabel is the label of a workload that says in which zone it is, as of nodes in
// Kubernetes.
const zoneLabel = "topology.kubernetes.io/zone"

// dialer reaches an endpoint over TCP, QUIC, or whichever of the two works.
func (t *traffic) dialer(c *config.Sidecar, w *way, d config.Destination, addr netip.AddrPort, expected mtls.Expected) balance.Dialer {
	tcp := outbound.NewDialer(t.s.source, expected, markOf(c))
	if d.QUIC == config.QUICOff {
		return tcp
	}
	peer := t.s.quicClient.NewPeer(netip.AddrPortFrom(addr.Addr(), d.QUICPort), t.s.source, expected)
	w.quic = append(w.quic, peer)
	return outbound.NewQUICDialer(peer, tcp, t.path(d))
}

// retryOf is nil where nothing is to be sent again.
func retryOf(r *config.Retry, l limits.Limits) *forward.Retry {
	if r == nil {
		return nil
	}
	return &forward.Retry{
		Attempts: r.Attempts, Statuses: r.Statuses, Methods: r.Methods, BodyBytes: l.RetryBodyBytes,
		Budget: forward.NewBudget(r.BudgetPercent),
	}
}

// toOne is a way to one address.
func (t *traffic) toOne(c *config.Sidecar, dir flow.Direction, name string, addr netip.AddrPort, dial balance.Dialer) *forward.Forwarder {
	return t.newForwarder(dir, effectiveLimits(c.Spec.Limits), balance.Options{
		Name: name, Endpoints: []balance.Address{{AddrPort: addr, Dial: dial}},
	})
}

func (t *traffic) newForwarder(dir flow.Direction, l limits.Limits, to balance.Options) *forward.Forwarder {
	return &forward.Forwarder{
		Destination: balance.New(t.pooled(l, to)),
		Direction:   dir, Metrics: t.s.metrics, TCPIdleTimeout: l.TCPIdleTimeout, ConnectTimeout: l.UpstreamConnectTimeout,
	}
}

// pooled adds how the connections of a destination are kept.
func (t *traffic) pooled(l limits.Limits, to balance.Options) balance.Options {
	to.HTTP1 = http1.ClientOptions{Limits: l, Buffers: &t.s.http1Buffers}
	to.HTTP2 = http2.ClientOptions{Limits: l, Buffers: &t.s.http2Buffers}
	return to
}

// appDialer reaches the application in plaintext.
type appDialer struct{ net net.Dialer }

// Dial implements balance.Dialer.
func (d *appDialer) Dial(ctx context.Context, addr netip.AddrPort, _ flow.Protocol) (balance.Dialed, error) {
	nc, err := d.net.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return balance.Dialed{}, err
	}
	return balance.Dialed{Conn: socket.Wrap(nc)}, nil
}

// inbound makes an inbound listener.
func (t *traffic) inbound(c *config.Sidecar, in config.Inbound, socket accept.Listener) server {
	s, key := t.s, appKey(in.Name)
	return inbound.New(inbound.Options{
		Name: in.Name, Listener: socket, Protocol: protocolOf(in.Protocol), Captured: t.capturedInbound(in), Sentry: s.sentry,
		Strict:       func() bool { return s.strictAt(in) },
		AllowConnect: in.Connect == config.ConnectForward,
		App:          func() *forward.Forwarder { return t.forwarder(key) },
		Base:         t.base,
		Source:       s.source, TLS: mtls.ServerConfig(s.source, mtls.ServerOptions{NextProtos: hop.ServerProtocols()}),
		Enforcer: &s.enforcer, Inspector: &s.inspector, Tracker: &s.tracker, Gate: s.gate,
		Metrics: s.metrics, AccessLog: s.log, IDs: s.ids, HTTP1: &s.http1Buffers, HTTP2: &s.http2Buffers,
		Limits: effectiveLimits(c.Spec.Limits), Log: s.opts.Log,
	})
}

// outbound makes an outbound listener.
func (t *traffic) outbound(c *config.Sidecar, out config.Outbound, socket accept.Listener) server {
	s := t.s
	key := outKey(out.Name)
	return outbound.New(outbound.Options{
		Name: out.Name, Listener: socket, Protocol: protocolOf(out.Protocol), Captured: t.capturedOutbound(out), Sentry: s.sentry,
		AllowConnect: out.Connect == config.ConnectForward,
		Service:      out.Destination,
		Forward:      func() *forward.Forwarder { return t.forwarder(key) },
		Base:         t.base, Tracker: &s.tracker, Gate: s.gate,
		Metrics: s.metrics, AccessLog: s.log, IDs: s.ids, HTTP1: &s.http1Buffers, HTTP2: &s.http2Buffers,
		Limits: effectiveLimits(c.Spec.Limits), Log: s.opts.Log,
	})
}

// forwarder is the present way to a destination or application; nil if there is
// none.
func (t *traffic) forwarder(key string) *forward.Forwarder {
	if w := (*t.ways.Load())[key]; w != nil {
		return w.forwarder
	}
	return nil
}

func protocolOf(p config.Protocol) flow.Protocol {
	switch p {
	case config.HTTP:
		return flow.HTTP1
	case config.TCP:
		return flow.TCP
	case config.Detect:
	}
	return flow.Undetected
}
