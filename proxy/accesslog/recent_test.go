package accesslog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// logInto logs the refusal to a writer with these options and returns what is
// kept of it.
func logInto(t *testing.T, o Options, req *flow.Request) (string, bool) {
	t.Helper()
	o.Recent = NewRecent(8, 16<<10)
	w := New(o)
	w.Request(req)
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
	record, ok := o.Recent.Find(req.DecisionID)
	return string(record), ok
}

func refused(reason flow.Reason) *flow.Request {
	req := everything()
	req.Refusal, req.DecisionID = flow.Refusal{Reason: reason, Detail: "why"}, ""
	return req
}

func TestWhatIsKept(t *testing.T) {
	const least = 25
	kept := 0
	for _, reason := range flow.Reasons() {
		want := reason != flow.None && reason != flow.ClientClosed
		for name, o := range map[string]Options{"a log": {Output: io.Discard}, "no log": {}, "refusals only": {Output: io.Discard, RefusalsOnly: true}} {
			record, ok := logInto(t, o, refused(reason))
			if ok != want || ok && (!json.Valid([]byte(record)) || !strings.Contains(record, `"reason":"`+reason.String()+`"`)) {
				t.Errorf("%v with %s: kept %t, want %t: %s", reason, name, ok, want, record)
			}
			if ok {
				kept++
			}
		}
	}
	if kept < least {
		t.Errorf("only %d records kept", kept)
	}
}

func TestARecordThatIsWrittenIsTheOneThatIsKept(t *testing.T) {
	var out bytes.Buffer
	record, _ := logInto(t, Options{Output: &out}, refused(flow.WAFBlocked))
	if out.String() != record {
		t.Errorf("written %s\nkept    %s", out.String(), record)
	}
}

func TestNoQueryIsKept(t *testing.T) {
	var out bytes.Buffer
	req := refused(flow.AccessDenied)
	req.Query = "token=secret"
	record, ok := logInto(t, Options{Output: &out, Query: true}, req)
	if !strings.Contains(out.String(), "token=secret") {
		t.Errorf("the log is to have it: %s", out.String())
	}
	if !ok || strings.Contains(record, "secret") {
		t.Errorf("kept %s", record)
	}
}

func TestRefusedConnectionsAreKept(t *testing.T) {
	recent := NewRecent(8, 16<<10)
	w := New(Options{Recent: recent})
	c := connection(flow.TCP)
	c.Refusal, c.DecisionID = flow.Refusal{Reason: flow.PlaintextRefused}, ""
	w.Connection(c)
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
	record, ok := recent.Find(c.DecisionID)
	if !ok || !bytes.Contains(record, []byte(`"decision_id":"`+c.DecisionID+`"`)) {
		t.Errorf("%t %s", ok, record)
	}
}

// FuzzRecent: whatever comes, the newest records that fit are found as they were,
// in order, within both bounds.
func FuzzRecent(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, 1+uint8(seed), 40+uint16(seed)*20)
	}
	f.Fuzz(func(t *testing.T, seed uint64, records uint8, size uint16) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := NewRecent(int(records), int(size))
		var all [][]byte // those that could be kept
		for i := range 200 {
			record := []byte(fmt.Sprintf("%020d", i) + strings.Repeat("x", rnd.IntN(100)))
			r.add(string(record[:idSize]), record)
			if len(record) <= int(size) {
				all = append(all, record)
			}
			check(t, r, all, max(int(records), 1), int(size))
		}
	})
}

func check(t *testing.T, r *Recent, all [][]byte, records, size int) {
	t.Helper()
	got := r.All(1000)
	sum := 0
	for i, record := range got {
		if want := all[len(all)-1-i]; !bytes.Equal(record, want) {
			t.Fatalf("record %d is %q, want %q", i, record, want)
		}
		found, ok := r.Find(string(record[:idSize]))
		if !ok || !bytes.Equal(found, record) {
			t.Fatalf("%q is not found", record)
		}
		sum += len(record)
	}
	if len(got) > records || sum > size || len(got) == 0 && len(all) > 0 {
		t.Fatalf("%d records of %d bytes, bounds %d and %d", len(got), sum, records, size)
	}
	// Half of the bytes are in use, unless fewer records are allowed or came.
	if len(got) < min(records, len(all)) && sum < size/2-120 {
		t.Fatalf("only %d records of %d bytes in %d", len(got), sum, size)
	}
}

func TestKeepingAllocatesNothing(t *testing.T) {
	r := NewRecent(64, 16<<10)
	record := bytes.Repeat([]byte("x"), 700)
	r.add(strings.Repeat("0", idSize), record)
	if n := testing.AllocsPerRun(1000, func() { r.add("00000000000000000001", record) }); n != 0 {
		t.Errorf("keeping a record allocates %v times, want 0", n)
	}
}

func TestRecentMayBeUsedConcurrently(t *testing.T) {
	r := NewRecent(16, 4<<10)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 200 {
				id := fmt.Sprintf("%020d", i)
				r.add(id, []byte(id+"record"))
				r.Find(id)
				r.All(5)
			}
		})
	}
	all.Wait()
	if len(r.All(100)) != 16 {
		t.Errorf("%d records", len(r.All(100)))
	}
}

func BenchmarkKeep(b *testing.B) {
	w := New(Options{Recent: NewRecent(512, 256<<10)})
	req := refused(flow.AccessDenied)
	req.DecisionID = "00000000000000000001"
	b.ReportAllocs()
	for b.Loop() {
		w.Request(req)
	}
}

// BenchmarkNotKept is a request that was served, where no log is kept.
func BenchmarkNotKept(b *testing.B) {
	w := New(Options{Recent: NewRecent(512, 256<<10)})
	req := refused(flow.None)
	b.ReportAllocs()
	for b.Loop() {
		w.Request(req)
	}
}
