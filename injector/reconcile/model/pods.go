package model

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

func (m *Model) setPod(a *Affected, id ID, now *Pod) {
	was := m.pods[id.Namespace][id.Name]
	if was == nil && now == nil || was != nil && now != nil && was.equal(now) {
		return
	}
	k := key(id)
	if was != nil {
		m.unplace(id, was)
		a.addrs(was.Addrs...)
		m.touchUsers(a, was.Addrs)
		delete(m.pods[id.Namespace], id.Name)
		if len(m.pods[id.Namespace]) == 0 {
			delete(m.pods, id.Namespace)
		}
		if now == nil || now.Ended || now.Sidecar == nil || now.ServiceAccount != was.ServiceAccount {
			a.Gone[k] = struct{}{}
		}
		m.touchDocuments(a, id, was)
	}
	if now != nil {
		if m.pods[id.Namespace] == nil {
			m.pods[id.Namespace] = map[string]*Pod{}
		}
		m.pods[id.Namespace][id.Name] = now
		m.place(id, now)
		a.addrs(now.Addrs...)
		m.touchUsers(a, now.Addrs)
		m.touchDocuments(a, id, now)
	}
	if was == nil || now == nil || !maps.Equal(was.Labels, now.Labels) || was.counts() != now.counts() {
		a.Workloads[k] = struct{}{}
	}
}

// counts tells whether policies concern it.
func (p *Pod) counts() bool { return p.Sidecar != nil && !p.Ended }

// place notes a pod's addresses, unplace forgets them.
func (m *Model) place(id ID, p *Pod) {
	if p.Ended {
		return
	}
	for _, addr := range p.Addrs {
		m.podsAt[addr] = append(m.podsAt[addr], id)
	}
}

func (m *Model) unplace(id ID, p *Pod) {
	for _, addr := range p.Addrs {
		left := slices.DeleteFunc(m.podsAt[addr], func(o ID) bool { return o == id })
		if m.podsAt[addr] = left; len(left) == 0 {
			delete(m.podsAt, addr)
		}
	}
}

// podAt is the pod with an address. While one is deleted and another has its address
// already, there are two: it is the younger one's.
func (m *Model) podAt(addr netip.Addr) (ID, *Pod) {
	var id ID
	var found *Pod
	for _, other := range m.podsAt[addr] {
		p := m.pods[other.Namespace][other.Name]
		if found == nil || cmp.Or(cmp.Compare(p.Created, found.Created), cmp.Compare(other.Namespace, id.Namespace), cmp.Compare(other.Name, id.Name)) > 0 {
			id, found = other, p
		}
	}
	return id, found
}

// touchUsers notes that what is called by way of services at these addresses may have
// changed.
func (m *Model) touchUsers(a *Affected, addrs []netip.Addr) {
	for _, addr := range addrs {
		for k := range m.users[addr] {
			if s := m.services[k]; s.is != nil {
				a.addrs(s.is.Addrs...)
			}
		}
	}
}

// setNode notes a node's zone. Its pods are looked for only if that changes, which it
// does once in the life of a node.
func (m *Model) setNode(a *Affected, name string, now *Node) {
	zone := ""
	if now != nil {
		zone = now.Zone
	}
	if m.zones[name] == zone {
		return
	}
	if m.zones[name] = zone; zone == "" {
		delete(m.zones, name)
	}
	for _, pods := range m.pods {
		for _, p := range pods {
			if p.Node == name {
				a.addrs(p.Addrs...)
				m.touchUsers(a, p.Addrs)
			}
		}
	}
}
