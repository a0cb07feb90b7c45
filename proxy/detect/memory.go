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
// is decided and recorded for each of them. Which version of HTTP a silent client
// speaks is left to the engine of HTTP/1, which hands a preface over.
func (p *Port) Protocol(kind Kind) flow.Protocol {
	switch {
	case kind == HTTP2:
		return flow.HTTP2
	case kind == HTTP1, kind == Silent && p.http.Load():
		return flow.HTTP1
	}
	return flow.TCP
}

// Late is [Late], and remembers what it saw. The protocol is undetected unless the
// client is one of HTTP after all. Then, and on error, nothing was said to the server,
// and its connection is closed.
func (p *Port) Late(client, server net.Conn, idle, more time.Duration) (c, s net.Conn, late flow.Protocol, err error) {
	like, c, answer, err := Late(client, server, idle, more)
	switch {
	case err != nil:
		_ = server.Close()
	case like:
		_ = server.Close()
		late = p.late(c)
	case len(answer.ahead) > 0:
		p.heard(answer.ahead)
	}
	return c, answer, late, err
}

// late is the protocol of a request. What only resembles one is for our own engine to
// refuse, and no habit of the port.
func (p *Port) late(c net.Conn) flow.Protocol {
	kind := Opaque
	if seen, ok := c.(*Conn); ok {
		kind, _ = Classify(seen.ahead)
	}
	switch kind { //nolint:exhaustive // all others are the engine's to refuse
	case HTTP1:
		p.http.Store(true)
	case HTTP2:
		p.http.Store(true)
		return flow.HTTP2
	}
	return flow.HTTP1
}

// heard takes what a server says unasked. From one of HTTP, such as 408 to a client
// that says nothing, that is no greeting.
func (p *Port) heard(b []byte) {
	if !p.http.Load() && !bytes.HasPrefix(b, []byte("HTTP/")) {
		p.greeted.Store(true)
	}
}
