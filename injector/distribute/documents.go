package distribute

import (
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// A flight is a response that was not answered yet.
type flight struct {
	nonce string
	since time.Time // when it was sent
	due   time.Time // when it was known that there is something to send
}

// documents is what a sidecar has of the documents of its workload.
type documents struct {
	subscribed bool
	dirty      time.Time         // since when there may be something to send; zero: there is not
	answered   bool              // it was told what its documents are, if only that there are none
	held       map[string]string // versions by name, as acknowledged
	flight     *flight
	next       map[string]string // held, once the flight is acknowledged
	sent       string            // version of the set on its way
	refused    string            // version of the set that it refused last
	why        string            // what it said about that; empty if it has what it should
}

// respond returns what is to be sent, nil for nothing: the difference between what
// is held and the set. A set that was refused is not sent again. One with a kept
// document that is needed and not held is not sent at all: in part, it would be another
// policy.
func (d *documents) respond(set Set, now time.Time, nonce string) *discovery.DeltaDiscoveryResponse {
	due := d.dirty
	d.dirty = time.Time{}
	r := &discovery.DeltaDiscoveryResponse{TypeUrl: push.DocumentType, Nonce: nonce, SystemVersionInfo: set.version()}
	next := make(map[string]string, len(set))
	for _, doc := range set {
		held, has := d.held[doc.Name]
		switch {
		case doc.kept() && has:
			next[doc.Name] = held
		case doc.kept() && doc.needed:
			return nil
		case doc.kept():
		default:
			next[doc.Name] = doc.Version
			if held != doc.Version {
				r.Resources = append(r.Resources, doc.wire)
			}
		}
	}
	for name := range d.held {
		if _, kept := next[name]; !kept {
			r.RemovedResources = append(r.RemovedResources, name)
		}
	}
	if d.answered && len(r.Resources)+len(r.RemovedResources) == 0 {
		d.refused, d.why = "", "" // what it refused was taken back
		return nil
	}
	if r.SystemVersionInfo == d.refused {
		return nil
	}
	d.answered, d.next, d.sent = true, next, r.SystemVersionInfo
	d.flight = &flight{nonce: nonce, since: now, due: due}
	return r
}

// acknowledge takes the answer to the flight; detail is empty if it was accepted.
func (d *documents) acknowledge(detail string) {
	if detail == "" {
		d.held, d.refused, d.why = d.next, "", ""
	} else {
		d.refused, d.why = d.sent, detail
	}
	d.flight, d.next = nil, nil
}
