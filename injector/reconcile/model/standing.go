package model

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// A Standing is what has become of a document.
type Standing struct {
	// Resource and Revision name what sidecars hold of it; Revision is empty if it has
	// no good version that is known here.
	Resource, Revision string
	// Generation is that of the object which this is about.
	Generation int64
	// Invalid tells that its present text is not in force, and Kept that the one
	// before is where it was.
	Invalid, Kept bool
	// Problems are those of the present text.
	Problems []config.Problem
	// Concerns are the workloads that it selects.
	Concerns []distribute.Key
}

// Standing returns that of a document; false if it is not there.
func (m *Model) Standing(id ID) (Standing, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	scope, d := m.documentOf(id)
	if d == nil {
		return Standing{}, false
	}
	s := Standing{
		Resource: d.is.name(id), Generation: d.is.Generation,
		Invalid: d.invalid, Kept: d.kept, Problems: d.problems,
	}
	if d.good != nil {
		s.Revision = d.good.Version
	}
	if d.good != nil || d.kept {
		s.Concerns = m.selected(scope, d.selector)
	}
	return s, true
}

// List lists all documents, in order.
func (m *Model) List() []ID {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var all []ID
	for _, scope := range m.scopes {
		for id := range scope {
			all = append(all, id)
		}
	}
	slices.SortFunc(all, func(a, b ID) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// Advice is what is questionable about the good documents of a namespace and of the
// whole mesh taken together, such as a rule that another one makes void, by the name of
// the resource.
func (m *Model) Advice(namespace string) map[string][]config.Problem {
	var files []config.File
	m.mu.RLock()
	for _, scope := range slices.Compact([]string{"", namespace}) {
		for id, d := range m.scopes[scope] {
			if d.good != nil && !d.invalid {
				files = append(files, config.File{Name: d.is.name(id), Data: d.is.Text})
			}
		}
	}
	m.mu.RUnlock()
	all := map[string][]config.Problem{}
	parsed, err := config.ParseDocuments(files)
	if err != nil {
		return all // each is valid by itself; sidecars say what is wrong with all
	}
	for _, p := range parsed.Warnings {
		all[p.File] = append(all[p.File], p)
	}
	return all
}

// Edition is another one whenever a document says something else.
func (m *Model) Edition() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.edition
}

// Sidecars counts the workloads that have one.
func (m *Model) Sidecars() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.selected("", nil))
}

// Replicas are the addresses of the ready endpoints of a service's port, but for those of
// one pod.
func (m *Model) Replicas(of distribute.Key, port string, except distribute.Key) []netip.AddrPort {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.services[of]
	if s == nil {
		return nil
	}
	found := map[netip.AddrPort]struct{}{}
	for _, slice := range s.slices {
		for _, p := range slice.Ports {
			for _, e := range slice.Endpoints {
				if id, _ := m.podAt(e.Addr); p.Name == port && e.Ready && key(id) != except {
					found[netip.AddrPortFrom(e.Addr, p.Number)] = struct{}{}
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), netip.AddrPort.Compare)
}
