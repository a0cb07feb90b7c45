package detect

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// OpaqueByConvention tells whether a port is one where HTTP is not to be expected,
// and where its server may speak first: mail (25, 587), MySQL (3306), Galera
// (4444), PostgreSQL (5432), Redis (6379), Elasticsearch's transport (9300) and
// memcached (11211). They are Linkerd's defaults too.
func OpaqueByConvention(port uint16) bool {
	switch port {
	case 25, 587, 3306, 4444, 5432, 6379, 9300, 11211:
		return true
	}
	return false
}

// A Memory remembers of many ports what their connections carried. Its methods
// may be called from any goroutine.
type Memory struct {
	most  int
	mu    sync.Mutex
	ports map[netip.AddrPort]*Port
}

// NewMemory returns a memory of that many ports. When it is full it forgets all
// of them: what is forgotten is looked at again.
func NewMemory(most int) *Memory {
	return &Memory{most: most, ports: make(map[netip.AddrPort]*Port)}
}

// At is what is remembered of one port.
func (m *Memory) At(addr netip.AddrPort) *Port {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.ports[addr]
	if p == nil {
		if len(m.ports) >= m.most {
			clear(m.ports)
		}
		p = new(Port)
		m.ports[addr] = p
	}
	return p
}

// A Port is what earlier connections told about one port. Its zero value knows
// nothing. Its methods may be called from any goroutine.
type Port struct {
	http    atomic.Bool // HTTP came
	silent  atomic.Bool // a client waited, perhaps for the server
	greeted atomic.Bool // the server did speak first
}

// Briefly is how long a connection of our own application is looked at where an
// earlier client waited for the server to speak. That client may have been one of
// HTTP that connected ahead of need, which must not decide about the port for
// good: the application is on this machine, and a request that it has is here
// within this time.
const Briefly = 5 * time.Millisecond

// Look is [Peek], shortened by what is known of the port: a client that waits
// for its server waits for as long as timeout at first, then for as long as
// again, and not at all once the server has been seen to speak first.
func (p *Port) Look(nc net.Conn, timeout, again time.Duration) (Kind, *Conn, error) {
	if p.greeted.Load() {
		return Silent, Replay(nc, nil), nil
	}
	if p.silent.Load() && !p.http.Load() {
		timeout = min(timeout, again)
	}
	kind, replay, err := Peek(nc, timeout)
	switch {
	case err != nil:
	case kind == HTTP1, kind == HTTP2:
		p.http.Store(true)
	case kind == Silent:
		p.silent.Store(true)
	}
	return kind, replay, err
}

// Protocol is what a connection of that kind carries. Only a port that has never
// carried HTTP is taken for one whose server speaks first: HTTP clients open
// connections that they use later, and as opaque bytes a request would escape what
// is decided and recorded for each of them. A client of HTTP/2 is never silent: it
// speaks first (RFC 9113 §3.4).
func (p *Port) Protocol(kind Kind) flow.Protocol {
	switch {
	case kind == HTTP2:
		return flow.HTTP2
	case kind == HTTP1, kind == Silent && p.http.Load():
		return flow.HTTP1
	}
	return flow.TCP
}

// Watch returns both ends of a connection whose client was silent, and remembers
// of the port if the server then is the first to speak. What an HTTP server says
// unasked, such as 408 to a client that says nothing, is no greeting.
func (p *Port) Watch(kind Kind, client, server net.Conn) (watchedClient, watchedServer net.Conn) {
	if kind != Silent || p.greeted.Load() || p.http.Load() {
		return client, server
	}
	first := new(sync.Once)
	return &watched{Conn: client, first: first, heard: func([]byte) {}},
		&watched{Conn: server, first: first, heard: func(b []byte) {
			if !bytes.HasPrefix(b, []byte("HTTP/")) {
				p.greeted.Store(true)
			}
		}}
}

// watched tells what is read first, of two ends together.
type watched struct {
	net.Conn
	first *sync.Once
	heard func([]byte)
	quiet bool // it was told already; owned by whoever reads
}

// Read implements net.Conn.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 && !w.quiet {
		w.quiet = true
		w.first.Do(func() { w.heard(b[:n]) })
	}
	return n, err
}

// NetConn is the connection below.
func (w *watched) NetConn() net.Conn { return w.Conn }

// CloseWrite ends the sending side, if the connection below can do that.
func (w *watched) CloseWrite() error { return closeWrite(w.Conn) }
