package http2

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

// grpcLines are those of a gRPC call, whose body is to follow.
func grpcLines() []string {
	return append(postLines(), "content-type: application/grpc", "te: trailers")
}

func nobody(*peer, uint32) {}

func TestAClientThatSaysNothingTimesOut(t *testing.T) {
	for name, first := range map[string]string{"nothing": "", "half a preface": "PRI * HTTP", "a preface": wire.ClientPreface} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, limits.Default(), rawApp(t, onRequest(nobody)), func(t *testing.T, r *rig) {
				nc, _ := r.connect()
				p := newPeer(t, nc)
				p.raw(first)
				start := time.Now()
				p.want("EOF")
				within(t, "the greeting", time.Since(start), limits.Default().HeadTimeout)
			})
		})
	}
}

func TestAHeadThatTricklesTimesOut(t *testing.T) {
	for name, say := range map[string]func(p *peer, i int){
		"its bytes": func(p *peer, i int) {
			if i == 0 {
				p.raw("\x00\x40\x00\x01\x04\x00\x00\x00\x01")
			}
			p.raw("\x82")
		},
		"its frames": func(p *peer, i int) {
			if i == 0 {
				p.frame(wire.FrameHeaders, 0, 1, "\x82")
			}
			p.frame(wire.FrameContinuation, 0, 1, "\x84")
		},
		"a control frame": func(p *peer, i int) {
			if i == 0 {
				p.raw("\x00\x40\x00\x04\x00\x00\x00\x00\x00")
			}
			p.raw("\x00")
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, limits.Default(), rawApp(t, onRequest(nobody)), func(t *testing.T, r *rig) {
				p, _ := r.raw()
				start, stop := time.Now(), make(chan struct{})
				r.wg.Go(func() {
					for i := range 12 {
						select {
						case <-stop:
							return
						case <-time.After(time.Second):
							say(p, i)
							_ = p.w.Flush() // the connection may be closed
						}
					}
				})
				_, _ = p.fr.ReadFrame()
				for {
					if _, err := p.fr.ReadFrame(); err != nil {
						break
					}
				}
				within(t, "the head", time.Since(start), limits.Default().HeadTimeout)
				close(stop)
			})
		})
	}
}

func TestABodyThatStandsStillTimesOut(t *testing.T) {
	for name, say := range map[string]func(p *peer){
		"between frames":    func(p *peer) { p.post(1); p.data(1, false, "hello") },
		"before any frame":  func(p *peer) { p.post(1, "content-length: 5") },
		"behind no content": func(p *peer) { p.post(1); p.data(1, false, "") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, limits.Default(), rawApp(t, onRequest(nobody)), func(t *testing.T, r *rig) {
				p, _ := r.raw()
				say(p)
				start := time.Now()
				if got := p.next(); !strings.HasPrefix(got, "1 :status=408") {
					t.Error(got)
				}
				within(t, "the body", time.Since(start), limits.Default().BodyTimeout)
				if f := r.failure(); !strings.HasPrefix(f, "client unsent") {
					t.Error(f)
				}
			})
		})
	}
}

func TestAFrameThatStandsStillEndsTheConnection(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(nobody)), func(t *testing.T, r *rig) {
		p, _ := r.raw()
		p.post(1)
		p.raw("\x00\x00\x05\x00\x01\x00\x00\x00\x01hel")
		start := time.Now()
		for p.next() != "EOF" {
		}
		within(t, "the frame", time.Since(start), limits.Default().BodyTimeout)
	})
}

func TestABodyThatComesSlowlyDoesNotTimeOut(t *testing.T) {
	got := ""
	app := rawApp(t, func(p *peer, f wire.Frame) {
		got += strings.Join(frameLine(f), "")
		if d, ok := f.(*wire.DataFrame); ok && d.StreamEnded() {
			answersAll(p, d.StreamID)
		}
	})
	inBubble(t, limits.Default(), app, func(_ *testing.T, r *rig) {
		p, _ := r.raw()
		p.post(1)
		for i := range 20 {
			p.flush()
			<-time.After(limits.Default().BodyTimeout / 2)
			p.data(1, i == 19, "x")
		}
		p.want("1 :status=200 END")
	})
	if n := strings.Count(got, `"x"`); n != 20 {
		t.Errorf("%d pieces arrived, want 20", n)
	}
}

// A stream of gRPC waits for events.
func TestCallsOfGRPCWaitLong(t *testing.T) {
	app := rawApp(t, func(p *peer, f wire.Frame) {
		switch f := f.(type) {
		case *wire.MetaHeadersFrame:
			p.headers(f.StreamID, false, ok("content-type: application/grpc")...)
		case *wire.DataFrame:
			p.data(f.StreamID, false, "pong")
		}
	})
	inBubble(t, limits.Default(), app, func(t *testing.T, r *rig) {
		p, _ := r.raw()
		p.headers(1, false, grpcLines()...)
		p.want("1 :status=200 content-type=application/grpc")
		go func() {
			for range 5 {
				<-time.After(limits.Default().StreamIdleTimeout * 3 / 4)
				p.mu.Lock()
				p.data(1, false, "ping")
				p.flush()
				p.mu.Unlock()
			}
		}()
		p.want(`1 "pong"`, `1 "pong"`, `1 "pong"`, `1 "pong"`, `1 "pong"`)
		start := time.Now()
		p.want("1 RST:CANCEL")
		within(t, "the stream", time.Since(start), limits.Default().StreamIdleTimeout)
	})
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(answersAll)), func(t *testing.T, r *rig) {
		p, _ := r.raw()
		start := time.Now()
		p.want("GOAWAY 0 NO_ERROR", "EOF")
		within(t, "idling", time.Since(start), limits.Default().IdleTimeout)
		p, _ = r.raw()
		<-time.After(limits.Default().IdleTimeout / 2)
		p.get(1)
		p.want("1 :status=200 END")
		start = time.Now()
		p.want("GOAWAY 1 NO_ERROR", "EOF")
		within(t, "idling after a request", time.Since(start), limits.Default().IdleTimeout)
	})
}

func TestANextHopThatDoesNotAnswerTimesOut(t *testing.T) {
	for name, say := range map[string]func(p *peer){
		"no body": func(p *peer) { p.get(1) },
		"a body":  func(p *peer) { p.post(1); p.data(1, true, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, limits.Default(), rawApp(t, onRequest(nobody)), func(t *testing.T, r *rig) {
				p, _ := r.raw()
				say(p)
				start := time.Now()
				if got := p.next(); !strings.HasPrefix(got, "1 :status=504") {
					t.Error(got)
				}
				within(t, "the answer", time.Since(start), limits.Default().UpstreamResponseTimeout)
				if f := r.failure(); !strings.HasPrefix(f, "upstream unsent") || strings.Contains(f, "stale") {
					t.Error(f)
				}
			})
		})
	}
}

func TestAnAnswerThatStandsStillTimesOut(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(func(p *peer, id uint32) {
		p.headers(id, false, ok()...)
		p.data(id, false, "x")
	})), func(t *testing.T, r *rig) {
		p, _ := r.raw()
		p.get(1)
		p.want("1 :status=200", `1 "x"`)
		start := time.Now()
		p.want("1 RST:CANCEL")
		within(t, "the answer", time.Since(start), limits.Default().BodyTimeout)
		if f := r.failure(); !strings.HasPrefix(f, "upstream: ") {
			t.Error(f)
		}
	})
}

// The client lets us send nothing.
func TestAClosedWindowTimesOut(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(func(p *peer, id uint32) {
		p.headers(id, false, ok()...)
		p.data(id, false, "hello")
	})), func(t *testing.T, r *rig) {
		p, _ := r.raw(wire.Setting{ID: wire.SettingInitialWindowSize, Val: 2})
		p.get(1)
		p.want("1 :status=200", `1 "he"`)
		start := time.Now()
		p.want("1 RST:CANCEL")
		within(t, "the window", time.Since(start), limits.Default().WriteTimeout)
		if f := r.failure(); !strings.HasPrefix(f, "client: ") {
			t.Error(f)
		}
	})
}

// The next hop lets us send nothing.
func TestANextHopsClosedWindowTimesOut(t *testing.T) {
	app := rawApp(t, func(p *peer, f wire.Frame) {
		if s, ok := f.(*wire.SettingsFrame); ok && !s.IsAck() {
			p.check(p.fr.WriteSettings(wire.Setting{ID: wire.SettingInitialWindowSize, Val: 0}))
		}
	})
	inBubble(t, limits.Default(), app, func(t *testing.T, r *rig) {
		p, _ := r.raw()
		p.get(1)
		p.flush()
		synctest.Wait() // the connection to the next hop is there, and its settings
		p.frame(wire.FrameRSTStream, 0, 1, u32(8))
		p.post(3)
		p.data(3, false, "hello")
		start := time.Now()
		if got := p.next(); !strings.HasPrefix(got, "3 :status=504") {
			t.Error(got)
		}
		within(t, "the window", time.Since(start), limits.Default().WriteTimeout)
	})
}

// The client reads nothing at all, and we have said as much as sockets hold.
func TestAClientThatDoesNotReadTimesOut(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(func(p *peer, id uint32) {
		p.headers(id, false, ok()...)
		for range 16 {
			p.data(id, false, strings.Repeat("x", mostFrame))
		}
	})), func(t *testing.T, r *rig) {
		p, _ := r.raw(wire.Setting{ID: wire.SettingInitialWindowSize, Val: 1 << 20})
		p.frame(wire.FrameWindowUpdate, 0, 0, u32(1<<20))
		p.get(1)
		p.flush()
		start := time.Now()
		for {
			<-time.After(time.Second)
			r.mu.Lock()
			ended := len(r.ends)
			r.mu.Unlock()
			if ended > 0 || time.Since(start) > time.Hour {
				break
			}
		}
		within(t, "writing", time.Since(start), limits.Default().WriteTimeout)
		if f := r.failure(); !strings.HasPrefix(f, "client: ") {
			t.Error(f)
		}
	})
}

// A peer that is gone without a word is noticed by asking.
func TestASilentClientIsNotWaitedFor(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, onRequest(func(p *peer, id uint32) { p.headers(id, false, ok("content-type: application/grpc")...) })), func(t *testing.T, r *rig) {
		p, _ := r.raw()
		p.headers(1, false, grpcLines()...)
		p.want("1 :status=200 content-type=application/grpc")
		p.silent = true
		start := time.Now()
		p.want("PING alive")
		within(t, "the ping", time.Since(start), limits.Default().PingInterval)
		start = time.Now()
		if got := p.next(); got != "EOF" {
			t.Error(got)
		}
		within(t, "the answer to it", time.Since(start), limits.Default().PingTimeout)
		if f := r.failure(); f != "client: no answer to a ping" {
			t.Error(f)
		}
	})
}

func TestASilentNextHopIsNotWaitedFor(t *testing.T) {
	for sidecar, interval := range map[bool]time.Duration{
		true: limits.Default().PingInterval, false: limits.Default().PlainPingInterval,
	} {
		asked := time.Time{}
		inBubble(t, limits.Default(), rawApp(t, func(p *peer, f wire.Frame) {
			p.silent = true
			if _, ok := f.(*wire.PingFrame); ok && asked.IsZero() {
				asked = time.Now()
			}
		}), func(t *testing.T, r *rig) {
			r.dialed.FromSidecar = sidecar
			p, _ := r.raw()
			p.headers(1, true, grpcLines()...)
			start := time.Now()
			if got := p.next(); !strings.HasPrefix(got, "1 :status=504") {
				t.Error(got)
			}
			synctest.Wait() // for whoever notes when it was asked
			within(t, "the ping", asked.Sub(start), interval)
			within(t, "the answer to it", time.Since(asked), limits.Default().PingTimeout)
			if f := r.failure(); f != "upstream unsent: no answer to a ping" {
				t.Error(f)
			}
		})
	}
}
