package proxy

import (
	"context"
	"errors"
	"net"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/outrider-mesh/outrider/proxy/accept"
	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// traffic is the set of listeners, and the ways to the applications and
// destinations behind them. It changes when the configuration does.
type traffic struct {
	s *Sidecar
	// base ends when every connection must end.
	base  context.Context //nolint:containedctx // the parent of every connection's
	abort context.CancelFunc

	mu    sync.Mutex
	open  map[string]*openListener // by name
	limit *config.Limits           // those the listeners were made with
	// closed: nothing is opened any more.
	closed bool
	// ways are by destination name, or by listener: see appKey and outKey. The
	// map is replaced as a whole.
	ways atomic.Pointer[map[string]*way]
	// routes find the way of a captured call.
	routes atomic.Pointer[routes]
	// ended collects the accept loops, those of listeners that are gone included.
	ended sync.WaitGroup
	// quic is nil where hops come over TCP only.
	quic *quicServer
	// attempts are calls over QUIC that nobody waits for any more.
	attempts sync.WaitGroup
}

// server is what inbound and outbound listeners have in common.
type server interface {
	Run(ctx context.Context) error
	Wait()
}

// openListener is a bound socket and what accepts from it at the moment.
type openListener struct {
	socket accept.Listener
	spec   any // config.Inbound or config.Outbound
	server server
	stop   context.CancelFunc
	done   chan struct{} // closed when the accept loop has ended
}

func newTraffic(s *Sidecar) *traffic {
	t := &traffic{s: s, open: map[string]*openListener{}}
	t.ways.Store(&map[string]*way{})
	return t
}

// run opens the listeners once identity and policies are there, and drains them
// when ctx ends.
func (t *traffic) run(ctx context.Context, force <-chan struct{}) error {
	t.base, t.abort = context.WithCancel(context.WithoutCancel(ctx))
	defer t.abort()
	if !t.s.awaitIdentity(ctx) || !t.s.awaitPolicies(ctx) {
		return nil
	}
	if err := t.start(t.s.config.Load()); err != nil { //nolint:contextcheck // connections outlive ctx: they are drained
		t.closeAll()
		return errors.Join(err, t.closeQUIC())
	}
	t.s.readiness.Set(conditionListeners, nil)
	close(t.s.ready)
	t.s.opts.Log.Info("ready", "spiffe_id", t.s.source.Current().SVID.ID.String(), "listeners", len(t.s.Addresses()))

	<-ctx.Done()
	t.s.readiness.Set(conditionListeners, errDraining)
	t.drain(ctx, force)
	return t.closeQUIC()
}

// start opens everything that takes traffic.
func (t *traffic) start(c *config.Sidecar) error {
	if err := t.configure(c); err != nil {
		return err
	}
	return t.listenQUIC(c)
}

var errDraining = errors.New("draining")

// awaitPolicies returns false when ctx ends before a first policy set is in
// force.
func (s *Sidecar) awaitPolicies(ctx context.Context) bool {
	select {
	case <-s.policiesLoaded:
		return true
	case <-ctx.Done():
		return false
	}
}

// drain closes the sockets, lets connections end, and cuts off what is left when
// the time is up or force is closed.
func (t *traffic) drain(ctx context.Context, force <-chan struct{}) {
	t.closeAll()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.s.drainTimeout())
	defer cancel()
	t.s.opts.Log.Info("draining", "connections", t.s.tracker.Len(), "timeout", t.s.drainTimeout())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.ended.Wait()
	}()
	t.s.tracker.Drain()
	select {
	case <-ended:
	case <-force:
	case <-limit.Done():
	}
	t.s.tracker.Abort()
	t.abort()
	t.eachPool(func(p balance.Pool) { // an exchange may be waiting for its answer
		p.CloseIf(func(net.Conn) bool { return true })
	})
	<-ended
	for _, w := range *t.ways.Load() {
		w.close()
	}
	if t.s.control != nil {
		t.s.control.close()
	}
}

// closeAll stops accepting and unbinds.
func (t *traffic) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.quic != nil {
		t.quic.stop()
	}
	for name, l := range t.open {
		l.close()
		delete(t.open, name)
	}
}

func (l *openListener) close() {
	l.stop()
	<-l.done
	_ = l.socket.Close() // nothing is accepted any more
}

// configure makes the listeners what c says. What did not change goes on
// undisturbed; a listener that did change keeps its socket if its address is the
// same. On error nothing has changed.
func (t *traffic) configure(c *config.Sidecar) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errDraining
	}
	sockets, err := t.bind(c)
	if err != nil {
		return err
	}
	ways, err := t.makeWays(c)
	if err != nil {
		for _, s := range sockets {
			_ = s.Close() // bound a moment ago
		}
		return err
	}
	same := t.limit != nil && *t.limit == c.Spec.Limits
	t.limit = &c.Spec.Limits
	t.s.gate.SetLimit(effectiveLimits(c.Spec.Limits).Connections)
	t.routes.Store(t.newRoutes(c, ways))
	old := t.ways.Swap(&ways)
	t.closeRemoved(c)
	for _, in := range c.Spec.Inbound {
		t.place(in.Name, in, same, sockets, func(s accept.Listener) server { return t.inbound(c, in, s) })
	}
	for _, out := range c.Spec.Outbound {
		t.place(out.Name, out, same, sockets, func(s accept.Listener) server { return t.outbound(c, out, s) })
		if name := out.Name + ipv6; out.Capture && (sockets[name] != nil || t.open[name] != nil) {
			t.place(name, out, same, sockets, func(s accept.Listener) server { return t.outbound(c, out, s) })
		}
	}
	closeUnused(*old, ways)
	return nil
}

// closeUnused closes the ways of old that are not among ways, under whatever
// key. Exchanges under way are finished.
func closeUnused(old, ways map[string]*way) {
	used := make(map[*way]bool, len(ways))
	for _, w := range ways {
		used[w] = true
	}
	for _, w := range old {
		if !used[w] {
			w.close()
		}
	}
}

// place starts a listener, unless it runs and is unchanged.
func (t *traffic) place(name string, spec any, sameLimits bool, sockets map[string]accept.Listener, build func(accept.Listener) server) {
	socket := sockets[name]
	if l := t.open[name]; l != nil {
		if reflect.DeepEqual(l.spec, spec) && sameLimits {
			return
		}
		l.stop()
		<-l.done
		socket = l.socket
	}
	ctx, stop := context.WithCancel(t.base)
	l := &openListener{socket: socket, spec: spec, server: build(socket), stop: stop, done: make(chan struct{})}
	t.open[name] = l
	t.ended.Add(1)
	go t.accept(ctx, l)
}

// accept runs one accept loop and waits for its connections.
func (t *traffic) accept(ctx context.Context, l *openListener) {
	defer t.ended.Done()
	err := l.server.Run(ctx)
	close(l.done)
	if err != nil {
		t.s.opts.Log.Error("listener", "err", err)
		t.s.readiness.Set(conditionListeners, err)
	}
	l.server.Wait()
}

// closeRemoved closes the listeners that c does not have at the same address,
// and asks the connections of those that it does not have at all to end: there
// is no way on for them.
func (t *traffic) closeRemoved(c *config.Sidecar) {
	want := listenAddresses(c)
	for name, l := range t.open {
		if want[name] == listenOf(name, l.spec) {
			continue
		}
		l.close()
		delete(t.open, name)
		if _, kept := want[name]; !kept {
			t.endConnections(name)
		}
	}
}

func (t *traffic) endConnections(listener string) {
	t.s.tracker.Each(func(c *drain.Conn) {
		if a := c.About(); a != nil && a.Listener == listener {
			c.CloseGracefully(flow.Draining)
		}
	})
}

// Addresses are where the listeners are bound, by name; useful where the
// configuration says port 0.
func (s *Sidecar) Addresses() map[string]string {
	t := s.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	m := make(map[string]string, len(t.open))
	for name, l := range t.open {
		m[name] = l.socket.Addr().String()
	}
	return m
}

// QUICAddress is where hops are taken over UDP; empty if they are not.
func (s *Sidecar) QUICAddress() string {
	t := s.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.quic == nil {
		return ""
	}
	return t.quic.Addr().String()
}

// AdminAddress is where the administration port is bound; empty if it is off.
func (s *Sidecar) AdminAddress() string { return addressOf(s.admin.AdminAddr()) }

// MetricsAddress is where metrics are served; empty if they are off.
func (s *Sidecar) MetricsAddress() string { return addressOf(s.admin.MetricsAddr()) }

// HealthAddress is where health is served; empty if it is off.
func (s *Sidecar) HealthAddress() string { return addressOf(s.admin.HealthAddr()) }

func addressOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// eachPool calls f with the connection pools of all destinations.
func (t *traffic) eachPool(f func(balance.Pool)) {
	for _, w := range *t.ways.Load() {
		w.eachPool(f)
	}
	t.s.eachDiscovered(func(d *balance.Destination) { d.EachPool(f) })
}
