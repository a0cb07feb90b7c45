package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func id(n int) string { return fmt.Sprintf("%032x", n) }

// record is a line as proxy/accesslog writes it, shortened.
func record(decision string, trace int, more string) string {
	return fmt.Sprintf(`{"time":"2026-03-01T11:30:45.123456Z","kind":"request","decision_id":%q,"trace":"00-%s-b7ad6b7169203331-01"%s,"t_us":{"inspect":48,"total":2000}}`+"\n",
		decision, id(trace), more)
}

const (
	detected = `,"waf":{"outcome":"detected","policy":"shop/waf","score":10,"rules":[942100,942190],"message":"SQL","location":"ARGS:q","inspected_bytes":5}`
	refused  = `,"reason":"access_denied"`
)

// find reads a whole log without waiting.
func find(t *testing.T, log string, keys ...Key) []*Record {
	t.Helper()
	l := NewLog(strings.NewReader(log))
	found, err := l.Find(t.Context(), keys, 0)
	if err != nil || len(found) != len(keys) {
		t.Fatalf("%d records, %v", len(found), err)
	}
	return found
}

func TestRecordsAreJoined(t *testing.T) {
	log := record("other", 99, detected) + record("d1", 1, detected) + record("d2", 2, "") + `{"decision_id":"d3","trace":"payload","reason":"waf_blocked"}` + "\n"
	found := find(t, log, Key{Trace: id(1)}, Key{Trace: id(2)}, Key{Trace: id(7), Decision: "d3"}, Key{Trace: id(3)}, Key{})
	if w := found[0].WAF; w == nil || w.Outcome != "detected" || w.Score != 10 || len(w.Rules) != 2 || w.Rules[1] != 942190 ||
		w.Message != "SQL" || w.Location != "ARGS:q" || found[0].Decision != "d1" || found[0].Times.Inspect != 48 {
		t.Errorf("%+v with %+v", found[0], w)
	}
	if r := found[1]; r == nil || r.WAF != nil || r.Decision != "d2" {
		t.Errorf("%+v", r)
	}
	if r := found[2]; r == nil || r.Reason != "waf_blocked" {
		t.Errorf("by decision: %+v", r)
	}
	if found[3] != nil || found[4] != nil {
		t.Errorf("found what is not there: %+v, %+v", found[3], found[4])
	}
}

func TestTheRecordThatTellsMostCounts(t *testing.T) {
	lines := []string{record("out", 1, ""), record("denied", 1, refused), record("in", 1, detected)}
	for i := range lines {
		order := append(append([]string{}, lines[i:]...), lines[:i]...)
		if r := find(t, strings.Join(order, ""), Key{Trace: id(1)})[0]; r.Decision != "in" {
			t.Errorf("%v: %s", i, r.Decision)
		}
	}
	if r := find(t, lines[0]+lines[1], Key{Trace: id(1)})[0]; r.Decision != "denied" {
		t.Errorf("%+v", r)
	}
}

func TestDamagedLinesAreCounted(t *testing.T) {
	long := `{"decision_id":"d9","x":"` + strings.Repeat("x", 2*maxRecord) + "\"}\n"
	log := "nonsense\n\n" + long + `{"decision_id":""}` + "\n" + record("d1", 1, detected)[:40] + "\n" + record("d2", 2, "") + record("cut", 3, "")[:40]
	l := NewLog(strings.NewReader(log))
	found, err := l.Find(t.Context(), []Key{{Trace: id(2)}, {Decision: "d9"}, {Decision: "cut"}}, 0)
	if err != nil || found[0] == nil || found[1] != nil || found[2] != nil {
		t.Errorf("%+v, %v", found, err)
	}
	if l.Damaged() != 4 {
		t.Errorf("%d damaged lines, want 4", l.Damaged())
	}
}

// growing is a log that is written while it is read.
type growing struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (g *growing) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.Read(p)
}

func (g *growing) add(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.b.WriteString(text)
}

func TestFindWaitsForTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log growing
		line := record("d1", 1, detected)
		log.add(line[:30])
		time.AfterFunc(time.Second, func() { log.add(line[30:]) })
		start := time.Now()
		l := NewLog(&log)
		found, err := l.Find(t.Context(), []Key{{Trace: id(1)}}, time.Minute)
		if err != nil || found[0] == nil {
			t.Fatalf("%+v, %v", found, err)
		}
		if waited := time.Since(start); waited < time.Second || waited > time.Second+2*pollEvery {
			t.Errorf("waited %s", waited)
		}
	})
}

// What came between the last look and the end of patience is seen.
func TestFindLooksOnceMoreInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log growing
		time.AfterFunc(19*pollEvery+pollEvery/4, func() { log.add(record("d1", 1, detected)) })
		found, err := NewLog(&log).Find(t.Context(), []Key{{Trace: id(1)}, {Trace: id(2)}}, 19*pollEvery+pollEvery/2)
		if err != nil || found[0] == nil {
			t.Errorf("%+v, %v", found, err)
		}
	})
}

func TestFindGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		found, err := NewLog(new(growing)).Find(t.Context(), []Key{{Trace: id(1)}}, time.Minute)
		if err != nil || found[0] != nil || time.Since(start) != time.Minute {
			t.Errorf("%+v, %v after %s", found, err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := NewLog(new(growing)).Find(ctx, []Key{{Trace: id(1)}}, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestALogThatCannotBeReadIsAnError(t *testing.T) {
	if _, err := NewLog(broken{}).Find(t.Context(), []Key{{Trace: id(1)}}, time.Minute); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
}

// A line is a record of ours, or counts as damaged; and however it is cut into
// pieces, the same is read.
func FuzzLog(f *testing.F) {
	f.Add([]byte(record("d1", 1, detected)+record("d2", 2, refused)), 7)
	f.Add([]byte("nonsense\n{}\n\n"), 1)
	f.Fuzz(func(t *testing.T, log []byte, cut int) {
		whole, pieces := reading(t, log, len(log)), reading(t, log, cut)
		if whole != pieces {
			t.Fatalf("in one piece %s, in pieces %s", whole, pieces)
		}
	})
}

// reading is what is read of a log, of which cut bytes are there at first.
func reading(t *testing.T, log []byte, cut int) string {
	var b bytes.Buffer
	l := NewLog(&b)
	var records []Record
	see := func(r Record) { records = append(records, r) }
	cut = min(max(cut, 0), len(log))
	for _, part := range [][]byte{log[:cut], log[cut:]} {
		b.Write(part)
		if err := l.records(see); err != nil {
			t.Fatal(err)
		}
	}
	lines := 0
	for line := range bytes.Lines(log) {
		if bytes.HasSuffix(line, []byte("\n")) && len(bytes.TrimSpace(line)) > 0 {
			lines++
		}
	}
	if len(records)+l.Damaged() != lines {
		t.Fatalf("%d records and %d damaged of %d lines", len(records), l.Damaged(), lines)
	}
	text, err := json.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
