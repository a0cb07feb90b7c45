package model

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/injector/distribute"
)

// Affected is for whom changes may have changed something.
type Affected struct {
	// Workloads may have other documents, Gone are no more what they were.
	Workloads, Gone map[distribute.Key]struct{}
	// Addrs may have other targets.
	Addrs map[netip.Addr]struct{}
	// Documents have changed, or concern other workloads than before.
	Documents map[ID]struct{}
}

func newAffected() *Affected {
	return &Affected{
		Workloads: map[distribute.Key]struct{}{}, Gone: map[distribute.Key]struct{}{},
		Addrs: map[netip.Addr]struct{}{}, Documents: map[ID]struct{}{},
	}
}

func (a *Affected) addrs(all ...netip.Addr) {
	for _, addr := range all {
		a.Addrs[addr] = struct{}{}
	}
}

// A Model is a cluster as it is known. It may be used from any goroutine.
type Model struct {
	domain spiffeid.TrustDomain

	mu       sync.RWMutex
	pods     map[string]map[string]*Pod // by namespace and name
	podsAt   map[netip.Addr][]ID        // that claim an address
	services map[distribute.Key]*service
	slices   map[ID]*Slice
	vips     map[netip.Addr]distribute.Key
	users    map[netip.Addr]map[distribute.Key]int // slices of services that have an endpoint there
	zones    map[string]string                     // of nodes
	scopes   map[string]map[ID]*document           // by scope
	edition  uint64                                // counts changes of documents
}

// New returns a model of a cluster in which nothing is. The trust domain is that of its
// workloads.
func New(domain spiffeid.TrustDomain) *Model {
	return &Model{
		domain: domain, pods: map[string]map[string]*Pod{}, podsAt: map[netip.Addr][]ID{},
		services: map[distribute.Key]*service{}, slices: map[ID]*Slice{}, vips: map[netip.Addr]distribute.Key{},
		users: map[netip.Addr]map[distribute.Key]int{}, zones: map[string]string{}, scopes: map[string]map[ID]*document{},
	}
}

// Apply takes changes, and says what may be different now. Objects must not be changed
// afterwards.
func (m *Model) Apply(changes ...Change) *Affected {
	read := make([]*document, len(changes))
	for i, c := range changes {
		if d, ok := c.Object.(*Document); ok {
			read[i] = readDocument(c.ID, d) // without the lock: it takes its time
		}
	}
	a := newAffected()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, c := range changes {
		switch c.ID.Kind {
		case KindPod:
			m.setPod(a, c.ID, as[Pod](c.Object))
		case KindService:
			m.setService(a, key(c.ID), as[Service](c.Object))
		case KindSlice:
			m.setSlice(a, c.ID, as[Slice](c.Object))
		case KindNode:
			m.setNode(a, c.ID.Name, as[Node](c.Object))
		default:
			m.setDocument(a, c.ID, read[i])
		}
	}
	return a
}

// as is an object by its type; nil if there is none.
func as[T any](o any) *T {
	t, _ := o.(*T)
	return t
}

// Admit implements [distribute.Mesh].
func (m *Model) Admit(id spiffeid.ID, claim distribute.Key) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p := m.pods[claim.Namespace][claim.Name]
	switch {
	case p == nil || p.Ended:
		return fmt.Errorf("there is no pod %s", claim)
	case p.Sidecar == nil:
		return fmt.Errorf("pod %s has no sidecar", claim)
	case id.String() != m.identity(claim.Namespace, p):
		return fmt.Errorf("pod %s runs as service account %q and not as %s", claim, p.ServiceAccount, id)
	}
	return nil
}

// identity is the SPIFFE ID of a pod's workload.
func (m *Model) identity(namespace string, p *Pod) string {
	return "spiffe://" + m.domain.Name() + "/ns/" + namespace + "/sa/" + p.ServiceAccount
}
