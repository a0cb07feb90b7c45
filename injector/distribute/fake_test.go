package distribute

import (
	"cmp"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	rpc "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// A world is a mesh that tests change at will.
type world struct {
	mu        sync.Mutex
	ids       map[Key]string
	documents map[Key]map[string]string // text by name
	held      map[Key]bool
	targets   map[netip.AddrPort]push.Target
	asked     int // how often a target was asked for
}

func newWorld() *world {
	return &world{ids: map[Key]string{}, documents: map[Key]map[string]string{}, held: map[Key]bool{}, targets: map[netip.AddrPort]push.Target{}}
}

func (w *world) Admit(id spiffeid.ID, claim Key) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ids[claim] != id.String() {
		return errors.New("it is somebody else")
	}
	return nil
}

func (w *world) Documents(of Key) (Set, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[of] {
		return nil, false
	}
	var set Set
	for name, text := range w.documents[of] {
		if text == "kept" || text == "perhaps" {
			set = append(set, Kept(name, text == "kept"))
			continue
		}
		set = append(set, NewDocument(name, []byte(text)))
	}
	slices.SortFunc(set, func(a, b *Resource) int { return cmp.Compare(a.Name, b.Name) })
	return set, true
}

func (w *world) Target(at netip.AddrPort) *Resource {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	return NewTarget(push.DestinationName(at), w.targets[at], 0)
}

// write changes one document of a workload; empty text removes it.
func (w *world) write(of Key, name, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	docs := maps.Clone(w.documents[of])
	if docs == nil {
		docs = map[string]string{}
	}
	if docs[name] = text; text == "" {
		delete(docs, name)
	}
	w.documents[of] = docs
}

func (w *world) move(at netip.AddrPort, t push.Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.targets[at] = t
}

func (w *world) from(of Key) source {
	return source{documents: func() (Set, bool) { return w.Documents(of) }, target: w.Target}
}

// A pupil is a sidecar as the protocol wants it: what it holds, and what it says.
type pupil struct {
	documents map[string]string
	versions  map[string]map[string]string // by type and name
	targets   map[string]string
	refuse    func(name, text string) bool
}

func newPupil() *pupil {
	return &pupil{
		documents: map[string]string{}, targets: map[string]string{},
		versions: map[string]map[string]string{push.DocumentType: {}, push.DestinationType: {}},
	}
}

// hello is the first request of a stream.
func (p *pupil) hello(node *core.Node) *discovery.DeltaDiscoveryRequest {
	return &discovery.DeltaDiscoveryRequest{
		Node: node, TypeUrl: push.DocumentType, ResourceNamesSubscribe: []string{push.Wildcard},
		InitialResourceVersions: maps.Clone(p.versions[push.DocumentType]),
	}
}

// want asks for destinations; what is held already is said.
func (p *pupil) want(names ...string) *discovery.DeltaDiscoveryRequest {
	return &discovery.DeltaDiscoveryRequest{
		TypeUrl: push.DestinationType, ResourceNamesSubscribe: names,
		InitialResourceVersions: maps.Clone(p.versions[push.DestinationType]),
	}
}

// take applies a response, all of it or nothing, and returns the answer.
func (p *pupil) take(r *discovery.DeltaDiscoveryResponse) *discovery.DeltaDiscoveryRequest {
	held := p.documents
	if r.GetTypeUrl() == push.DestinationType {
		held = p.targets
	}
	answer := &discovery.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()}
	for _, res := range r.GetResources() {
		if p.refuse != nil && p.refuse(res.GetName(), string(res.GetResource().GetValue())) {
			answer.ErrorDetail = &rpc.Status{Message: "it does not compile"}
			return answer
		}
	}
	for _, res := range r.GetResources() {
		held[res.GetName()] = string(res.GetResource().GetValue())
		p.versions[r.GetTypeUrl()][res.GetName()] = res.GetVersion()
	}
	for _, name := range r.GetRemovedResources() {
		delete(held, name)
		delete(p.versions[r.GetTypeUrl()], name)
	}
	return answer
}

// talk lets both go on until neither has anything to say, and returns the number of
// responses.
func talk(s *session, p *pupil, from source, now time.Time) (n int) {
	for r := s.next(from, now); r != nil; r = s.next(from, now) {
		n++
		if _, err := s.request(p.take(r), now); err != nil {
			panic(err)
		}
	}
	return n
}
