package observed_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/authz/observed"
)

// line is a record as a sidecar writes it, with some members replaced.
func line(change ...string) string {
	text := `{"time":"2026-03-01T11:30:45.123456Z","kind":"request","decision_id":"0123456789abcdefghij","connection":7,"direction":"inbound","listener":"http",` +
		`"source":{"address":"10.0.0.9:5000","id":"spiffe://cluster.local/ns/shop/sa/checkout"},"destination":{"address":"127.0.0.1:8080","id":"spiffe://cluster.local/ns/shop/sa/payments"},` +
		`"method":"POST","host":"payments","path":"/v1/charges","protocol":"http1","security":"mutual_tls","status":200,"received_bytes":1,"sent_bytes":2,` +
		`"decision":{"verdict":"allow","basis":"allow","policy":"shop/callers","rule":0},"t_us":{"total":2000}}`
	for i := 0; i+1 < len(change); i += 2 {
		if !strings.Contains(text, change[i]) {
			panic("no " + change[i])
		}
		text = strings.Replace(text, change[i], change[i+1], 1)
	}
	return text + "\n"
}

func read(t *testing.T, text string) *observed.Log {
	t.Helper()
	l := new(observed.Log)
	if err := l.Read("log", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestACall(t *testing.T) {
	l := read(t, line())
	if l.Records != 1 || len(l.Calls) != 1 || l.Damaged+l.Cut+l.Outbound != 0 || len(l.Workloads) != 1 {
		t.Fatalf("%+v", l)
	}
	c := l.Calls[0]
	if got := fmt.Sprintln(c.Peer, c.Source, c.Workload, c.Listener, c.Port, c.HTTP, c.Method, c.Host, c.Path, c.Verdict, c.Policy, c.Rule, c.Reason, c.Attack, c.Missing, c.Hits, c.Days(), c.Example); got !=
		"spiffe://cluster.local/ns/shop/sa/checkout 10.0.0.9 spiffe://cluster.local/ns/shop/sa/payments http 8080 true POST payments /v1/charges allow shop/callers 0  false false 1 1 0123456789abcdefghij\n" {
		t.Error(got)
	}
	if r := c.Request(); r.Peer != c.Peer || r.Port != 8080 || !r.HTTP || r.Method != "POST" || r.Path != "/v1/charges" || r.Host != "payments" || r.Header != nil || r.Listener != "http" {
		t.Errorf("%+v", r)
	}
}

func TestLines(t *testing.T) {
	cases := []struct {
		name, text string
		want       string // records, outbound, cut, damaged
	}{
		{"nothing", "", "0 0 0 0"},
		{"empty lines", "\n \n", "0 0 0 0"},
		{"without a line break", strings.TrimSuffix(line(), "\n"), "1 0 0 0"},
		{"a member nobody knows", line(`"connection":7`, `"connection":7,"colour":"blue"`), "1 0 0 0"},
		{"outbound", line("inbound", "outbound"), "0 1 0 0"},
		{"another direction", line("inbound", "upwards"), "0 0 0 1"},
		{"another kind", line(`"kind":"request"`, `"kind":"poem"`), "0 0 0 1"},
		{"no time", line("2026-03-01T11:30:45.123456Z", "0001-01-01T00:00:00Z"), "0 0 0 1"},
		{"a time that is none", line("2026-03-01T11:30:45.123456Z", "yesterday"), "0 0 0 1"},
		{"a cut path", line("/v1/charges", "/v1/ch…"), "0 0 1 0"},
		{"a cut caller", line("sa/checkout", "sa/ch…"), "0 0 1 0"},
		{"half a line", line()[:100] + "\n", "0 0 0 1"},
		{"no object", "[]\n", "0 0 0 1"},
		{"a caller that is none", line("spiffe://cluster.local/ns/shop/sa/checkout", "checkout"), "0 0 0 1"},
		{"an identity without mutual TLS", line("mutual_tls", "plaintext"), "0 0 0 1"},
		{"an address that is none", line("10.0.0.9:5000", "somewhere"), "0 0 0 1"},
		{"a verdict that is none", line(`"verdict":"allow"`, `"verdict":"maybe"`), "0 0 0 1"},
		{"a request of bytes", line("http1", "tcp"), "0 0 0 1"},
		{"a long line", `{"x":"` + strings.Repeat("x", 200<<10) + "\"}\n" + line(), "1 0 0 1"},
		{"a long last line", line() + strings.Repeat("x", 200<<10), "1 0 0 1"},
	}
	if len(cases) < 20 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		l := read(t, c.text)
		if got := fmt.Sprint(l.Records, l.Outbound, l.Cut, l.Damaged); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if (l.Damaged > 0) != (l.FirstDamaged != "") {
			t.Errorf("%s: first damaged %q", c.name, l.FirstDamaged)
		}
	}
}

func TestEqualCallsAreCounted(t *testing.T) {
	l := read(t, line()+line("2026-03-01", "2026-02-27", "0123456789abcdefghij", "1123456789abcdefghij")+line("10.0.0.9:5000", "10.0.0.9:5001")+line("POST", "GET"))
	if len(l.Calls) != 2 || l.Calls[0].Hits != 3 || l.Calls[0].Days() != 2 || l.Calls[1].Hits != 1 {
		t.Fatalf("%+v", l.Calls)
	}
	if c := l.Calls[0]; c.First.Day() != 27 || c.Last.Day() != 1 || !l.First.Equal(c.First) || !l.Last.Equal(c.Last) {
		t.Errorf("from %v to %v", c.First, c.Last)
	}
}

func TestWhatWasDecided(t *testing.T) {
	decision := `,"decision":{"verdict":"allow","basis":"allow","policy":"shop/callers","rule":0}`
	cases := []struct{ name, text, want string }{
		{"denied by a policy", line(`"verdict":"allow"`, `"verdict":"deny"`), "deny shop/callers 0 false false"},
		{"denied by none", line(decision, `,"reason":"access_denied","decision":{"verdict":"deny","basis":"no_allow_matched"}`), "deny  -1 false false"},
		{"not decided", line(decision, `,"reason":"plaintext_refused"`), "undecided  -1 false false"},
		{"blocked by inspection", line(`,"t_us"`, `,"waf":{"outcome":"blocked"},"t_us"`), "allow shop/callers 0 true false"},
		{"found by inspection", line(`,"t_us"`, `,"waf":{"outcome":"detected"},"t_us"`), "allow shop/callers 0 true false"},
		{"clean", line(`,"t_us"`, `,"waf":{"outcome":"clean"},"t_us"`), "allow shop/callers 0 false false"},
		{"nothing there", line(`"status":200`, `"status":404`), "allow shop/callers 0 false true"},
	}
	for _, c := range cases {
		l := read(t, c.text)
		if len(l.Calls) != 1 {
			t.Errorf("%s: %d calls, %s", c.name, len(l.Calls), l.FirstDamaged)
			continue
		}
		got := l.Calls[0]
		if text := fmt.Sprint(got.Verdict, " ", got.Policy, " ", got.Rule, " ", got.Attack, " ", got.Missing); text != c.want {
			t.Errorf("%s: %s, want %s", c.name, text, c.want)
		}
	}
}

// endless is a log of calls that all differ.
type endless struct {
	n    int
	rest string
}

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		e.n++
		e.rest = line("/v1/charges", fmt.Sprint("/", e.n))
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func TestDifferentCallsAreBounded(t *testing.T) {
	l := &observed.Log{MaxCalls: 100}
	if err := l.Read("log", &endless{}); !errors.Is(err, observed.ErrTooMany) || len(l.Calls) != 101 {
		t.Errorf("%v after %d calls", err, len(l.Calls))
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestAnErrorOfTheReaderIsReported(t *testing.T) {
	if err := new(observed.Log).Read("log", broken{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}

// FuzzRead: every line is accounted for, and what a damaged one looks like changes
// nothing about the good one behind it.
func FuzzRead(f *testing.F) {
	f.Add(line())
	f.Add(line("http1", "tcp") + "x\n\n{}")
	f.Add(line(`"decision"`, `"decision":null,"x"`))
	f.Add("\x00\xff\n{\"time\":1}\n" + line("POST", "\\ud800"))
	f.Fuzz(func(t *testing.T, text string) {
		l := read(t, text)
		lines := 0
		for part := range strings.SplitSeq(text, "\n") {
			if strings.TrimSpace(part) != "" {
				lines++
			}
		}
		if sum := l.Records + l.Outbound + l.Cut + l.Damaged; sum != lines {
			t.Errorf("%d of %d lines are accounted for", sum, lines)
		}
		hits := 0
		for _, c := range l.Calls {
			hits += c.Hits
		}
		if hits != l.Records {
			t.Errorf("%d hits of %d records", hits, l.Records)
		}
		before := l.Records
		if err := l.Read("more", strings.NewReader(line())); err != nil || l.Records != before+1 {
			t.Errorf("a good record behind is not read: %v", err)
		}
		if _, err := json.Marshal(l.Calls); err != nil {
			t.Error(err)
		}
	})
}

func TestACallBeyondALimit(t *testing.T) {
	c := read(t, line(`"verdict":"allow","basis":"allow"`, `"verdict":"deny","basis":"limit"`)+line()).Calls
	if len(c) != 2 || c[0].Verdict != observed.Denied || !c[0].Limited || c[1].Limited {
		t.Errorf("%+v", c)
	}
}
