package http2

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
	"github.com/outrider-mesh/outrider/proxy/limits"
)

// endless answers with a body that has no end.
func endless(w http.ResponseWriter, _ *http.Request) {
	for {
		if _, err := w.Write(make([]byte, mostFrame)); err != nil {
			return
		}
	}
}

// slack is what may be on its way beyond a window: the heads, and one write buffer.
const slack = 64 << 10

// What a slow client does not read, we do not read from the next hop.
func TestASlowClientHoldsTheNextHopUp(t *testing.T) {
	inBubble(t, limits.Default(), serveNetHTTP(endless), func(t *testing.T, r *rig) {
		l := r.limits
		p, c := r.raw()
		p.get(1)
		p.flush()
		synctest.Wait()
		sent := r.toApp[0].Received()
		if sent < l.StreamWindow || sent > l.StreamWindow+2*firstWindow+slack {
			t.Errorf("the next hop has sent %d bytes, its window is %d", sent, l.StreamWindow)
		}
		// What the client takes is asked for again, and no more.
		taken := 0
		for taken < 4*l.StreamWindow {
			f, err := p.fr.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if d, ok := f.(*wire.DataFrame); ok {
				n := uint32(len(d.Data()))
				taken += int(n)
				p.frame(wire.FrameWindowUpdate, 0, 1, u32(n))
				p.frame(wire.FrameWindowUpdate, 0, 0, u32(n))
				p.flush()
			}
		}
		synctest.Wait()
		sent = r.toApp[0].Received()
		if sent < taken || sent > taken+l.StreamWindow+2*firstWindow+slack {
			t.Errorf("the next hop has sent %d bytes, the client taken %d, the window is %d", sent, taken, l.StreamWindow)
		}
		c.Abort()
	})
}

// What the next hop does not take, the client cannot send.
func TestASlowNextHopHoldsTheClientUp(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(nobody)), func(t *testing.T, r *rig) {
		p, c := r.raw()
		p.post(1)
		p.flush()
		var sent atomic.Int64
		window := int64(firstWindow)
		r.wg.Go(func() { // a client that sends as much as it may
			for sent.Load() < 8<<20 {
				for window > sent.Load() {
					n := min(window-sent.Load(), mostFrame)
					p.data(1, false, strings.Repeat("x", int(n)))
					if p.w.Flush() != nil {
						return
					}
					sent.Add(n)
				}
				f, err := p.fr.ReadFrame()
				if err != nil {
					return
				}
				switch f := f.(type) {
				case *wire.WindowUpdateFrame:
					if f.StreamID == 1 {
						window += int64(f.Increment)
					}
				case *wire.SettingsFrame:
					if v, ok := f.Value(wire.SettingInitialWindowSize); ok {
						window += int64(v) - firstWindow
					}
				}
			}
		})
		synctest.Wait()
		// The next hop has taken the first window of its own, for which the client
		// may get a new one, and no more.
		if least := int64(r.limits.StreamWindow); sent.Load() < least || sent.Load() > least+firstWindow {
			t.Errorf("the client could send %d bytes, the window is %d", sent.Load(), least)
		}
		c.Abort()
	})
}

// A client that is slow with one stream does not hold up those of others, which
// share its connection to the next hop.
func TestASlowClientHoldsNobodyElseUp(t *testing.T) {
	inBubble(t, limits.Default(), serveNetHTTP(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/endless" {
			endless(w, q)
			return
		}
		_, _ = w.Write(make([]byte, 1<<20))
	}), func(t *testing.T, r *rig) {
		slow, c := r.raw()
		for id := range uint32(20) {
			slow.headers(2*id+1, true, path("/endless")...)
		}
		slow.flush()
		synctest.Wait()
		client := r.client()
		defer client.CloseIdleConnections()
		for range 3 {
			res, err := client.Get("http://a/")
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if n != 1<<20 || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
		}
		if r.dialCount() != 1 {
			t.Errorf("%d connections to the next hop, want one that is shared", r.dialCount())
		}
		c.Abort()
	})
}

// flood has a client send more than it may to handlers that take nothing.
func flood(t *testing.T, l limits.Limits, streams, frames int) (got []string) {
	inBubble(t, l, nil, func(_ *testing.T, r *rig) {
		over := make(chan struct{})
		r.handle = func(x *Exchange) {
			<-over
			x.Abort()
		}
		p, _ := r.raw()
		for i := range streams {
			p.post(uint32(2*i + 1))
		}
		for range frames {
			for i := range streams {
				p.data(uint32(2*i+1), false, strings.Repeat("x", mostFrame))
			}
		}
		r.wg.Go(p.flush)
		synctest.Wait()
		close(over)
		synctest.Wait()
		_ = p.nc.(*memnet.Conn).CloseWrite()
		got = p.endings()
	})
	return got
}

func TestTheConnectionsWindowBoundsAllStreams(t *testing.T) {
	l := limits.Default()
	l.ConnectionWindow = 2 * l.StreamWindow
	got := flood(t, l, 9, 4)
	if want := isFlow + "more bytes than the connection's window allows"; len(got) != 1 || got[0] != want {
		t.Errorf("%q, want %s", got, want)
	}
	if got := flood(t, l, 8, 4); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "GOAWAY") }) {
		t.Errorf("of as much as is allowed: %q", got)
	}
}

func TestTheStreamsWindowBoundsItsBody(t *testing.T) {
	l := limits.Default()
	l.StreamWindow = 1 // it is never less than what a client begins with
	if got := flood(t, l, 1, 4); len(got) != 1 || got[0] != "RST 1 FLOW_CONTROL_ERROR" {
		t.Errorf("%q", got)
	}
	if got := flood(t, l, 1, 3); len(got) != 1 || got[0] != "RST 1 INTERNAL_ERROR" {
		t.Errorf("of as much as is allowed: %q", got)
	}
}

// countedConn counts writes.
type countedConn struct {
	net.Conn
	mu     sync.Mutex
	writes []int // their sizes
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.writes = append(c.writes, len(p))
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *countedConn) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.writes)
}

// A head, a body and trailers that are ready together are one system call, on either
// side; so are the answers of many streams.
func TestWritesAreFew(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // as in production
	var together atomic.Int32                       // how many calls are answered together
	var ids []uint32
	inBubble(t, limits.Default(), rawApp(t, func(p *peer, f wire.Frame) {
		if d, is := f.(*wire.DataFrame); is && d.StreamEnded() {
			ids = append(ids, d.StreamID)
		}
		if len(ids) < int(together.Load()) {
			return
		}
		for _, id := range ids {
			p.headers(id, false, ok()...)
			p.data(id, false, "hello")
			p.headers(id, true, "grpc-status: 0")
		}
		ids = nil
	}), func(t *testing.T, r *rig) {
		theirs, ours := memnet.Pipe(pipeBytes)
		client := &countedConn{Conn: ours}
		next := new(countedConn)
		dial := r.pool.opts.Dial
		r.pool.opts.Dial = func(ctx context.Context) (Dialed, error) {
			d, err := dial(ctx)
			next.Conn = d.Conn
			d.Conn = next
			return d, err
		}
		r.wg.Go(func() { _ = r.server.NewConn(client).Serve(r.forward) })
		p := newPeer(t, theirs)
		defer theirs.Close()
		p.greet()
		call := func(ids ...uint32) {
			together.Store(int32(len(ids)))
			for _, id := range ids {
				p.headers(id, false, grpcLines()...)
				p.data(id, true, "hello")
			}
			p.flush()
			<-time.After(time.Second)
		}
		call(1)
		beforeClient, beforeNext := client.count(), next.count()
		call(3)
		if c, n := client.count()-beforeClient, next.count()-beforeNext; c != 1 || n != 1 {
			t.Errorf("a call took %d writes to the client and %d to the next hop, want one each", c, n)
		}
		beforeClient, beforeNext = client.count(), next.count()
		call(5, 7, 9, 11, 13, 15, 17, 19)
		if c, n := client.count()-beforeClient, next.count()-beforeNext; !raceEnabled && (c > 4 || n > 4) { // its scheduler is a random one
			t.Errorf("8 calls took %d writes to the client and %d to the next hop", c, n)
		}
	})
}

// A message that is passed on is passed on at once: nothing waits for more.
func TestNothingIsHeldBack(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, func(p *peer, f wire.Frame) {
		switch f := f.(type) {
		case *wire.MetaHeadersFrame:
			p.headers(f.StreamID, false, ok()...)
		case *wire.DataFrame:
			p.data(f.StreamID, false, string(f.Data()))
		}
	}), func(t *testing.T, r *rig) {
		p, c := r.raw()
		p.headers(1, false, grpcLines()...)
		p.want("1 :status=200")
		start := time.Now()
		for range 100 {
			p.data(1, false, "ping")
			p.want(`1 "ping"`)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("took %v of time in which nobody had anything to do", took)
		}
		c.Abort()
	})
}
