package accesslog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/accesslog"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A sink records what is written and can be told to block or to fail.
type sink struct {
	mu     sync.Mutex
	writes [][]byte
	gate   chan struct{} // nil, or each write takes one
	script []result      // for the first writes; later ones succeed
}

type result struct {
	n   int
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.script) > 0 {
		r := s.script[0]
		s.script = s.script[1:]
		s.writes = append(s.writes, bytes.Clone(p[:r.n]))
		return r.n, r.err
	}
	s.writes = append(s.writes, bytes.Clone(p))
	return len(p), nil
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.writes)
}

func (s *sink) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(bytes.Join(s.writes, nil))
}

func request(path string) *flow.Request {
	return &flow.Request{Conn: &flow.Connection{Direction: flow.Inbound}, Method: "GET", Path: path, Status: 200}
}

func closed(t *testing.T, w *accesslog.Writer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.Close(ctx); err != nil {
		t.Errorf("Close = %v", err)
	}
}

func TestARecordIsWrittenWithinTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out sink
		w := accesslog.New(accesslog.Options{Output: &out})
		<-time.After(time.Hour) // idle first: the interval counts from the record
		w.Request(request("/a"))
		w.Request(request("/b"))
		<-time.After(99 * time.Millisecond)
		synctest.Wait()
		if n := out.count(); n != 0 {
			t.Errorf("%d writes before the interval, want 0", n)
		}
		<-time.After(time.Millisecond)
		synctest.Wait()
		if n := out.count(); n != 1 {
			t.Errorf("%d writes after the interval, want 1 of both records", n)
		}
		closed(t, w)
	})
}

func TestAQuarterOfTheBufferIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out sink
		w := accesslog.New(accesslog.Options{Output: &out, MaxBuffered: 256 << 10})
		begin := time.Now()
		for range 400 { // about 160 KiB
			w.Request(request("/a"))
		}
		synctest.Wait()
		if out.count() == 0 || !time.Now().Equal(begin) {
			t.Error("nothing was written before the interval had passed")
		}
		closed(t, w)
		if got := strings.Count(out.text(), "\n"); got != 400 {
			t.Errorf("%d records, want 400", got)
		}
	})
}

func TestABlockedSinkDropsRecordsAndTrafficGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := sink{gate: make(chan struct{})}
		var dropped atomic.Int64
		const most = 64 << 10
		w := accesslog.New(accesslog.Options{
			Output: &out, MaxBuffered: most, Dropped: func(n int) { dropped.Add(int64(n)) },
		})
		const total = 2000
		for range total { // never blocks, or the bubble would be deadlocked
			w.Request(request("/a"))
		}
		synctest.Wait()
		lost := dropped.Load()
		if lost == 0 || lost == total {
			t.Fatalf("%d of %d records dropped, want some", lost, total)
		}
		close(out.gate)
		closed(t, w)
		text := out.text()
		if got := int64(strings.Count(text, "\n")); got+lost != total {
			t.Errorf("%d written and %d dropped, want %d together", got, lost, total)
		}
		if len(text) > most {
			t.Errorf("%d bytes waited, want at most %d", len(text), most)
		}
		whole(t, text)
	})
}

// whole checks that every line is a record.
func whole(t *testing.T, text string) (records int) {
	t.Helper()
	for line := range strings.Lines(text) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not a record: %q", line)
		}
		records++
	}
	return records
}

func TestAFailingSinkCostsOnlyWhatItLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("no space left on device")
		// The first write tears the second of three records.
		torn := len(line(t, "/a")) + 20
		out := sink{script: []result{{torn, broken}}}
		var dropped atomic.Int64
		w := accesslog.New(accesslog.Options{Output: &out, Dropped: func(n int) { dropped.Add(int64(n)) }})
		for _, path := range []string{"/a", "/b", "/c"} {
			w.Request(request(path))
		}
		<-time.After(time.Second)
		w.Request(request("/d"))
		if err := w.Close(t.Context()); !errors.Is(err, broken) {
			t.Errorf("Close = %v, want the sink's error", err)
		}
		lines := strings.Split(strings.TrimSuffix(out.text(), "\n"), "\n")
		if len(lines) != 3 || !json.Valid([]byte(lines[0])) || json.Valid([]byte(lines[1])) || !json.Valid([]byte(lines[2])) {
			t.Errorf("want one whole, one torn and one whole record, got %q", lines)
		}
		if got := dropped.Load(); got != 2 {
			t.Errorf("%d records dropped, want 2", got)
		}
	})
}

func TestASinkThatFailsForAWhileLosesWholeRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("try again")
		out := sink{script: []result{{5, broken}, {0, broken}}}
		var dropped atomic.Int64
		w := accesslog.New(accesslog.Options{Output: &out, Dropped: func(n int) { dropped.Add(int64(n)) }})
		for _, path := range []string{"/a", "/b", "/c"} {
			w.Request(request(path))
			<-time.After(time.Second)
		}
		_ = w.Close(t.Context())
		_, rest, _ := strings.Cut(out.text(), "\n")
		if n := whole(t, rest); n != 1 || dropped.Load() != 2 {
			t.Errorf("%d whole records and %d dropped, want 1 and 2: %q", n, dropped.Load(), out.text())
		}
	})
}

// line returns the length of a record by writing one.
func line(t *testing.T, path string) string {
	t.Helper()
	var out sink
	w := accesslog.New(accesslog.Options{Output: &out})
	w.Request(request(path))
	closed(t, w)
	return out.text()
}

func TestCloseFlushesAndLaterRecordsAreDropped(t *testing.T) {
	var out sink
	var dropped atomic.Int64
	w := accesslog.New(accesslog.Options{
		Output: &out, FlushInterval: time.Hour, Dropped: func(n int) { dropped.Add(int64(n)) },
	})
	w.Request(request("/a"))
	closed(t, w)
	closed(t, w)
	w.Request(request("/b"))
	if text := out.text(); whole(t, text) != 1 || !strings.Contains(text, `"/a"`) {
		t.Errorf("wrote %q, want the first record", text)
	}
	if got := dropped.Load(); got != 1 {
		t.Errorf("%d records dropped, want 1", got)
	}
}

func TestCloseDoesNotWaitForeverForABlockedSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := sink{gate: make(chan struct{})}
		w := accesslog.New(accesslog.Options{Output: &out})
		w.Request(request("/a"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close = %v, want the end of its context", err)
		}
		close(out.gate)
		closed(t, w)
	})
}

func TestCloseInterruptsASinkThatKnowsDeadlines(t *testing.T) {
	reader, writer := net.Pipe() // nobody reads
	defer reader.Close()
	defer writer.Close()
	w := accesslog.New(accesslog.Options{Output: writer})
	w.Request(request("/a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Close(ctx); err == nil {
		t.Error("Close = nil, want the sink's error")
	}
	if err := w.Close(t.Context()); err == nil { // returns only if the flusher has
		t.Error("second Close = nil, want the sink's error")
	}
}

func TestWhichRecordsAreWritten(t *testing.T) {
	refused := request("/refused")
	refused.Refusal.Reason = flow.AccessDenied
	detected := request("/detected")
	detected.Inspection.Outcome = flow.Detected
	uninspected := request("/uninspected")
	uninspected.Inspection = flow.Inspection{Outcome: flow.NotInspected, Uninspected: flow.EngineTimeout}
	partly := request("/partly")
	partly.Inspection = flow.Inspection{Outcome: flow.Clean, Uninspected: flow.BodyOverCap}
	clean := request("/clean")
	clean.Inspection.Outcome = flow.Clean
	cases := []struct {
		name             string
		log              func(*accesslog.Writer)
		all, onlyRefusal int
	}{
		{"a served request unless only refusals are kept", func(w *accesslog.Writer) { w.Request(request("/")) }, 1, 0},
		{"a clean request unless only refusals are kept", func(w *accesslog.Writer) { w.Request(clean) }, 1, 0},
		{"a refused request always", func(w *accesslog.Writer) { w.Request(refused) }, 1, 1},
		{"a detected attack always", func(w *accesslog.Writer) { w.Request(detected) }, 1, 1},
		{"a request that was not inspected always", func(w *accesslog.Writer) { w.Request(uninspected) }, 1, 1},
		{"a request that was inspected in part always", func(w *accesslog.Writer) { w.Request(partly) }, 1, 1},
		{
			"a served opaque connection unless only refusals are kept",
			func(w *accesslog.Writer) { w.Connection(&flow.Connection{Protocol: flow.TCP}) }, 1, 0,
		},
		{
			"a served HTTP connection never: its requests are",
			func(w *accesslog.Writer) { w.Connection(&flow.Connection{Protocol: flow.HTTP1}) }, 0, 0,
		},
		{
			"nor one of HTTP/2",
			func(w *accesslog.Writer) { w.Connection(&flow.Connection{Protocol: flow.HTTP2}) }, 0, 0,
		},
		{"a refused HTTP connection always", func(w *accesslog.Writer) {
			w.Connection(&flow.Connection{Protocol: flow.HTTP1, Refusal: flow.Refusal{Reason: flow.CertificateExpired}})
		}, 1, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for refusalsOnly, want := range map[bool]int{false: c.all, true: c.onlyRefusal} {
				var out sink
				w := accesslog.New(accesslog.Options{Output: &out, RefusalsOnly: refusalsOnly})
				c.log(w)
				closed(t, w)
				if got := whole(t, out.text()); got != want {
					t.Errorf("RefusalsOnly %v: %d records, want %d", refusalsOnly, got, want)
				}
			}
		})
	}
}

// Of served calls that a trial would refuse, so many a second are enough.
func TestTrialsAreSampled(t *testing.T) {
	allowed := authz.Decision{Allowed: true, Basis: authz.ByAllow}
	refused := authz.Decision{Basis: authz.ByDeny, Policy: "trial"}
	for _, c := range []struct {
		name         string
		live, shadow authz.Decision
		want         int // of 30 requests and 3 connections, in three seconds
	}{
		{"no trial", allowed, authz.Decision{}, 0},
		{"a trial that agrees", allowed, allowed, 0},
		{"a trial that would refuse", allowed, refused, 10 + 10 + 1},
	} {
		var out sink
		w := accesslog.New(accesslog.Options{Output: &out, RefusalsOnly: true})
		at := time.Unix(1, 0)
		for range 2 {
			for range 15 {
				w.Request(&flow.Request{Started: at, Decision: c.live, Shadow: c.shadow})
			}
			w.Connection(&flow.Connection{Opened: at, Protocol: flow.TCP, Decision: c.live, Shadow: c.shadow})
			at = at.Add(time.Second)
		}
		w.Connection(&flow.Connection{Opened: at, Protocol: flow.TCP, Decision: c.live, Shadow: c.shadow})
		closed(t, w)
		if got := whole(t, out.text()); got != c.want {
			t.Errorf("%s: %d records, want %d", c.name, got, c.want)
		}
	}
}

func TestConcurrentRecordsStayWhole(t *testing.T) {
	var out sink
	w := accesslog.New(accesslog.Options{Output: &out, Dropped: func(int) { t.Error("dropped a record") }})
	const workers, each = 8, 100
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range each {
				w.Request(request("/a"))
				w.Connection(&flow.Connection{Protocol: flow.TCP})
			}
		})
	}
	all.Wait()
	closed(t, w)
	if got, want := whole(t, out.text()), workers*each*2; got != want {
		t.Errorf("%d records, want %d", got, want)
	}
}

func full() *flow.Request {
	req := request("/v1/charges/{*}/Ünïcode")
	req.Conn = &flow.Connection{
		ID: 1, Direction: flow.Inbound, Listener: "app", Security: flow.MutualTLS, Protocol: flow.HTTP1,
		PeerID: "spiffe://cluster.local/ns/shop/sa/checkout",
	}
	req.Started = time.Unix(1_800_000_000, 123456789)
	req.Host, req.Trace = "payments.shop:8080", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	req.Inspection = flow.Inspection{Outcome: flow.Clean, Policy: "shop/waf", Rules: []int{1, 2}}
	req.Decision.Basis, req.Decision.Policy = 2, "shop/payments"
	req.Times.Total = time.Millisecond
	return req
}

func BenchmarkRequest(b *testing.B) {
	w := accesslog.New(accesslog.Options{Output: io.Discard})
	req := full()
	b.ReportAllocs()
	for b.Loop() {
		w.Request(req)
	}
	_ = w.Close(b.Context())
}

func BenchmarkRequestParallel(b *testing.B) {
	w := accesslog.New(accesslog.Options{Output: io.Discard})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		req := full()
		for pb.Next() {
			w.Request(req)
		}
	})
	_ = w.Close(b.Context())
}
