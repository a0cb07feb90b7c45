package attack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/loadtest/attack/wire"
	"github.com/outrider-mesh/outrider/loadtest/budget"
)

// labelled are attacks, in which the word evil stands, and benign requests, some
// of which use it, too.
func labelled(attacks, benign, alarms int) *corpus.Corpus {
	c := new(corpus.Corpus)
	add := func(l corpus.Label, n int, uri string) {
		for i := range n {
			c.Samples = append(c.Samples, corpus.Sample{ID: fmt.Sprintf("%s-%s-%d", l, uri, i), Label: l, Method: "GET", Target: uri})
		}
	}
	add(corpus.Attack, attacks, "/?q=evil")
	add(corpus.Benign, benign, "/?q=good")
	add(corpus.Benign, alarms, "/?q=evilness")
	return c
}

// waf is a target with a WAF that knows one word.
func waf(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case handle != nil:
			handle(w, r)
		case strings.Contains(r.URL.RawQuery, "evil"):
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestRunAgainstAnyWAF(t *testing.T) {
	r, err := Run(t.Context(), Options{
		Corpus: labelled(20, 70, 3), Paths: []string{"x"}, Endpoint: wire.Options{URL: waf(t, nil)}, Rules: DefaultRules(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if d, f := r.Detection, r.FalseAlarms; d.Count != 20 || d.Of != 20 || f.Count != 3 || f.Of != 73 {
		t.Errorf("%+v, %+v", d, f)
	}
	if r.Schema != Schema || r.Settings.Connections != defaultConnections || r.Date.IsZero() || r.Verdict != "" || r.Inconclusive != "" {
		t.Errorf("%+v", r)
	}
	if len(r.Alarms) != 3 || len(r.Missed) != 0 || r.Statuses[corpus.Benign][200] != 70 {
		t.Errorf("%d alarms, %d missed, %v", len(r.Alarms), len(r.Missed), r.Statuses)
	}
}

func TestRunOfATargetThatIsDead(t *testing.T) {
	url := waf(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	r, err := Run(t.Context(), Options{Corpus: labelled(5, 5, 0), Endpoint: wire.Options{URL: url}, Rules: DefaultRules()})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != budget.Undecided || r.Detection.Of != 0 || len(r.Unclear) != 10 {
		t.Errorf("%+v", r)
	}
}

// log is an access log that the target of a test writes.
type log struct {
	mu   sync.Mutex
	text strings.Builder
	read int
}

func (l *log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.WriteString(line)
}

func (l *log) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := copy(p, l.text.String()[l.read:])
	l.read += n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// A policy in mode Detect answers like an application; what it found is in the log
// alone.
func TestRunJudgesByTheLog(t *testing.T) {
	l := new(log)
	url := waf(t, func(_ http.ResponseWriter, r *http.Request) {
		outcome, rules := "clean", "[]"
		if strings.Contains(r.URL.RawQuery, "evil") {
			outcome, rules = "detected", "[942100]"
		}
		l.add(fmt.Sprintf(`{"decision_id":"d","trace":%q,"waf":{"outcome":%q,"rules":%s}}`+"\n", r.Header.Get("Traceparent"), outcome, rules))
	})
	l.add("damaged\n")
	rules := DefaultRules()
	rules.FromLog = true
	r, err := Run(t.Context(), Options{
		Corpus: labelled(20, 70, 3), Endpoint: wire.Options{URL: url}, Rules: rules, AccessLog: l, LogWait: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	if d, f := r.Detection, r.FalseAlarms; d.Count != 20 || d.Of != 20 || f.Count != 3 || f.Of != 73 {
		t.Errorf("%+v, %+v", d, f)
	}
	if len(r.Rules) != 1 || r.Rules[0] != (Rule{ID: 942100, Attacks: 20, Benign: 3}) {
		t.Errorf("%+v", r.Rules)
	}
	if doubts := strings.Join(r.Doubts, "\n"); !strings.Contains(doubts, "1 line of the access log") {
		t.Error(doubts)
	}
}

func TestRunRefusesOptionsThatCannotBeRight(t *testing.T) {
	good := func() Options {
		return Options{Corpus: labelled(1, 1, 0), Endpoint: wire.Options{URL: "http://127.0.0.1:1"}, Rules: DefaultRules()}
	}
	cases := []struct {
		name, says string
		change     func(*Options)
	}{
		{"no corpus", "no samples", func(o *Options) { o.Corpus = nil }},
		{"an empty corpus", "no samples", func(o *Options) { o.Corpus = new(corpus.Corpus) }},
		{"no URL", "url", func(o *Options) { o.Endpoint.URL = "" }},
		{"too many connections", "1025 connections", func(o *Options) { o.Connections = maxConnections + 1 }},
		{"fewer than none", "-1 connections", func(o *Options) { o.Connections = -1 }},
		{"both hosts", "exclude each other", func(o *Options) { o.KeepHost, o.Host = true, "a" }},
		{"a log that is not there", "must be given", func(o *Options) { o.Rules.FromLog = true }},
		{"rules", "status 1", func(o *Options) { o.Rules.BlockStatus = []int{1} }},
		{"gates", "no share", func(o *Options) { o.Gates.MaxErrors = 70 }},
	}
	if len(cases) < 9 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		o := good()
		c.change(&o)
		if r, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v; want an error with %q", c.name, r, err, c.says)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, good()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
