package e2e

import (
	"bytes"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/internal/testkit"
)

// Tests of what a peer can have a sidecar hold. They run alone, as they look at the
// memory of the process: client, two sidecars and application together.

// heapPeak does something and tells by how much the heap was above what it was before,
// in bytes, in the moments when sample was called.
func heapPeak(do func(sample func())) (peak uint64) {
	before := inUse()
	do(func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapAlloc > before {
			peak = max(peak, m.HeapAlloc-before)
		}
	})
	return peak
}

// A field of 4 KiB that is in the table once costs one byte each time it is named:
// 16 KiB on the wire are 64 MiB of fields.
func TestHPACKBomb(t *testing.T) {
	p := newPair(t, side{forward: serveH2(t, grpcHello)}, side{})
	const (
		bombs = 20
		size  = 16 << 10
		most  = 16 << 20
	)
	for _, at := range []struct {
		name string
		s    *testkit.Sidecar
		dial func() *h2caller
	}{
		{"outbound", p.out, func() *h2caller { return dialH2(t, p.out.Address(t, "out")) }},
		{"inbound", p.in, func() *h2caller { return meshH2(t, p.in.Address(t, "in"), p.outID) }},
	} {
		t.Run(at.name, func(t *testing.T) {
			c := at.dial()
			peak := heapPeak(func(sample func()) {
				for i := range bombs {
					id := uint32(2*i + 1)
					block := c.Section(":method", "GET", ":scheme", "http", ":authority", "payments", ":path", "/", "x-bomb", strings.Repeat("x", 3000))
					named := block[len(block)-1:] // from the second time on it is one byte
					if i == 0 {
						c.must(c.Framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true}))
						c.answer(id)
						continue
					}
					c.must(c.Framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndStream: true}))
					c.must(c.Framer.WriteContinuation(id, true, bytes.Repeat(named, size)))
					if a := c.answer(id); a.Last(":status") != "431" {
						t.Fatalf("the bomb was answered with %+v", a.Heads)
					}
					sample()
				}
			})
			t.Logf("the heap has grown by %d KiB at most", peak>>10)
			if peak > most {
				t.Errorf("the heap has grown by %d KiB", peak>>10)
			}
			isOK(t, c.grpc(2*bombs+1, charge))
			at.s.Log.AwaitReason(t, "head_too_large")
		})
	}
}

// A client that asks for much and takes nothing gets no more memory than the windows
// of its streams, and not for ever.
func TestStalledWindows(t *testing.T) {
	const streams = 100
	body := make([]byte, 4<<20)
	app := serveH2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			_, _ = w.Write(body)
			return
		}
		grpcHello(w, r)
	})
	const soon = "  limits: {writeTimeout: 500ms}\n"
	p := newPair(t, side{forward: app}, side{spec: soon}) // the other one would give up as well
	bystander := dialH2(t, p.out.Address(t, "out"))
	peak := heapPeak(func(sample func()) {
		c := dialH2(t, p.out.Address(t, "out"), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		for i := range streams {
			c.must(c.Request(odd(i), true, "GET", "/large"))
		}
		served := 0
		testkit.Eventually(t, "every stream is given up", func() bool {
			isOK(t, bystander.grpc(odd(served), charge))
			served++
			sample()
			return metric(t, p.out, "outrider_requests_total", `reason="request_timeout"`) >= streams
		})
		// The connection is none the worse for it.
		c.must(c.Framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 16}))
		isOK(t, c.grpc(odd(streams), charge))
	})
	// A window for each stream in both of the sidecars, and as much again around them.
	const most = 4*streams*(256<<10) + 64<<20
	t.Logf("the heap has grown by %d KiB at most", peak>>10)
	if peak > most {
		t.Errorf("the heap has grown by %d KiB, to more than %d", peak>>10, most>>10)
	}
}

// Bodies that never end are given up one by one, and answered.
func TestStreamsThatNeverEnd(t *testing.T) {
	const streams = 100
	const soon = "  limits: {bodyTimeout: 300ms}\n"
	p := newPair(t, side{forward: serveH2(t, grpcHello), spec: soon}, side{spec: soon})
	c := dialH2(t, p.out.Address(t, "out"))
	for i := range streams {
		c.must(c.Request(odd(i), false, "POST", "/upload"))
	}
	if err := c.Request(odd(streams), true, "GET", "/"); err != nil {
		t.Fatal(err)
	}
	refused, timedOut := 0, 0
	for ended := 0; ended <= streams; {
		f, err := c.Next()
		if err != nil {
			t.Fatalf("after %d streams: %v", ended, err)
		}
		switch f := f.(type) {
		case *http2.RSTStreamFrame:
			if f.StreamID == odd(streams) && f.ErrCode == http2.ErrCodeRefusedStream {
				refused++
				ended++
			}
		case *http2.MetaHeadersFrame:
			if f.PseudoValue("status") == "408" {
				timedOut++
			}
			ended++
		}
	}
	if refused != 1 || timedOut != streams {
		t.Errorf("%d streams were refused, want the one too many; %d were told that they took too long, want %d", refused, timedOut, streams)
	}
	isOK(t, c.grpc(odd(streams+1), charge))
}
