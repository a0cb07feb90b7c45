package capture

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// A Sentry lets a running sidecar see for itself, without any privilege, that
// traffic still passes: [Sentry.Check] makes connections that must arrive at the
// sidecar's own listeners, which show it what they accept. Its methods may be
// called from any goroutine.
type Sentry struct {
	plan *Plan

	waiting atomic.Int32 // spares the listeners the lock, most of the time
	mu      sync.Mutex
	// expected are the own ends of connections under way; what is closed tells
	// that one has arrived.
	expected map[netip.AddrPort]chan struct{}
}

// NewSentry returns one for a plan that somebody else has installed.
func NewSentry(p *Plan) *Sentry {
	return &Sentry{plan: p, expected: map[netip.AddrPort]chan struct{}{}}
}

// Took tells whether an accepted connection is the sentry's own, which has then
// served its purpose. A nil sentry has none.
func (s *Sentry) Took(nc net.Conn) bool {
	if s == nil || s.waiting.Load() == 0 {
		return false
	}
	from, ok := addrPortOf(nc.RemoteAddr())
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	arrived := s.expected[from]
	if arrived == nil {
		return false
	}
	delete(s.expected, from)
	close(arrived)
	return true
}

// expect announces a connection by its own end. Forget must follow.
func (s *Sentry) expect(from netip.AddrPort) (arrived <-chan struct{}, forget func()) {
	ch := make(chan struct{})
	s.mu.Lock()
	s.expected[from] = ch
	s.mu.Unlock()
	s.waiting.Add(1)
	return ch, func() {
		s.waiting.Add(-1)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.expected, from)
	}
}

// addrPortOf is the address of a TCP connection's end.
func addrPortOf(a net.Addr) (netip.AddrPort, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	addr := tcp.AddrPort()
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), addr.IsValid()
}
