package proxy

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/capture"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
	"github.com/outrider-mesh/outrider/proxy/inbound"
	"github.com/outrider-mesh/outrider/proxy/outbound"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// apps are the ways to the ports of the application that captured calls went to.
// They are made when they are first needed: which ports an application has is
// not configured.
type apps struct {
	most int
	make func(netip.AddrPort) *forward.Forwarder

	mu   sync.Mutex
	used map[netip.AddrPort]*app
	shut bool
}

// app is the way to one port.
type app struct {
	forwarder *forward.Forwarder
	last      time.Time // when it was last asked for
}

func (t *traffic) newApps(c *config.Sidecar, in config.Inbound) *way {
	return &way{spec: in, limits: c.Spec.Limits, apps: &apps{
		most: effectiveLimits(c.Spec.Limits).CapturedPorts,
		used: map[netip.AddrPort]*app{},
		make: func(addr netip.AddrPort) *forward.Forwarder {
			return t.toOne(c, flow.Inbound, in.Name, addr, capturedDialer{})
		},
	}}
}

// to is the way to one port; nil when no call goes anywhere any more.
func (a *apps) to(addr netip.AddrPort) *forward.Forwarder {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.shut {
		return nil
	}
	found := a.used[addr]
	if found == nil {
		if len(a.used) >= a.most {
			a.forgetOldest()
		}
		found = &app{forwarder: a.make(addr)}
		a.used[addr] = found
	}
	found.last = time.Now()
	return found.forwarder
}

// forgetOldest makes room. What is under way there is finished.
func (a *apps) forgetOldest() {
	var oldest netip.AddrPort
	for addr, one := range a.used {
		if o := a.used[oldest]; o == nil || one.last.Before(o.last) {
			oldest = addr
		}
	}
	a.used[oldest].forwarder.Destination.Close()
	delete(a.used, oldest)
}

// each calls f with every destination there is.
func (a *apps) each(f func(*balance.Destination)) {
	a.mu.Lock()
	all := make([]*balance.Destination, 0, len(a.used))
	for _, one := range a.used {
		all = append(all, one.forwarder.Destination)
	}
	a.mu.Unlock()
	for _, d := range all {
		f(d)
	}
}

// close ends the ways, and makes no new ones.
func (a *apps) close() {
	a.mu.Lock()
	a.shut = true
	a.mu.Unlock()
	a.each((*balance.Destination).Close)
}

// capturedDialer reaches the application at the address that its caller knew, in
// plaintext, and nobody else.
type capturedDialer struct{}

// Dial implements balance.Dialer.
func (capturedDialer) Dial(ctx context.Context, addr netip.AddrPort, _ flow.Protocol) (balance.Dialed, error) {
	nc, err := capture.ToApplication(addr.Addr()).DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return balance.Dialed{}, err
	}
	return balance.Dialed{Conn: socket.Wrap(nc)}, nil
}

// markOf is what is done to the sockets on which the application's calls go out,
// so that one which leads back here is captured like everybody else's; nil where
// nothing is captured.
func markOf(c *config.Sidecar) outbound.Control {
	if captured, _ := c.Spec.Captures(); captured {
		return capture.MarkCall
	}
	return nil
}

// capturedInbound is nil for a listener that doesn't capture.
func (t *traffic) capturedInbound(in config.Inbound) *inbound.Captured {
	if !in.Capture {
		return nil
	}
	key := appKey(in.Name)
	return &inbound.Captured{
		Protocol: func(port uint16) flow.Protocol { return protocolOf(in.ProtocolAt(port)) },
		Own:      func(port uint16) bool { return t.routes.Load().own[port] },
		App: func(addr netip.AddrPort) *forward.Forwarder {
			if w := (*t.ways.Load())[key]; w != nil && w.apps != nil {
				return w.apps.to(addr)
			}
			return nil
		},
	}
}

// capturedOutbound is nil for a listener that doesn't capture.
func (t *traffic) capturedOutbound(out config.Outbound) func(netip.AddrPort) outbound.Way {
	if !out.Capture {
		return nil
	}
	return func(to netip.AddrPort) outbound.Way { return t.routes.Load().find(to) }
}
