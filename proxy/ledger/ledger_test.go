package ledger_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/proxy/accesslog"
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/http1"
	"github.com/outrider-mesh/outrider/proxy/ledger"
	"github.com/outrider-mesh/outrider/proxy/limits"
	"github.com/outrider-mesh/outrider/proxy/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// books are kept in memory.
type books struct {
	ledger.Books
	tracker drain.Tracker
	log     bytes.Buffer
}

func newBooks() *books {
	b := new(books)
	b.Books = ledger.Books{
		Tracker: &b.tracker, Metrics: telemetry.New(),
		AccessLog: accesslog.New(accesslog.Options{Output: &b.log, IDs: accesslog.NewIDs()}),
	}
	return b
}

// records closes the log and returns what is in it.
func (b *books) records(t *testing.T) []map[string]any {
	t.Helper()
	if err := b.AccessLog.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for line := range strings.Lines(b.log.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// connected returns both ends of a TCP connection.
func connected(t *testing.T) (ours, other net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if other, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if ours, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = ours.Close()
		_ = other.Close()
	})
	return ours, other
}

var known = flow.Connection{Direction: flow.Inbound, Listener: "http", Protocol: flow.TCP}

func TestAnEntryIsKnownUntilItIsClosed(t *testing.T) {
	b := newBooks()
	ours, other := connected(t)
	var e ledger.Entry
	b.Open(&e, ours, known)
	if b.tracker.Len() != 1 || e.Flow.ID == 0 || e.Flow.ID != e.Tracked.ID() || e.Flow.Opened.IsZero() ||
		e.Flow.Remote.String() != other.LocalAddr().String() || e.Flow.Listener != "http" || e.Metrics != nil {
		t.Errorf("opened as %+v", e.Flow)
	}
	e.Finish()
	e.Close()
	if b.tracker.Len() != 0 || e.Metrics == nil {
		t.Error("known or uncounted after its end")
	}
	if _, err := other.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the other end reads %v", err)
	}
	if r := b.records(t); len(r) != 1 || r[0]["listener"] != "http" || r[0]["reason"] != nil {
		t.Errorf("records %v", r)
	}
}

// Why a connection is written down to have ended, given what its own goroutine
// thinks, and what it was told.
func TestWhyItEnded(t *testing.T) {
	for _, c := range []struct {
		name      string
		own, told flow.Reason
		panicked  bool
		want      flow.Reason
	}{
		{"in good order", flow.None, flow.None, false, flow.None},
		{"for its own reason", flow.TLSFailed, flow.None, false, flow.TLSFailed},
		{"because it was told to", flow.None, flow.Draining, false, flow.Draining},
		{"because it was told to, which looked like a client that closed", flow.ClientClosed, flow.PolicyChanged, false, flow.PolicyChanged},
		{"denied, and told to end besides", flow.AccessDenied, flow.Draining, false, flow.AccessDenied},
		{"plaintext, and told to end besides", flow.PlaintextRefused, flow.Draining, false, flow.PlaintextRefused},
		{"by a panic", flow.None, flow.None, true, flow.Internal},
		{"by a panic, and told to end besides", flow.None, flow.Draining, true, flow.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBooks()
			ours, _ := connected(t)
			var e ledger.Entry
			b.Open(&e, ours, known)
			e.Count()
			e.Flow.Refusal.Reason = c.own
			if c.told != flow.None {
				e.Tracked.Abort(c.told)
			}
			if !c.panicked {
				e.Finish()
			}
			e.Close()
			if got := e.Flow.Refusal.Reason; got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
			if r := b.records(t); len(r) != 1 || (c.want != flow.None) != (r[0]["reason"] == c.want.String()) {
				t.Errorf("records %v", r)
			}
		})
	}
}

func TestAnAbortResets(t *testing.T) {
	b := newBooks()
	ours, other := connected(t)
	var e ledger.Entry
	b.Open(&e, ours, known)
	b.tracker.Abort()
	if _, err := other.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the other end reads %v", err)
	}
	e.Finish()
	e.Close()
	b.records(t)
}

// HTTP ends when it is idle, whether it was told before or after it was served.
func TestAGracefulEnd(t *testing.T) {
	for _, before := range []bool{true, false} {
		b := newBooks()
		ours, other := connected(t)
		var e ledger.Entry
		b.Open(&e, ours, known)
		e.CloseGracefully() // nothing is served yet: it has nobody to tell
		e.AbandonIfGone()
		l := limits.Default()
		l.LingerTimeout = 1
		h := http1.NewServer(http1.ServerOptions{Limits: l, Buffers: new(http1.Buffers)}).NewConn(ours)
		if before {
			b.tracker.Drain()
		}
		e.Serve(h)
		if !before {
			if h.Closing() {
				t.Error("closing, and nobody asked")
			}
			b.tracker.Drain()
		}
		if err := h.Serve(func(x *http1.Exchange) { x.Abort() }); err != nil {
			t.Errorf("told before: %t: %v", before, err)
		}
		_ = other.Close()
		e.Finish()
		e.Close()
		if e.Flow.Refusal.Reason != flow.Draining {
			t.Errorf("told before: %t: %v", before, e.Flow.Refusal)
		}
		b.records(t)
	}
}

func TestAConnectionThatWasNotLetIn(t *testing.T) {
	b := newBooks()
	ours, other := connected(t)
	b.Refused(ours, known, flow.Refusal{Reason: flow.Overloaded, Detail: "full"})
	r := b.records(t)
	if len(r) != 1 || r[0]["reason"] != "overloaded" || r[0]["detail"] != "full" {
		t.Errorf("records %v of %v", r, other.LocalAddr())
	}
	if b.tracker.Len() != 0 {
		t.Error("it is tracked")
	}
}

func TestWithoutALogNothingIsWritten(t *testing.T) {
	b := ledger.Books{Tracker: new(drain.Tracker), Metrics: telemetry.New()}
	ours, _ := connected(t)
	var e ledger.Entry
	b.Open(&e, ours, known)
	e.Close()
	b.Refused(ours, known, flow.Refusal{Reason: flow.Overloaded})
}
