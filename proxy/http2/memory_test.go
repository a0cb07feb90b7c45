package http2

import (
	"testing"
	"testing/synctest"
	"time"

	wire "golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
	"github.com/outrider-mesh/outrider/proxy/limits"
)

// mostPerIdleConn is what an idle connection may hold of the heap, in bytes: the
// small read buffer, the tables of HPACK as far as they were used, and the
// connection itself; the goroutine that reads has its stack besides.
const mostPerIdleConn = 12 << 10

func TestIdleConnectionsAreSmall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	const conns = 500
	synctest.Test(t, func(t *testing.T) {
		server := NewServer(ServerOptions{Limits: limits.Default(), Buffers: new(Buffers)})
		var ends []*memnet.Conn
		done := make(chan struct{})
		connect := func(n int) {
			for range n {
				theirs, ours := memnet.Pipe(1 << 16)
				ends = append(ends, theirs)
				go func() {
					_ = server.NewConn(ours).Serve(func(x *Exchange) { _ = x.Respond(200, []byte("content-type: text/plain\r\n"), nil) })
					done <- struct{}{}
				}()
				useOnce(t, theirs)
			}
		}
		connect(20)
		<-time.After(2 * limits.Default().PingInterval) // it is idle: workers go
		before := heap()
		connect(conns)
		<-time.After(2 * limits.Default().PingInterval)
		idle := (heap() - before) / conns
		t.Logf("%d bytes for each idle connection, with the ends in memory of the test", idle)
		if idle > mostPerIdleConn {
			t.Errorf("%d bytes for each idle connection, want at most %d", idle, mostPerIdleConn)
		}
		for _, nc := range ends {
			nc.Close()
			<-done
		}
	})
}

// useOnce makes one request and reads its answer.
func useOnce(t *testing.T, nc *memnet.Conn) {
	p := newPeer(t, nc)
	p.greet()
	p.get(1, "x-request-id: 0123456789", "user-agent: some client or other", "accept: */*")
	p.flush()
	for {
		f, err := p.fr.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := f.(*wire.MetaHeadersFrame); ok {
			return
		}
	}
}

// What one stream makes us hold is bounded by its window, in each direction, and by
// what is kept to send a request again; what a connection makes us hold besides, by
// its write buffer.
func TestWhatAStreamHolds(t *testing.T) {
	inBubble(t, limits.Default(), serveNetHTTP(endless), func(t *testing.T, r *rig) {
		p, c := r.raw()
		const streams = 50
		for i := range uint32(streams) {
			p.get(2*i + 1)
		}
		p.flush()
		synctest.Wait()
		up := r.pool.conns[0]
		up.mu.Lock()
		if len(up.streams) != streams {
			t.Errorf("%d streams", len(up.streams))
		}
		for _, s := range up.streams {
			if held := s.in.memory(); held > r.limits.StreamWindow+2*mediumBuffer || held < r.limits.StreamWindow/2 {
				t.Errorf("a stream holds %d bytes, the window is %d", held, r.limits.StreamWindow)
			}
		}
		up.mu.Unlock()
		c.mu.Lock()
		if n := cap(c.out); n > 2*largeBuffer {
			t.Errorf("%d bytes wait to be written, of at most %d", n, r.limits.WriteBuffer)
		}
		c.mu.Unlock()
		c.Abort()
	})
}

// memory is what the queue holds, used or not.
func (q *queue) memory() (n int) {
	for p := q.first; p != nil; p = p.next {
		n += len(p.data)
	}
	return n
}
