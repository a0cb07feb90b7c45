package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/internal/testkit"
	"github.com/outrider-mesh/outrider/proxy/hop"
)

// An attack is what somebody does to a sidecar on a connection of its own.
type attack struct {
	name string
	// once is said over and over, up to rounds times, until the connection ends.
	once   func(c *h2caller, round int) error
	rounds int
	// limits are of the sidecar; YAML.
	limits string
	// code and rule are how the connection ends, the rule by how it begins; reason is what that is counted by.
	code         http2.ErrCode
	rule, reason string
}

// odd is the stream of a round that opens one each.
func odd(round int) uint32 { return uint32(2*round + 1) }

func both(first, second error) error { return errors.Join(first, second) }

const (
	many      = 1 << 16 // rounds, of which a limit leaves few
	calm      = http2.ErrCodeEnhanceYourCalm
	calledOff = "too many requests were called off before their answers"
	idle      = "too many frames that carry nothing"
	large     = "a head in too many frames, or far over its limit"
)

// floods are attacks that a budget ends.
func floods() []attack {
	ping := [8]byte{'f', 'l', 'o', 'o', 'd'}
	open := func(c *h2caller) { c.must(c.Request(1, false, "POST", "/held")) }
	return []attack{
		{name: "rapid reset (CVE-2023-44487)", rounds: many, code: calm, rule: calledOff, once: func(c *h2caller, i int) error {
			return both(c.Request(odd(i), true, "GET", "/held"), c.Framer.WriteRSTStream(odd(i), http2.ErrCodeCancel))
		}},
		{name: "resets that the sidecar is made to send (CVE-2025-8671)", rounds: many, code: calm, rule: "too many ", once: func(c *h2caller, i int) error {
			return both(c.Request(odd(i), false, "POST", "/held"), c.Framer.WriteRawFrame(http2.FrameWindowUpdate, 0, odd(i), make([]byte, 4)))
		}},
		{name: "more streams than there may be", rounds: many, code: calm, rule: idle, once: func(c *h2caller, i int) error {
			return c.Request(odd(i), false, "POST", "/held")
		}},
		{name: "CONTINUATION without end (CVE-2024-27316)", rounds: many, code: calm, rule: large, once: func(c *h2caller, i int) error {
			if i == 0 {
				return c.Framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.Section(":method", "GET")})
			}
			return c.Framer.WriteContinuation(1, false, c.Section("x-more", strings.Repeat("x", 100)))
		}},
		{name: "empty CONTINUATION without end", rounds: many, code: calm, rule: large, once: func(c *h2caller, i int) error {
			if i == 0 {
				return c.Framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
			}
			return c.Framer.WriteContinuation(1, false, nil)
		}},
		{name: "SETTINGS", rounds: many, code: calm, rule: idle, once: func(c *h2caller, _ int) error {
			return c.Framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 16})
		}},
		{name: "empty SETTINGS", rounds: many, code: calm, rule: idle, once: func(c *h2caller, _ int) error { return c.Framer.WriteSettings() }},
		{name: "acknowledged SETTINGS", rounds: many, code: calm, rule: idle, once: func(c *h2caller, _ int) error { return c.Framer.WriteSettingsAck() }},
		{name: "PING", rounds: many, code: calm, rule: idle, once: func(c *h2caller, _ int) error { return c.Framer.WritePing(false, ping) }},
		{name: "answers to no PING", rounds: many, code: calm, rule: idle, once: func(c *h2caller, _ int) error { return c.Framer.WritePing(true, ping) }},
		{name: "WINDOW_UPDATE", rounds: many, code: calm, rule: idle, once: func(c *h2caller, _ int) error { return c.Framer.WriteWindowUpdate(0, 1) }},
		{name: "WINDOW_UPDATE of a stream", rounds: many, code: calm, rule: idle, once: func(c *h2caller, i int) error {
			if i == 0 {
				open(c)
			}
			return c.Framer.WriteWindowUpdate(1, 1)
		}},
		{name: "empty DATA (CVE-2019-9518)", rounds: many, code: calm, rule: idle, once: func(c *h2caller, i int) error {
			if i == 0 {
				open(c)
			}
			return c.Framer.WriteData(1, false, nil)
		}},
		{name: "DATA of nothing but padding", rounds: many, code: calm, rule: idle, once: func(c *h2caller, i int) error {
			if i == 0 {
				open(c)
			}
			return c.Framer.WriteDataPadded(1, false, nil, make([]byte, 50))
		}},
		{name: "PRIORITY (CVE-2019-9513)", rounds: many, code: calm, rule: idle, once: func(c *h2caller, i int) error {
			return c.Framer.WritePriority(1, http2.PriorityParam{StreamDep: uint32(3 + i%100), Weight: uint8(i)})
		}},
		{name: "frames of unknown types", rounds: many, code: calm, rule: idle, once: func(c *h2caller, _ int) error {
			return c.Framer.WriteRawFrame(0xbe, 0, 0, []byte("?"))
		}},
		{name: "resets of what was reset", rounds: many, code: calm, rule: idle, once: func(c *h2caller, i int) error {
			if i == 0 {
				open(c)
			}
			return c.Framer.WriteRSTStream(1, http2.ErrCodeCancel)
		}},
		{name: "GOAWAY", rounds: many, code: calm, rule: idle, once: func(c *h2caller, _ int) error { return c.Framer.WriteGoAway(0, http2.ErrCodeNo, nil) }},
		{name: "a window past its end", rounds: many, code: http2.ErrCodeFlowControl, rule: "the connection's window over 2^31-1", once: func(c *h2caller, _ int) error {
			return c.Framer.WriteWindowUpdate(0, 1<<30)
		}},
		{name: "more than the windows allow", rounds: many, code: http2.ErrCodeFlowControl, rule: "more bytes than the connection's window allows", once: func(c *h2caller, i int) error {
			var opened error
			if i%4 == 0 {
				opened = c.Request(odd(i), false, "POST", "/held")
			}
			return both(opened, c.Framer.WriteData(odd(i-i%4), false, make([]byte, 16<<10)))
		}},
		{name: "a head that is not compressed right", rounds: 1, code: http2.ErrCodeCompression, rule: "a header section that cannot be decoded", once: func(c *h2caller, _ int) error {
			return c.Framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, EndHeaders: true})
		}},
	}
}

// waits are attacks that a deadline ends.
func waits() []attack {
	const soon = "  limits: {headTimeout: 300ms, bodyTimeout: 300ms, writeTimeout: 300ms}\n"
	return []attack{
		{name: "a head without end", rounds: 1, limits: soon, reason: "request_timeout", once: func(c *h2caller, _ int) error {
			return c.Framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.Section(":method", "GET")})
		}},
		{name: "half a frame", rounds: 1, limits: soon, reason: "request_timeout", once: func(c *h2caller, _ int) error {
			_, err := c.w.Write([]byte{0, 0, 8, 6, 0, 0, 0, 0, 0, 'h', 'a', 'l', 'f'})
			return err
		}},
	}
}

// TestHTTP2Attacks does to both listeners of a sidecar what is known to have harmed
// others: the connection ends with the right error, it is counted and written down,
// memory does not grow with the attack, and others are served meanwhile. It runs alone,
// as it looks at the memory of the process.
func TestHTTP2Attacks(t *testing.T) {
	ran := 0
	for _, a := range append(floods(), waits()...) {
		if a.reason == "" {
			a.reason = "bad_request"
		}
		t.Run(a.name, func(t *testing.T) {
			app := serveH2(t, holds)
			p := newPair(t, side{forward: app, spec: a.limits}, side{spec: a.limits})
			t.Run("outbound", func(t *testing.T) {
				underAttack(t, a, p.out, dialH2(t, p.out.Address(t, "out")), func() *h2caller { return dialH2(t, p.out.Address(t, "out")) })
			})
			t.Run("inbound", func(t *testing.T) {
				underAttack(t, a, p.in, dialH2(t, p.out.Address(t, "out")), func() *h2caller {
					return newCaller(t, dialMesh(t, p.in.Address(t, "in"), p.outID, hop.ALPNPlainHTTP2))
				})
			})
			ran += 2
		})
	}
	const least = 2 * 23
	if t.Attr("cases", fmt.Sprintf("%d attacks over HTTP/2", ran)); ran < least {
		t.Errorf("%d attacks were tried, want %d", ran, least)
	}
}

// attackers is how many do the same at once.
const attackers = 4

// bound is how much the memory in use may grow, in bytes: generous beside the windows
// and buffers of some connections, little beside what any flood has sent.
const bound = 24 << 20

func underAttack(t *testing.T, a attack, s *testkit.Sidecar, bystander *h2caller, dial func() *h2caller) {
	bystander.must(bystander.Call(1, false, "/held"))
	isOK(t, bystander.grpc(3, charge))
	before := inUse()
	var all sync.WaitGroup
	for range attackers {
		c := dial()
		all.Go(func() { a.try(t, c) })
	}
	over := make(chan struct{})
	go func() { defer close(over); all.Wait() }()
	served, peak := 0, uint64(0)
	for going := true; going; served++ {
		select {
		case <-over:
			going = false
		default:
		}
		// Not idempotent: what is sent again to make up for a lost hop shows.
		isOK(t, bystander.grpc(uint32(2*served+5), charge))
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
	}
	if bystander.Ended(1) {
		t.Error("a call of somebody else was ended by the attack")
	}
	counted(t, s, attackers, "outrider_connections_closed_total", `reason="`+a.reason+`"`)
	record := s.Log.Await(t, a.name, func(r map[string]any) bool { return r["kind"] == "connection" && r["reason"] == a.reason })
	if detail, _ := record["detail"].(string); !strings.Contains(detail, a.rule) {
		t.Errorf("the record has detail %q, want %q", detail, a.rule)
	}
	after := inUse()
	t.Logf("%d requests of others were served; heap %d KiB before, %d at most, %d after", served, before>>10, peak>>10, after>>10)
	if after > before+bound || peak > before+2*bound {
		t.Errorf("the heap has grown from %d to %d and %d KiB", before>>10, peak>>10, after>>10)
	}
}

// inUse is the heap without what nobody holds.
func inUse() uint64 {
	runtime.GC()
	runtime.GC() // pools let go of what they hold in two steps
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// try attacks until the connection ends, and looks at how.
func (a attack) try(t *testing.T, c *h2caller) {
	defer c.Close()
	type ending struct {
		code http2.ErrCode
		why  string
		err  error
	}
	ended := make(chan ending, 1)
	go func() { // reading answers nothing here, so that two may use the framer
		for {
			f, err := c.Framer.ReadFrame()
			if err != nil {
				ended <- ending{err: err}
				return
			}
			if g, ok := f.(*http2.GoAwayFrame); ok {
				ended <- ending{code: g.ErrCode, why: string(g.DebugData())}
				return
			}
		}
	}()
	var end ending
	sent, over := 0, false
	for ; sent < a.rounds && !over; sent++ {
		if a.once(c, sent) != nil {
			break
		}
		select {
		case end = <-ended:
			over = true
		default:
		}
	}
	if !over {
		end = <-ended
	}
	switch {
	case a.rule == "": // it is silence that ended it: no more than that is promised
	case end.err != nil:
		t.Errorf("the connection ended with %v after %d rounds, want %v", end.err, sent, a.code)
	case end.code != a.code || !strings.HasPrefix(end.why, a.rule):
		t.Errorf("the connection ended with %v %q, want %v %q", end.code, end.why, a.code, a.rule)
	}
}

// An application's process that ends with all of its streams open takes none of the
// calls of others with it, although all of them share a connection between the
// sidecars.
func TestManyCallsCalledOffAtOnce(t *testing.T) {
	t.Parallel()
	var begun atomic.Int64
	p := newPair(t, side{forward: serveH2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			begun.Add(1)
		}
		holds(w, r)
	})}, side{})
	bystander := dialH2(t, p.out.Address(t, "out"))
	bystander.must(bystander.Call(1, false, "/held"))
	isOK(t, bystander.grpc(3, charge))
	const processes, streams = 6, 80
	for n := range processes {
		c := dialH2(t, p.out.Address(t, "out"))
		for i := range streams {
			c.must(c.Call(odd(i), false, "/held"))
		}
		isOK(t, c.grpc(odd(streams), charge))
		// Over QUIC each call has a stream of its own, and none waits for another.
		testkit.Eventually(t, "all of them have begun", func() bool { return begun.Load() == int64(1+(n+1)*streams) })
		c.Close()
		testkit.Eventually(t, "its calls are called off", func() bool {
			return metric(t, p.in, "outrider_requests_total", `reason="client_closed"`) >= float64((n+1)*streams)
		})
	}
	isOK(t, bystander.grpc(5, charge))
	if bystander.Ended(1) {
		t.Error("a call of somebody else was ended")
	}
}
