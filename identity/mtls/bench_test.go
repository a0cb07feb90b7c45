package mtls_test

import (
	"crypto/tls"
	"runtime"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity/mtls"
)

// BenchmarkHandshake is a whole connection over loopback, both ends in this
// process: TCP, handshake, one byte each way, close.
func BenchmarkHandshake(b *testing.B) {
	w := newWorld(b)
	server, client := w.serverConfig(), w.clientConfig()
	for b.Loop() {
		l := connect(b, server, client).mustWork(b)
		l.server.NetConn().Close()
		l.client.NetConn().Close()
	}
}

// BenchmarkVerify is what a change of bundles costs per open connection.
func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	peer, _ := connect(b, w.serverConfig(), w.clientConfig()).mustWork(b).peers(b)
	snap, now := w.server.Current(), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if err := mtls.Verify(peer, snap, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdleConnection reports what TLS itself keeps for an idle connection,
// both ends together and each with its peer's chain: heap that is live after a
// handshake and a byte each way. Goroutines and buffers of a proxy come on top.
func BenchmarkIdleConnection(b *testing.B) {
	w := newWorld(b)
	server, client := w.serverConfig(), w.clientConfig()
	const connections = 200
	for b.Loop() {
		before := liveHeap()
		var keep [connections]link
		for i := range keep {
			keep[i] = connect(b, server, client).mustWork(b)
		}
		b.ReportMetric(float64(liveHeap()-before)/connections, "B/pair")
		for _, l := range keep {
			for _, end := range []*tls.Conn{l.server, l.client} {
				end.NetConn().Close()
			}
		}
	}
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // the first empties the pools, the second frees what they held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
