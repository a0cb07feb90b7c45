package model

import (
	"net/netip"

	"github.com/outrider-mesh/outrider/injector/distribute"
)

// A service is one with its slices; either may come first.
type service struct {
	is     *Service // nil while nobody has said
	slices map[string]*Slice
}

// service is the one by that name, made if there is none.
func (m *Model) service(k distribute.Key) *service {
	s := m.services[k]
	if s == nil {
		s = &service{slices: map[string]*Slice{}}
		m.services[k] = s
	}
	return s
}

// tidy forgets a service of which nothing is left.
func (m *Model) tidy(k distribute.Key) {
	if s := m.services[k]; s != nil && s.is == nil && len(s.slices) == 0 {
		delete(m.services, k)
	}
}

func (m *Model) setService(a *Affected, k distribute.Key, now *Service) {
	s := m.service(k)
	defer m.tidy(k)
	was := s.is
	if was == nil && now == nil || was != nil && now != nil && was.equal(now) {
		return
	}
	if was != nil {
		a.addrs(was.Addrs...)
		for _, addr := range was.Addrs {
			if m.vips[addr] == k {
				delete(m.vips, addr)
			}
		}
	}
	if s.is = now; now != nil {
		a.addrs(now.Addrs...)
		for _, addr := range now.Addrs {
			m.vips[addr] = k
		}
	}
}

func (m *Model) setSlice(a *Affected, id ID, now *Slice) {
	was := m.slices[id]
	if was == nil && now == nil || was != nil && now != nil && was.equal(now) {
		return
	}
	if was != nil {
		k := distribute.Key{Namespace: id.Namespace, Name: was.Service}
		delete(m.slices, id)
		delete(m.services[k].slices, id.Name)
		m.touchSlice(a, k, was, -1)
		m.tidy(k)
	}
	if now != nil {
		k := distribute.Key{Namespace: id.Namespace, Name: now.Service}
		m.slices[id] = now
		m.service(k).slices[id.Name] = now
		m.touchSlice(a, k, now, +1)
	}
}

// touchSlice counts the slice among the users of its addresses, or no longer, and notes
// what it leads to.
func (m *Model) touchSlice(a *Affected, k distribute.Key, s *Slice, by int) {
	if is := m.services[k].is; is != nil {
		a.addrs(is.Addrs...)
	}
	for _, e := range s.Endpoints {
		a.addrs(e.Addr) // whose port may have another name, or carry something else
		m.use(e.Addr, k, by)
	}
}

func (m *Model) use(addr netip.Addr, k distribute.Key, by int) {
	users := m.users[addr]
	if users == nil {
		users = map[distribute.Key]int{}
		m.users[addr] = users
	}
	if users[k] += by; users[k] == 0 {
		delete(users, k)
	}
	if len(users) == 0 {
		delete(m.users, addr)
	}
}
