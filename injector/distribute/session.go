package distribute

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// A Key names a workload: the namespace and name of its pod.
type Key struct{ Namespace, Name string }

// A session is what the sidecar of one stream wants, holds and is being sent. It
// does no I/O and reads no clock. Its methods may be called from any goroutine.
type session struct {
	key   Key
	wake  chan struct{} // has room for one: there may be something to send
	watch func(at netip.AddrPort, on bool)

	mu        sync.Mutex
	nonces    uint64
	documents documents
	targets   targets
}

// newSession returns the session of a workload. Watch is told which addresses it
// wants to know of; it is called with the session's lock held.
func newSession(key Key, watch func(at netip.AddrPort, on bool)) *session {
	return &session{
		key: key, wake: make(chan struct{}, 1), watch: watch,
		targets: targets{wanted: map[netip.AddrPort]string{}, dirty: map[netip.AddrPort]struct{}{}},
	}
}

// arouse makes the sender look.
func (s *session) arouse() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// An answer is what a request says about an earlier response.
type answer struct {
	took time.Duration // from when there was something to send
	kind string
	nack string
	any  bool
}

// request takes what a sidecar says. An error ends the stream.
func (s *session) request(r *discovery.DeltaDiscoveryRequest, now time.Time) (a answer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.arouse()
	switch r.GetTypeUrl() {
	case push.DocumentType:
		a = s.answered(r, s.documents.flight, now)
		if a.any {
			s.documents.acknowledge(a.nack)
		}
		return a, s.wantDocuments(r, now)
	case push.DestinationType:
		a = s.answered(r, s.targets.flight, now)
		if a.any {
			s.targets.acknowledge()
		}
		return a, s.wantTargets(r, now)
	}
	return a, status.Errorf(codes.InvalidArgument, "type %.80q is not served here", r.GetTypeUrl())
}

// answered tells whether the request answers the flight, and how. An answer to
// anything else is one that was overtaken.
func (*session) answered(r *discovery.DeltaDiscoveryRequest, f *flight, now time.Time) answer {
	if f == nil || r.GetResponseNonce() != f.nonce {
		return answer{}
	}
	a := answer{any: true, kind: r.GetTypeUrl(), took: now.Sub(f.due)}
	if e := r.GetErrorDetail(); e != nil {
		a.nack = clipped(e.GetMessage())
		if a.nack == "" {
			a.nack = "no reason was given"
		}
	}
	return a
}

// clipped bounds foreign text.
func clipped(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxDetail)], "\uFFFD")
}

// wantDocuments subscribes to all documents of the workload; there is nothing else
// to subscribe to.
func (s *session) wantDocuments(r *discovery.DeltaDiscoveryRequest, now time.Time) error {
	d := &s.documents
	for _, name := range r.GetResourceNamesSubscribe() {
		if name != push.Wildcard {
			return status.Errorf(codes.InvalidArgument, "document %.80q: documents are those of the workload, subscribe to %q", name, push.Wildcard)
		}
	}
	if d.subscribed {
		return nil
	}
	if n := len(r.GetInitialResourceVersions()); n > push.MaxDocuments+1 {
		return status.Errorf(codes.InvalidArgument, "%d documents are held, more than %d", n, push.MaxDocuments)
	}
	d.subscribed, d.dirty, d.held = true, now, map[string]string{}
	for name, version := range r.GetInitialResourceVersions() {
		if len(name) > push.MaxNameBytes || len(version) > push.MaxNameBytes {
			return status.Errorf(codes.InvalidArgument, "document %.80q: the name or version is too long", name)
		}
		d.held[name] = version
	}
	return nil
}

// wantTargets adds and removes destinations.
func (s *session) wantTargets(r *discovery.DeltaDiscoveryRequest, now time.Time) error {
	for _, name := range r.GetResourceNamesUnsubscribe() {
		at, ok := push.ParseDestinationName(name)
		if _, wanted := s.targets.wanted[at]; ok && wanted {
			s.targets.forget(at)
			s.watch(at, false)
		}
	}
	for _, name := range r.GetResourceNamesSubscribe() {
		at, ok := push.ParseDestinationName(name)
		if !ok {
			return status.Errorf(codes.InvalidArgument, "destination %.80q is not an address", name)
		}
		if _, wanted := s.targets.wanted[at]; !wanted {
			if len(s.targets.wanted) >= push.MaxDestinations {
				return status.Errorf(codes.ResourceExhausted, "more than %d destinations", push.MaxDestinations)
			}
			s.watch(at, true)
		}
		// Who subscribes again has forgotten what it does not say that it holds,
		// and is told again.
		s.targets.wanted[at] = r.GetInitialResourceVersions()[name]
		s.targets.mark(at, now)
	}
	return nil
}

// changed notes that documents of the workload may have.
func (s *session) changed(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.documents.subscribed && s.documents.dirty.IsZero() {
		s.documents.dirty = now
		s.arouse()
	}
}

// moved notes that what is known of an address has changed.
func (s *session) moved(at netip.AddrPort, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.targets.mark(at, now) {
		s.arouse()
	}
}

// A source is what a session reads from when it has something to send.
type source struct {
	// documents returns those of the workload; false while they are held back.
	documents func() (Set, bool)
	target    func(netip.AddrPort) *Resource
}

// next returns the next response to send; nil when there is none for now.
func (s *session) next(from source, now time.Time) *discovery.DeltaDiscoveryResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := &s.documents; !d.dirty.IsZero() && d.flight == nil {
		if set, ok := from.documents(); ok {
			if r := d.respond(set, now, s.nonce()); r != nil {
				return r
			}
		}
		d.dirty = time.Time{} // held back: whoever lets go will say so
	}
	if t := &s.targets; len(t.dirty) > 0 && t.flight == nil {
		return t.respond(from.target, now, s.nonce())
	}
	return nil
}

// nonce needs s.mu.
func (s *session) nonce() string {
	s.nonces++
	return strconv.FormatUint(s.nonces, 36)
}

// silent tells since when an answer is waited for; zero: none is.
func (s *session) silent() (since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range []*flight{s.documents.flight, s.targets.flight} {
		if f != nil && (since.IsZero() || f.since.Before(since)) {
			since = f.since
		}
	}
	return since
}

// end lets go of all that is wanted.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := range s.targets.wanted {
		s.watch(at, false)
	}
	clear(s.targets.wanted)
	clear(s.targets.dirty)
}

// String names the workload.
func (k Key) String() string { return fmt.Sprintf("%s/%s", k.Namespace, k.Name) }
