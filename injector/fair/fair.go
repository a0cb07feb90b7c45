// Package fair is listeners of which one address can't hold all connections.
package fair

import (
	"net"
	"net/netip"
	"sync"
)

// A Listener closes connections at once that one address has too many of, so that one
// pod can't hold all that there are.
type Listener struct {
	net.Listener

	most int // of one address
	mu   sync.Mutex
	open map[string]int // by address; none is 0
}

// Listen returns a listener that lets an address have so many connections of l.
func Listen(l net.Listener, most int) *Listener {
	return &Listener{Listener: l, most: most, open: map[string]int{}}
}

// Accept implements [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := Host(c.RemoteAddr().String())
		if l.take(from) {
			return &countedConn{Conn: c, closed: sync.OnceFunc(func() { l.release(from) })}, nil
		}
		c.Close()
	}
}

func (l *Listener) take(from string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from] >= l.most {
		return false
	}
	l.open[from]++
	return true
}

func (l *Listener) release(from string) {
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

// Host is whom connections and requests are counted for before anybody is known.
func Host(addr string) string {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return addr
	}
	return a.Addr().Unmap().String()
}
