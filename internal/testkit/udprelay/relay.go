// Package udprelay stands between a client and a server of UDP, so that a test can do
// what networks do: drop everything from now on, or let the client appear at another
// address.
package udprelay

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
)

// A Relay carries the datagrams of one client to one server, and back.
type Relay struct {
	front    *net.UDPConn // where the client sends to
	client   atomic.Pointer[netip.AddrPort]
	dropping atomic.Bool
	carried  atomic.Int64
	running  sync.WaitGroup

	mu   sync.Mutex
	back *net.UDPConn // where the server sends to
	old  []*net.UDPConn
	done bool
}

// maxDatagram is the longest of UDP, in bytes.
const maxDatagram = 64 << 10

// New starts a relay to the "ip:port" of a server; it ends with the test.
func New(t testing.TB, server string) *Relay {
	t.Helper()
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{front: front}
	r.Lead(t, server)
	r.running.Go(r.forward)
	t.Cleanup(r.close)
	return r
}

// Port is where the client finds the server.
func (r *Relay) Port() uint16 {
	return netip.MustParseAddrPort(r.front.LocalAddr().String()).Port()
}

// Drop says whether everything is lost from now on.
func (r *Relay) Drop(everything bool) { r.dropping.Store(everything) }

// Carried counts the datagrams of the client that were not lost.
func (r *Relay) Carried() int64 { return r.carried.Load() }

// Lead leads to a server from now on, which sees the client at a new address.
func (r *Relay) Lead(t testing.TB, server string) {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp4", server)
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.DialUDP("udp4", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.back != nil {
		r.old = append(r.old, r.back)
	}
	r.back = back
	r.running.Go(func() { r.answer(back) })
}

// forward carries what the client sends.
func (r *Relay) forward() {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := r.front.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		r.client.Store(&from)
		if r.dropping.Load() {
			continue
		}
		r.carried.Add(1)
		r.mu.Lock()
		back := r.back
		r.mu.Unlock()
		_, _ = back.Write(buf[:n]) // refused: a server that is not there says nothing
	}
}

// answer carries what a server sends.
func (r *Relay) answer(back *net.UDPConn) {
	buf := make([]byte, maxDatagram)
	for {
		n, err := back.Read(buf)
		if r.closed() {
			return
		}
		if client := r.client.Load(); err == nil && client != nil && !r.dropping.Load() {
			_, _ = r.front.WriteToUDPAddrPort(buf[:n], *client) // a client that is gone wants nothing
		}
	}
}

func (r *Relay) closed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done
}

func (r *Relay) close() {
	r.mu.Lock()
	r.done = true
	for _, c := range append(r.old, r.back) {
		_ = c.Close() // nothing to lose
	}
	r.mu.Unlock()
	_ = r.front.Close() // as above
	r.running.Wait()
}
