package tap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"unicode"

	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/sidecars"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func record(t *testing.T, text string) *sidecars.Record {
	t.Helper()
	r := new(sidecars.Record)
	if err := json.Unmarshal([]byte(text), r); err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	allowedCall = `{"kind":"request","direction":"inbound","source":{"id":"spiffe://a.org/ns/shop/sa/checkout"},"method":"POST","path":"/v1/charges/7","host":"payments","security":"mutual_tls","status":201}`
	refusedCall = `{"kind":"request","direction":"inbound","source":{"id":"spiffe://a.org/ns/shop/sa/batch"},"method":"GET","path":"/admin","host":"payments","security":"mutual_tls","status":403,"reason":"access_denied"}`
	plainCall   = `{"kind":"connection","direction":"inbound","source":{"address":"10.0.0.9:1"},"security":"plaintext","reason":"plaintext_refused"}`
	ownCall     = `{"kind":"request","direction":"outbound","source":{"id":"spiffe://a.org/ns/shop/sa/payments"},"method":"GET","path":"/","host":"bank","security":"plaintext","status":502,"reason":"connect"}`
)

func TestFilters(t *testing.T) {
	records := []*sidecars.Record{record(t, allowedCall), record(t, refusedCall), record(t, plainCall), record(t, ownCall)}
	cases := []struct {
		name string
		f    Filter
		want string // of the four records, those that match
	}{
		{"nothing asked", Filter{}, "1111"},
		{"allowed", Filter{Verdict: Allowed}, "1000"},
		{"refused", Filter{Verdict: Refused}, "0111"},
		{"inbound", Filter{Direction: "inbound"}, "1110"},
		{"outbound", Filter{Direction: "outbound"}, "0001"},
		{"one caller", Filter{Caller: "spiffe://a.org/ns/shop/sa/batch"}, "0100"},
		{"some callers", Filter{Caller: "spiffe://*/ns/shop/*"}, "1101"},
		{"nobody we know", Filter{Caller: Plaintext}, "0010"},
		{"a method", Filter{Method: "GET"}, "0101"},
		{"methods are case-sensitive", Filter{Method: "get"}, "0000"},
		{"a path", Filter{Path: "/admin"}, "0100"},
		{"paths below", Filter{Path: "/v1/*"}, "1000"},
		{"a path in the middle", Filter{Path: "*charges*"}, "1000"},
		{"a host", Filter{Host: "b*k"}, "0001"},
		{"a status", Filter{Status: "403"}, "0100"},
		{"a class", Filter{Status: "5xx"}, "0001"},
		{"a reason", Filter{Reason: "connect"}, "0001"},
		{"several at once", Filter{Verdict: Refused, Direction: "inbound", Status: "4xx"}, "0100"},
	}
	for _, c := range cases {
		got := ""
		for _, r := range records {
			got += map[bool]string{true: "1", false: "0"}[c.f.Match(r)]
		}
		if got != c.want || c.f.Check() != nil {
			t.Errorf("%s: %s, want %s (%v)", c.name, got, c.want, c.f.Check())
		}
	}
	for _, f := range []Filter{{Verdict: "maybe"}, {Direction: "up"}, {Status: "4"}, {Status: "600"}, {Status: "4XX"}} {
		if f.Check() == nil {
			t.Errorf("%+v is accepted", f)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "a", true},
		{"a", "a", true},
		{"a", "ab", false},
		{"*", "", true},
		{"a*", "a", true},
		{"a*b", "ab", true},
		{"a*b", "axxb", true},
		{"a*b*c", "abc", true},
		{"a*b*c", "acb", false},
		{"a*a", "a", false},
		{"*a*a*", "xaxax", true},
		{"**", "x", true},
	} {
		if got := like(c.pattern, c.text); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.text, got)
		}
	}
}

// scripted are pods whose sidecars say what is written there, and then nothing.
type scripted map[string]string

func (s scripted) DialPod(_ context.Context, _, name string, _ int) (net.Conn, error) {
	lines, ok := s[name]
	if !ok {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		buffer := make([]byte, 4096)
		if _, err := far.Read(buffer); err != nil {
			return
		}
		fmt.Fprintf(far, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n%s", lines)
		_, _ = io.Copy(io.Discard, far) // until the reader goes
	}()
	return near, nil
}

func pods(s scripted, names ...string) (all []sidecars.Pod) {
	for _, name := range names {
		all = append(all, sidecars.New(s, "shop", name))
	}
	return all
}

func TestManyPodsAreShownUntilItIsEnough(t *testing.T) {
	s := scripted{"a": strings.Repeat(allowedCall+"\n", 5), "b": `{"kind":"lost","records":3}` + "\n" + strings.Repeat(allowedCall+"\n"+refusedCall+"\n", 5)}
	var out, errs bytes.Buffer
	tap := Tap{Pods: pods(s, "a", "b", "gone"), Filter: Filter{Verdict: Allowed}, Most: 10, Out: &out, Err: &errs}
	if err := tap.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 10 || strings.Contains(out.String(), "refused") {
		t.Errorf("%d lines:\n%s", n, &out)
	}
	if !strings.Contains(errs.String(), "shop/b: 3 records lost") {
		t.Errorf("standard error: %s", &errs)
	}
}

func TestAnInterruptIsNoError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out := writer(func(p []byte) (int, error) { cancel(); return len(p), nil })
	tap := Tap{Pods: pods(scripted{"a": allowedCall + "\n"}, "a"), Out: out, Err: io.Discard}
	if err := tap.Run(ctx); err != nil {
		t.Error(err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestAnOutputThatIsGoneEndsIt(t *testing.T) {
	broken := errors.New("broken pipe")
	tap := Tap{
		Pods: pods(scripted{"a": allowedCall + "\n", "b": allowedCall + "\n"}, "a", "b"), Err: io.Discard,
		Out: writer(func([]byte) (int, error) { return 0, broken }),
	}
	if err := tap.Run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestPodsThatCantBeFollowedAreNamed(t *testing.T) {
	tap := Tap{Pods: pods(nil, "a", "b"), Out: io.Discard, Err: io.Discard}
	err := tap.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "shop/a") || !strings.Contains(err.Error(), "shop/b") {
		t.Errorf("error %v", err)
	}
}

// FuzzText: whatever a pod says, a record is one line that a terminal only prints, and
// for programs one object.
func FuzzText(f *testing.F) {
	for _, text := range []string{allowedCall, refusedCall, plainCall, ownCall, `{"path":"\u001b[31m\n\u202e","time":"\r","status":-1,"decision":{"policy":"\u0085","rule":1}}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := new(sidecars.Record)
		if json.Unmarshal([]byte(line), r) != nil {
			return
		}
		for _, c := range text("shop/a", r) {
			if !unicode.IsPrint(c) {
				t.Errorf("%q has %U", text("shop/a", r), c)
			}
		}
		out, err := object("shop/a", []byte(line))
		var got struct {
			Pod    string
			Record any
		}
		if err != nil || strings.Contains(out, "\n") || json.Unmarshal([]byte(out), &got) != nil || got.Pod != "shop/a" || got.Record == nil && line != "null" {
			t.Errorf("%q (%v)", out, err)
		}
	})
}
