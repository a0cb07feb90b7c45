package distribute

import (
	"net/netip"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// A Mesh knows what is so. Its methods may be called from any goroutine, and don't
// call back.
type Mesh interface {
	// Admit says why the workload with that identity is not the one it claims to
	// be; nil if it is.
	Admit(id spiffeid.ID, claim Key) error
	// Documents returns those of a workload, and false while they are held back:
	// the workload keeps what it has.
	Documents(of Key) (Set, bool)
	// Target returns what is known of an address; never nil.
	Target(at netip.AddrPort) *Resource
}

// A hub knows who wants what.
type hub struct {
	mesh Mesh

	mu       sync.Mutex
	sessions map[Key]*member
	watched  map[netip.Addr]map[uint16]*watched
}

// A member is a session, and how to end it.
type member struct {
	*session
	about  About
	stream *stream // what it runs on
	// leave ends the stream; it does not wait.
	leave func(error)
}

// watched is an address that somebody wants to know of.
type watched struct {
	by  map[*session]struct{}
	now *Resource // what those were told, or are about to be
}

func newHub(m Mesh) *hub {
	return &hub{mesh: m, sessions: map[Key]*member{}, watched: map[netip.Addr]map[uint16]*watched{}}
}

// join adds a session. One of the same workload is a leftover of a connection that
// has ended and that nobody has noticed: it is returned.
func (h *hub) join(m *member) (before *member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before = h.sessions[m.key]
	h.sessions[m.key] = m
	return before
}

// part undoes join.
func (h *hub) part(m *member) {
	m.end()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[m.key] == m {
		delete(h.sessions, m.key)
	}
}

// len counts the sessions.
func (h *hub) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sessions)
}

// all returns the members at this moment.
func (h *hub) all() []*member {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*member, 0, len(h.sessions))
	for _, m := range h.sessions {
		all = append(all, m)
	}
	return all
}

// find returns the members of those workloads that have one.
func (h *hub) find(keys []Key) []*member {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*member
	for _, key := range keys {
		if m := h.sessions[key]; m != nil {
			all = append(all, m)
		}
	}
	return all
}

// watch notes that a session wants to know of an address, or no longer.
func (h *hub) watch(s *session, at netip.AddrPort, on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ports := h.watched[at.Addr()]
	w := ports[at.Port()]
	if on {
		if ports == nil {
			ports = map[uint16]*watched{}
			h.watched[at.Addr()] = ports
		}
		if w == nil {
			w = &watched{by: map[*session]struct{}{}}
			ports[at.Port()] = w
		}
		w.by[s] = struct{}{}
		return
	}
	if w == nil {
		return
	}
	if delete(w.by, s); len(w.by) == 0 {
		delete(ports, at.Port())
	}
	if len(ports) == 0 {
		delete(h.watched, at.Addr())
	}
}

// target is what is known of an address. It is asked for once, not by each of the
// thousands who may want it.
func (h *hub) target(at netip.AddrPort) *Resource {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.watched[at.Addr()][at.Port()]
	if w == nil {
		return h.mesh.Target(at)
	}
	if w.now == nil {
		w.now = h.mesh.Target(at)
	}
	return w.now
}

// moved looks again at addresses and returns who is to be told of which.
func (h *hub) moved(addrs []netip.Addr) map[netip.AddrPort][]*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	tell := map[netip.AddrPort][]*session{}
	for _, addr := range addrs {
		for port, w := range h.watched[addr] {
			at := netip.AddrPortFrom(addr, port)
			now := h.mesh.Target(at)
			if w.now != nil && w.now.Version == now.Version {
				continue // a pod that became no readier changes nothing
			}
			w.now = now
			for s := range w.by {
				tell[at] = append(tell[at], s)
			}
		}
	}
	return tell
}

// documentsChanged tells the workloads, of all that there are the ones that are
// connected.
func (h *hub) documentsChanged(keys []Key, now time.Time) {
	for _, m := range h.find(keys) {
		m.changed(now)
	}
}

// targetsChanged tells whoever wants to know of one of the addresses.
func (h *hub) targetsChanged(addrs []netip.Addr, now time.Time) {
	for at, sessions := range h.moved(addrs) {
		for _, s := range sessions {
			s.moved(at, now)
		}
	}
}
