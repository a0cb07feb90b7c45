package http2

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/internal/testkit/memnet"
	"github.com/outrider-mesh/outrider/proxy/limits"
)

// An attack is what a client says over and over, and the code with which it is
// stopped. Each is also measured: what it made us hold, and do for it.
type attack struct {
	name string
	// prepare is said once, say again and again; i counts.
	prepare func(p *peer)
	say     func(p *peer, i int)
	times   int
	want    string // of the GOAWAY; empty where the connection lives
	// most is how many exchanges it may begin.
	most int
}

var calm = "GOAWAY ENHANCE_YOUR_CALM: "

var attacks = []attack{
	{
		name: "rapid reset", times: 5000, want: calm + "too many requests were called off before their answers", most: 300,
		say: func(p *peer, i int) {
			id := uint32(2*i + 1)
			p.get(id, "x-hang: y")
			p.frame(wire.FrameRSTStream, 0, id, u32(8))
		},
	},
	{
		name: "rapid reset of malformed requests", times: 5000, want: calm + "too many requests were called off before their answers", most: 5000,
		say: func(p *peer, i int) {
			id := uint32(2*i + 1)
			p.post(id, "A: b")
			p.frame(wire.FrameRSTStream, 0, id, u32(8))
		},
	},
	{
		name: "streams that we must reset", times: 5000, want: calm + "too many frames that carry nothing", most: 5000,
		say: func(p *peer, i int) {
			id := uint32(2*i + 1)
			p.post(id, "x-hang: y")
			p.frame(wire.FrameWindowUpdate, 0, id, u32(0))
		},
	},
	{
		name: "more streams than are allowed", times: 5000, want: calm + "too many frames that carry nothing", most: 100,
		say: func(p *peer, i int) { p.get(uint32(2*i+1), "x-hang: y") },
	},
	{
		name: "SETTINGS", times: 5000, want: calm + "too many frames that carry nothing",
		say: func(p *peer, _ int) { p.frame(wire.FrameSettings, 0, 0, "") },
	},
	{
		name: "large SETTINGS", times: 100, want: calm + "too many frames that carry nothing",
		say: func(p *peer, _ int) { p.frame(wire.FrameSettings, 0, 0, strings.Repeat(setting(0xff, 1), 2000)) },
	},
	{
		name: "acknowledgements of nothing", times: 5000, want: calm + "too many frames that carry nothing",
		say: func(p *peer, _ int) { p.frame(wire.FrameSettings, wire.FlagSettingsAck, 0, "") },
	},
	{
		name: "PING", times: 5000, want: calm + "too many frames that carry nothing",
		say: func(p *peer, _ int) { p.frame(wire.FramePing, 0, 0, "12345678") },
	},
	{
		name: "answers to no PING", times: 5000, want: calm + "too many frames that carry nothing",
		say: func(p *peer, _ int) { p.frame(wire.FramePing, wire.FlagPingAck, 0, "12345678") },
	},
	{
		name: "WINDOW_UPDATE", times: 5000, want: calm + "too many frames that carry nothing",
		say: func(p *peer, _ int) { p.frame(wire.FrameWindowUpdate, 0, 0, u32(1)) },
	},
	{
		name: "PRIORITY", times: 5000, want: calm + "too many frames that carry nothing",
		say: func(p *peer, i int) { p.frame(wire.FramePriority, 0, uint32(2*i+1), u32(0)+"x") },
	},
	{
		name: "frames that nobody knows", times: 5000, want: calm + "too many frames that carry nothing",
		say: func(p *peer, _ int) { p.frame(0xfa, 0, 0, "") },
	},
	{
		name: "goodbyes", times: 5000, want: calm + "too many frames that carry nothing",
		say: func(p *peer, _ int) { p.frame(wire.FrameGoAway, 0, 0, u32(0)+u32(0)) },
	},
	{
		name: "empty DATA", times: 5000, want: calm + "too many frames that carry nothing", most: 1,
		prepare: func(p *peer) { p.post(1, "x-hang: y") },
		say:     func(p *peer, _ int) { p.data(1, false, "") },
	},
	{
		name: "DATA of nothing but padding", times: 5000, want: calm + "too many frames that carry nothing", most: 1,
		prepare: func(p *peer) { p.post(1, "x-hang: y") },
		say: func(p *peer, _ int) {
			p.frame(wire.FrameData, wire.FlagDataPadded, 1, "\xff"+strings.Repeat("\x00", 255))
		},
	},
	{
		name: "DATA on a closed stream", times: 5000, want: calm + "too many frames that carry nothing", most: 1,
		prepare: func(p *peer) { p.get(1) },
		say:     func(p *peer, _ int) { p.data(1, false, "x") },
	},
	{
		name: "resets of a closed stream", times: 5000, want: calm + "too many frames that carry nothing", most: 1,
		prepare: func(p *peer) { p.get(1) },
		say:     func(p *peer, _ int) { p.frame(wire.FrameRSTStream, 0, 1, u32(8)) },
	},
	{
		name: "a head of empty CONTINUATION", times: 5000, want: calm + "a head in too many frames, or far over its limit",
		prepare: func(p *peer) { p.frame(wire.FrameHeaders, 0, 1, "") },
		say:     func(p *peer, _ int) { p.frame(wire.FrameContinuation, 0, 1, "") },
	},
	{
		name: "a head without an end", times: 5000, want: calm + "a head in too many frames, or far over its limit",
		prepare: func(p *peer) { p.frame(wire.FrameHeaders, 0, 1, "") },
		say: func(p *peer, _ int) {
			p.frame(wire.FrameContinuation, 0, 1, string(p.section("a: "+strings.Repeat("b", 6000))))
		},
	},
	{
		// One byte of HPACK refers to a field of 4 KiB.
		name: "a bomb of HPACK", times: 50, want: "", most: 51,
		prepare: func(p *peer) { p.get(1, "x: "+strings.Repeat("y", 4000)) },
		say: func(p *peer, i int) {
			p.frame(wire.FrameHeaders, 5, uint32(2*i+3), string(p.section(getLines()...))+strings.Repeat("\xbe", 16000))
		},
	},
	{
		// A window of one byte has us send one frame for each byte.
		name: "tiny windows", times: 5000, want: calm + "too many frames that carry nothing", most: 1,
		prepare: func(p *peer) {
			p.frame(wire.FrameSettings, 0, 0, setting(4, 1))
			p.get(1, "x-long: y")
			p.pause()
		},
		say: func(p *peer, _ int) {
			p.frame(wire.FrameWindowUpdate, 0, 1, u32(1))
			p.pause()
		},
	},
	{
		name: "windows that open and close", times: 2000, want: calm + "too many frames that carry nothing", most: 1,
		prepare: func(p *peer) { p.get(1, "x-hang: y") },
		say:     func(p *peer, i int) { p.frame(wire.FrameSettings, 0, 0, setting(4, uint32(i%2))) },
	},
	{
		name: "HEADERS without a request", times: 5000, want: calm + "too many requests were called off before their answers", most: 5000,
		say: func(p *peer, i int) {
			p.headers(uint32(2*i+1), false)
			p.frame(wire.FrameRSTStream, 0, uint32(2*i+1), u32(0))
		},
	},
}

func TestAttacks(t *testing.T) {
	for i := range attacks {
		a := &attacks[i]
		t.Run(a.name, func(t *testing.T) { a.run(t) })
	}
	if len(attacks) < 22 {
		t.Errorf("%d attacks, want at least 22", len(attacks))
	}
}

// held is how much an attack may make us hold, in bytes: what the windows and limits
// of one connection allow.
const held = 3 << 20

func (a *attack) run(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs, ours := memnet.Pipe(1 << 16)
		c := NewServer(ServerOptions{Limits: limits.Default(), Buffers: new(Buffers)}).NewConn(ours)
		over := make(chan struct{})
		begun := make(chan struct{}, 10_000)
		served := make(chan error, 1)
		go func() { served <- c.Serve(func(x *Exchange) { begun <- struct{}{}; a.serve(x, over) }) }()
		p := newPeer(t, theirs)
		ended := make(chan []string, 1)
		go func() { ended <- p.endings() }() // a client that reads, as far as it can
		before := heap()
		said := a.attack(p)
		synctest.Wait()
		if grown := heap() - before; grown > held {
			t.Errorf("%d bytes are held", grown)
		}
		close(over)
		_ = theirs.CloseWrite()
		got := ""
		for _, line := range <-ended {
			if strings.HasPrefix(line, "GOAWAY") {
				got = line
			}
		}
		theirs.Close()
		<-served
		if got != a.want {
			t.Errorf("ended with %q, want %q", got, a.want)
		}
		if len(begun) > a.most {
			t.Errorf("%d exchanges were begun, want at most %d", len(begun), a.most)
		}
		t.Logf("%d of %d said, %d exchanges begun", said, a.times, len(begun))
	})
}

// attack says it until nobody listens, and returns how often it could.
func (a *attack) attack(p *peer) (said int) {
	p.greet()
	if a.prepare != nil {
		a.prepare(p)
	}
	for i := range a.times {
		a.say(p, i)
		if p.w.Flush() != nil {
			return i
		}
	}
	return a.times
}

// serve answers, unless the request asks for something else.
func (a *attack) serve(x *Exchange, over chan struct{}) {
	if x.Err != nil {
		_ = x.Respond(statusOf(x.Err), nil, nil)
		return
	}
	if _, hang := x.Request.Get("x-hang"); hang {
		<-over
		x.Abort()
		return
	}
	var body []byte
	if _, long := x.Request.Get("x-long"); long {
		body = make([]byte, 1<<20)
	}
	_ = x.Respond(200, nil, body)
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// A request that was called off counts as long as its handler runs.
func TestHandlersOfWhatWasCalledOffAreBounded(t *testing.T) {
	l := limits.Default()
	l.StreamResets = 100_000
	inBubble(t, l, nil, func(t *testing.T, r *rig) {
		over := make(chan struct{})
		begun := make(chan struct{}, 100_000)
		r.handle = func(x *Exchange) {
			begun <- struct{}{}
			<-over
			x.Abort()
		}
		p, _ := r.raw()
		for i := range uint32(500) {
			p.get(2*i + 1)
			p.frame(wire.FrameRSTStream, 0, 2*i+1, u32(8))
			p.pause()
		}
		if len(begun) != 2*l.ConcurrentStreams {
			t.Errorf("%d handlers run, want %d", len(begun), 2*l.ConcurrentStreams)
		}
		close(over)
	})
}

// A client that says what it may and reads nothing is not answered without end.
func TestAClientThatMakesUsTalkAndDoesNotListen(t *testing.T) {
	for name, say := range map[string]func(p *peer, i int){
		"PING":     func(p *peer, _ int) { p.frame(wire.FramePing, 0, 0, "12345678") },
		"SETTINGS": func(p *peer, _ int) { p.frame(wire.FrameSettings, 0, 0, "") },
		"requests": func(p *peer, i int) { p.get(uint32(2*i + 1)) },
		"pings beside a body": func(p *peer, i int) {
			if i == 0 {
				p.post(1, "x-read: y")
			}
			p.data(1, false, "x")
			for range frameWorth - 1 {
				p.frame(wire.FramePing, 0, 0, "12345678")
			}
		},
		"resets": func(p *peer, i int) { p.get(uint32(2*i + 1)); p.frame(wire.FrameRSTStream, 0, uint32(2*i+1), u32(8)) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, limits.Default(), nil, func(t *testing.T, r *rig) {
				r.handle = func(x *Exchange) {
					for err := error(nil); err == nil; { // an upload that is taken
						_, err = x.Body.Next()
					}
					_ = x.Respond(200, []byte("x: "+strings.Repeat("y", 8000)+"\r\n"), nil)
				}
				before := heap()
				p, _ := r.raw()
				start := time.Now()
				said := 0
				for ; said < 1_000_000; said++ {
					say(p, said)
					if said%100 == 0 && p.w.Flush() != nil {
						break
					}
				}
				if said == 1_000_000 {
					t.Error("all of it was taken")
				}
				if grown := heap() - before; grown > held {
					t.Errorf("%d bytes are held", grown)
				}
				if took := time.Since(start); took > 2*limits.Default().WriteTimeout {
					t.Errorf("it could talk for %v", took)
				}
			})
		})
	}
}

// Useful work is not mistaken for an attack: long-lived connections with many calls,
// window updates for each, cancellations and pings among them.
func TestHonestWorkIsNoAttack(t *testing.T) {
	inBubble(t, limits.Default(), rawApp(t, func(p *peer, f wire.Frame) {
		if d, is := f.(*wire.DataFrame); is && d.StreamEnded() {
			p.headers(d.StreamID, false, ok()...)
			p.data(d.StreamID, false, "world")
			p.headers(d.StreamID, true, "grpc-status: 0")
		}
	}), func(t *testing.T, r *rig) {
		p, _ := r.raw()
		const calls = 3000
		for i := range uint32(calls) {
			id := 2*i + 1
			p.headers(id, false, grpcLines()...)
			if i%3 == 0 { // called off before its answer, now and then
				p.frame(wire.FrameRSTStream, 0, id, u32(8))
				p.pause()
				continue
			}
			p.data(id, true, "hello")
			p.frame(wire.FrameWindowUpdate, 0, 0, u32(5))
			p.frame(wire.FramePing, 0, 0, "12345678")
			p.frame(wire.FrameWindowUpdate, 0, id, u32(5))
			p.wantAll("PONG 12345678", number(id)+" :status=200", number(id)+` "world"`, number(id)+" grpc-status=0 END")
		}
		if len(r.ends) > 0 {
			t.Errorf("ended: %v", r.ends)
		}
	})
}
