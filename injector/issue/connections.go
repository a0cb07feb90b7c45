package issue

import (
	"net"
	"net/netip"
	"sync"
)

// A fairListener closes connections at once that one address has too many of, so
// that one pod can't hold all that there are.
type fairListener struct {
	net.Listener

	mu   sync.Mutex
	open map[string]int // by address; none is 0
}

func newFairListener(l net.Listener) *fairListener {
	return &fairListener{Listener: l, open: map[string]int{}}
}

// Accept implements [net.Listener].
func (l *fairListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := hostOf(c.RemoteAddr().String())
		if l.take(from) {
			return &countedConn{Conn: c, closed: sync.OnceFunc(func() { l.release(from) })}, nil
		}
		c.Close()
	}
}

func (l *fairListener) take(from string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from] >= maxPerAddress {
		return false
	}
	l.open[from]++
	return true
}

func (l *fairListener) release(from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from]--; l.open[from] == 0 {
		delete(l.open, from)
	}
}

// A countedConn is one of those that an address has open.
type countedConn struct {
	net.Conn

	closed func()
}

// Close implements [net.Conn].
func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// hostOf is whom connections and requests are counted for before anybody is known.
func hostOf(addr string) string {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return addr
	}
	return a.Addr().Unmap().String()
}
