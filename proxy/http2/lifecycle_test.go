package http2

import (
	"context"
	"fmt"
	"net"
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

const goodbye = "GOAWAY 2147483647 NO_ERROR"

// gate is a next hop that answers a request when it is told to. Its channel is made
// in the bubble that it is used in.
type gate struct{ open chan struct{} }

func (g *gate) answer(p *peer, id uint32) {
	<-g.open
	answersAll(p, id)
}

func pong(p *peer, data string) {
	p.frame(wire.FramePing, wire.FlagPingAck, 0, (data + "\x00\x00\x00\x00")[:8])
}

func TestAnIdleConnectionEndsAtOnce(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(answersAll)), func(t *testing.T, r *rig) {
		p, c := r.raw()
		p.silent = true
		synctest.Wait()
		if c.Closing() {
			t.Error("closing before it was asked to")
		}
		c.CloseGracefully()
		c.CloseGracefully()
		if !c.Closing() {
			t.Error("not closing")
		}
		p.want(goodbye, "PING last")
		pong(p, "last")
		p.want("GOAWAY 0 NO_ERROR", "EOF")
	})
}

func TestRequestsOnTheirWayAreServed(t *testing.T) {
	g := new(gate)
	inBubble(t, limits.Default(), rawApp(t, onRequest(g.answer)), func(_ *testing.T, r *rig) {
		g.open = make(chan struct{})
		p, c := r.raw()
		p.silent = true
		p.get(1)
		p.flush()
		synctest.Wait()
		c.CloseGracefully()
		p.want(goodbye, "PING last")
		p.get(3) // was sent before we said so, for all that we can tell
		pong(p, "last")
		p.get(5)
		p.want("GOAWAY 3 NO_ERROR")
		close(g.open)
		p.wantAll("1 :status=200 END", "3 :status=200 END")
		p.want("EOF")
	})
}

func TestAClientThatDoesNotAnswerOurGoodbye(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(answersAll)), func(t *testing.T, r *rig) {
		p, c := r.raw()
		p.silent = true
		p.get(1)
		p.want("1 :status=200 END")
		c.CloseGracefully()
		start := time.Now()
		p.want(goodbye, "PING last", "GOAWAY 1 NO_ERROR", "EOF")
		within(t, "the goodbye", time.Since(start), limits.Default().PingTimeout)
	})
}

func TestAbort(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(nobody)), func(t *testing.T, r *rig) {
		p, c := r.raw()
		p.get(1)
		p.flush()
		synctest.Wait()
		c.Abort()
		p.want("connection reset")
		if f := r.failure(); !strings.HasPrefix(f, "client unsent: ") {
			t.Error(f)
		}
	})
}

// Nobody works for a client that is gone.
func TestAClientThatGoesAway(t *testing.T) {
	var told string
	inBubble(t, limits.Default(), rawApp(t, func(_ *peer, f wire.Frame) {
		told += strings.Join(frameLine(f), " ") + " "
	}), func(t *testing.T, r *rig) {
		p, _ := r.raw()
		p.post(1)
		p.data(1, false, "x")
		p.flush()
		synctest.Wait()
		p.nc.Close()
		synctest.Wait()
		if f := r.failure(); f != "client unsent: closed before the answer" {
			t.Error(f)
		}
		if told = strings.Join(strings.Fields(told), " "); !strings.HasSuffix(told, `"x" RST:CANCEL`) {
			t.Error(told)
		}
		if busy, idle := r.pool.Stats(); busy != 0 || idle != 1 {
			t.Errorf("%d busy and %d idle connections", busy, idle)
		}
	})
}

// A panic ends its client's connection and no other, and passes through.
func TestAPanic(t *testing.T) {
	for name, panics := range map[string]func(r *rig, x *Exchange){
		"in a handler": func(*rig, *Exchange) { panic("boom") },
		"while forwarding": func(r *rig, x *Exchange) {
			up, err := r.pool.Get(r.t.Context(), x.Started)
			if err != nil {
				r.t.Error(err)
				return
			}
			x.relay.up = up
			defer x.abandon()
			if _, f := x.tryOpen(&r.edits); f != nil {
				r.t.Error(f)
			}
			panic("boom")
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, limits.Default(), rawApp(t, onRequest(func(p *peer, id uint32) {
				if id > 1 {
					answersAll(p, id)
				}
			})), func(t *testing.T, r *rig) {
				r.handle = func(x *Exchange) {
					if x.Request.Path == "/panic" {
						panics(r, x)
					}
					r.forward(x)
				}
				other, _ := r.raw()
				other.post(1)
				other.flush()
				synctest.Wait()
				p, _ := r.raw()
				p.post(1)
				p.headers(3, true, path("/panic")...)
				p.flush()
				synctest.Wait()
				if got := p.next(); got != "connection reset" {
					t.Error(got)
				}
				if len(r.ends) != 1 || !strings.Contains(r.ends[0].Error(), "panic: boom") {
					t.Errorf("ends %v", r.ends)
				}
				other.get(3)
				other.want("3 :status=200 END")
			})
		})
	}
}

// panicking is a connection whose writes panic when they are told to.
type panicking struct {
	net.Conn
	now atomic.Bool
}

func (c *panicking) Write(p []byte) (int, error) {
	if c.now.Load() {
		panic("boom")
	}
	return c.Conn.Write(p)
}

// Whoever writes to a connection that panics, nobody else waits for it.
func TestAPanicOfAWriter(t *testing.T) {
	for name, set := range map[string]func(client, next *panicking){
		"to the client":   func(client, _ *panicking) { client.now.Store(true) },
		"to the next hop": func(_, next *panicking) { next.now.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, limits.Default(), rawApp(t, onRequest(answersAll)), func(t *testing.T, r *rig) {
				theirs, ours := memnet.Pipe(pipeBytes)
				client, next := &panicking{Conn: ours}, new(panicking)
				dial := r.pool.opts.Dial
				r.pool.opts.Dial = func(ctx context.Context) (Dialed, error) {
					d, err := dial(ctx)
					if next.Conn == nil { // the first
						next.Conn, d.Conn = d.Conn, next
					}
					return d, err
				}
				ended := make(chan any, 1)
				r.wg.Go(func() {
					defer func() { ended <- recover() }()
					_ = r.server.NewConn(client).Serve(r.forward)
				})
				p := newPeer(t, theirs)
				p.greet()
				p.get(1)
				p.want("1 :status=200 END")
				synctest.Wait()
				set(client, next)
				p.get(3)
				p.get(5)
				p.flush()
				if v := fmt.Sprint(<-ended); !strings.Contains(v, "boom") {
					t.Errorf("%.100s", v)
				}
				theirs.Close()
			})
		})
	}
}

// A panic in a goroutine of the connection to the next hop goes to the client whose
// call it touches.
func TestAPanicOfANextHopsReader(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(nobody)), func(t *testing.T, r *rig) {
		p, _ := r.raw()
		p.get(1)
		p.flush()
		synctest.Wait()
		r.toApp[0].LimitReads(func() int { panic("boom") })
		r.pool.conns[0].mu.Lock()
		r.pool.conns[0].wake() // it reads, and finds nothing
		r.pool.conns[0].mu.Unlock()
		r.appSays("x")
		if got := p.next(); got != "connection reset" {
			t.Error(got)
		}
		synctest.Wait()
		if len(r.ends) != 1 || !strings.Contains(r.ends[0].Error(), "boom") {
			t.Errorf("ends %v", r.ends)
		}
		r.stats(0, 0)
	})
}

// refuseFirst refuses the first stream and answers the others.
func refuseFirst(say func(p *peer, id uint32)) (app func(p *peer, f wire.Frame), got *string) {
	got = new(string)
	refused := false
	var mu sync.Mutex
	return func(p *peer, f wire.Frame) {
		mu.Lock()
		defer mu.Unlock()
		*got += strings.Join(frameLine(f), " ") + " "
		ended := false
		switch f := f.(type) {
		case *wire.MetaHeadersFrame:
			ended = f.StreamEnded()
		case *wire.DataFrame:
			ended = f.StreamEnded()
		default:
			return
		}
		switch id := f.Header().StreamID; {
		case !ended:
		case !refused:
			refused = true
			say(p, id)
		default:
			answersAll(p, id)
		}
	}, got
}

func TestWhatWasNotBegunIsSentAgain(t *testing.T) {
	for name, say := range map[string]func(p *peer, id uint32){
		"a refused stream": func(p *peer, id uint32) { p.frame(wire.FrameRSTStream, 0, id, u32(uint32(wire.ErrCodeRefusedStream))) },
		"a goodbye":        func(p *peer, _ uint32) { p.frame(wire.FrameGoAway, 0, 0, u32(0)+u32(0)) },
		"an angry goodbye": func(p *peer, _ uint32) { p.frame(wire.FrameGoAway, 0, 0, u32(0)+u32(11)) },
		"behind an interim": func(p *peer, id uint32) {
			p.headers(id, false, ":status: 103")
			p.frame(wire.FrameRSTStream, 0, id, u32(7))
		},
	} {
		t.Run(name, func(t *testing.T) {
			app, got := refuseFirst(say)
			inBubble(t, limits.Default(), rawApp(t, app), func(t *testing.T, r *rig) {
				var tapped string
				r.handle = func(x *Exchange) {
					x.Body.Tap(100)
					r.forward(x)
					got, complete := x.Body.Tapped()
					tapped = string(got)
					if !complete {
						t.Error("the copy is not known to be complete")
					}
				}
				p, _ := r.raw()
				p.post(1)
				p.data(1, false, "hello")
				p.data(1, true, ", world")
				defer func() {
					r.close()
					if tapped != "hello, world" {
						t.Errorf("copied %q of what was sent twice", tapped)
					}
				}()
				line := p.next()
				if line == "1 :status=103" {
					line = p.next()
				}
				if line != "1 :status=200 END" {
					t.Error(line)
				}
				if f := r.failure(); !strings.HasPrefix(f, "upstream unsent unprocessed: ") {
					t.Error(f)
				}
			})
			if n := strings.Count(*got, `:method=POST :scheme=http :authority=a :path=/ "hello, world" END`); n != 2 {
				t.Errorf("sent %d times: %s", n, *got)
			}
		})
	}
}

// What is not at hand any more cannot be sent again; the client may do so.
func TestALargeBodyIsNotSentAgain(t *testing.T) {
	app, _ := refuseFirst(func(p *peer, id uint32) { p.frame(wire.FrameRSTStream, 0, id, u32(uint32(wire.ErrCodeRefusedStream))) })
	inBubble(t, limits.Default(), rawApp(t, app), func(_ *testing.T, r *rig) {
		p, _ := r.raw()
		p.post(1)
		p.data(1, false, strings.Repeat("x", keepMost))
		p.data(1, true, "x")
		p.want("1 RST:REFUSED_STREAM")
	})
}

// A connection that ends under a request: what is idempotent goes over another one.
func TestStaleConnections(t *testing.T) {
	for method, want := range map[string]string{"GET": "3 :status=200 END", "POST": "3 :status=502"} {
		requests := 0
		inBubble(t, limits.Default(), rawApp(t, onRequest(func(p *peer, id uint32) {
			if requests++; requests == 2 {
				p.nc.Close()
				return
			}
			answersAll(p, id)
		})), func(t *testing.T, r *rig) {
			p, _ := r.raw()
			p.get(1)
			p.want("1 :status=200 END")
			p.headers(3, true, ":method: "+method, ":scheme: http", ":authority: a", ":path: /")
			if got := p.next(); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s, want %s", method, got, want)
			}
			if f := r.failure(); !strings.HasPrefix(f, "upstream unsent stale: ") {
				t.Error(f)
			}
		})
	}
}

// A connection that was new is not stale: the next hop may be at fault.
func TestANewConnectionThatEndsIsNotStale(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(func(p *peer, _ uint32) { p.nc.Close() })), func(t *testing.T, r *rig) {
		p, _ := r.raw()
		p.get(1)
		if got := p.next(); !strings.HasPrefix(got, "1 :status=502") {
			t.Error(got)
		}
		if f := r.failure(); !strings.HasPrefix(f, "upstream unsent: ") {
			t.Error(f)
		}
	})
}

// What the next hop has begun before its goodbye, it ends; what comes after goes
// elsewhere.
func TestAGoodbyeOfTheNextHop(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, func(p *peer, f wire.Frame) {
		switch f := f.(type) {
		case *wire.MetaHeadersFrame:
			p.headers(f.StreamID, false, ok()...)
			if p.id = f.StreamID; !p.left {
				p.left = true
				p.frame(wire.FrameGoAway, 0, 0, u32(f.StreamID)+u32(0))
			}
		case *wire.DataFrame:
			p.data(f.StreamID, true, "end")
		}
	}), func(t *testing.T, r *rig) {
		p, _ := r.raw()
		p.post(1)
		p.want("1 :status=200")
		p.post(3)
		p.want("3 :status=200")
		if busy, idle := r.pool.Stats(); busy != 2 || idle != 0 {
			t.Errorf("%d busy and %d idle connections", busy, idle)
		}
		p.data(1, true, "x")
		p.want(`1 "end" END`)
		p.data(3, true, "x")
		p.want(`3 "end" END`)
		synctest.Wait()
		if busy, idle := r.pool.Stats(); busy != 0 || idle != 0 {
			t.Errorf("%d busy and %d idle connections are left of two that said goodbye", busy, idle)
		}
	})
}
