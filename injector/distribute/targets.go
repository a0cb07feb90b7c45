package distribute

import (
	"net/netip"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// targets is what a sidecar has of the destinations that it asked for.
type targets struct {
	wanted map[netip.AddrPort]string   // the version held, as acknowledged; empty: none
	dirty  map[netip.AddrPort]struct{} // of those wanted, of which there may be something to send
	due    time.Time                   // since when there is
	flight *flight
	sent   map[netip.AddrPort]string // versions on their way
}

// mark notes that there may be something to send about an address, and tells whether
// that is news.
func (t *targets) mark(at netip.AddrPort, now time.Time) bool {
	if _, wanted := t.wanted[at]; !wanted {
		return false
	}
	if len(t.dirty) == 0 {
		t.due = now
	}
	before := len(t.dirty)
	t.dirty[at] = struct{}{}
	return len(t.dirty) > before
}

// forget undoes a subscription.
func (t *targets) forget(at netip.AddrPort) {
	delete(t.wanted, at)
	delete(t.dirty, at)
}

// respond returns what is to be sent, nil for nothing. Find returns what is known
// of an address now.
func (t *targets) respond(find func(netip.AddrPort) *Resource, now time.Time, nonce string) *discovery.DeltaDiscoveryResponse {
	r := &discovery.DeltaDiscoveryResponse{TypeUrl: push.DestinationType, Nonce: nonce}
	sent := map[netip.AddrPort]string{}
	for at := range t.dirty {
		if len(sent) == maxPerResponse {
			break
		}
		delete(t.dirty, at)
		if found := find(at); found.Version != t.wanted[at] {
			r.Resources = append(r.Resources, found.wire)
			sent[at] = found.Version
		}
	}
	if len(sent) == 0 {
		return nil
	}
	t.flight, t.sent = &flight{nonce: nonce, since: now, due: t.due}, sent
	t.due = now
	return r
}

// acknowledge takes the answer to the flight. What was refused is not sent again
// either, until it changes.
func (t *targets) acknowledge() {
	for at, version := range t.sent {
		if _, wanted := t.wanted[at]; wanted {
			t.wanted[at] = version
		}
	}
	t.flight, t.sent = nil, nil
}
