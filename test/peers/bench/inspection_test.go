package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/loadtest/app"
	"github.com/outrider-mesh/outrider/test/peers/hop"
	"github.com/outrider-mesh/outrider/test/peers/proxies"
	"github.com/outrider-mesh/outrider/test/peers/report"
)

func TestTheRequestsAreWhatTheirNamesSay(t *testing.T) {
	kinds := map[string]inspectable{}
	for _, kind := range inspectables() {
		kinds[kind.name] = kind
		if cmp.Equal(kind.benign, kind.attack) || kind.benign.Method != kind.attack.Method {
			t.Errorf("%s: the attack is %+v", kind.name, kind.attack)
		}
		if want := kind.refused == cmp.Equal(kind.sent(), kind.attack); !want {
			t.Errorf("%s: %+v is sent", kind.name, kind.sent())
		}
	}
	if len(kinds) != 8 {
		t.Fatalf("%d kinds", len(kinds))
	}
	get := kinds["GET, 3 arguments"].benign
	if _, query, _ := strings.Cut(get.Target, "?"); strings.Count(query, "=") != 3 || len(get.Body) > 0 {
		t.Errorf("GET of %s", get.Target)
	}
	if form := kinds["POST, form of 200 bytes"].benign; len(form.Body) != 200 {
		t.Errorf("the form has %d bytes", len(form.Body))
	}
	for name, kib := range map[string]int{
		"POST, JSON of 1 KiB": 1, "POST, JSON of 10 KiB": 10, "POST, JSON of 10 KiB, sentences": 10, "POST, JSON of 64 KiB, sentences": 64,
	} {
		var objects []struct{ Price float64 }
		if err := json.Unmarshal(kinds[name].benign.Body, &objects); err != nil || len(kinds[name].benign.Body) != kib<<10 || len(objects) < 10 {
			t.Errorf("%s: %d objects in %d bytes, %v", name, len(objects), len(kinds[name].benign.Body), err)
		}
		if err := json.Unmarshal(kinds[name].attack.Body, &objects); err != nil {
			t.Errorf("%s: the attack: %v", name, err)
		}
	}
}

// answering is a session with one hop, which answers honest requests and attacks
// with these statuses and the honest ones with so many bytes.
func answering(t *testing.T, kind inspectable, honest, attack, length int, inspects bool) *session {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.RequestURI == kind.benign.Target && bytes.Equal(body, kind.benign.Body) {
			w.WriteHeader(honest)
			fmt.Fprint(w, strings.Repeat("x", length))
			return
		}
		w.WriteHeader(attack)
	})}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(ln) }()
	t.Cleanup(func() { server.Close(); <-done })
	entry := proxies.Entry{Name: "x", Inspects: inspects}
	return &session{
		found: []candidate{{Entry: entry}},
		hops:  map[string]*hop.Hop{"x": {Addr: ln.Addr().String()}},
	}
}

func TestWhoJudgesWronglyIsNotMeasured(t *testing.T) {
	cases := []struct {
		name                   string
		honest, attack, length int
		inspects               bool
		says                   string // empty: is measured
	}{
		{"both right", 200, 403, answerSize, true, ""},
		{"it inspects nothing, and need not", 200, 200, answerSize, false, ""},
		{"the attack passes", 200, 200, answerSize, true, "an attack is answered with 200, not 403"},
		{"the attack breaks it", 200, 500, answerSize, true, "an attack is answered with 500, not 403"},
		{"the honest request is refused", 403, 403, answerSize, true, "an honest request is answered with 403, not 200"},
		{"the honest request is refused by what inspects nothing", 403, 403, answerSize, false, "an honest request is answered with 403, not 200"},
		{"the answer is cut", 200, 403, answerSize - 1, true, "an honest request is answered with 1023 bytes, not 1024"},
	}
	if len(cases) < 7 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, kind := range inspectables() {
		for _, c := range cases {
			s := answering(t, kind, c.honest, c.attack, c.length, c.inspects)
			if got := s.judge(t.Context(), kind)["x"]; got != c.says {
				t.Errorf("%s, %s: %q, want %q", kind.name, c.name, got, c.says)
			}
		}
	}
	s := answering(t, inspectables()[0], 200, 403, answerSize, true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := s.judge(ctx, inspectables()[0])["x"]; got == "" {
		t.Error("a hop that gives no answer is measured")
	}
}

func TestAVoidPeerHasNoFiguresAndFailsTheRun(t *testing.T) {
	load := report.Load{Connections: 4, Size: answerSize, Request: "GET"}
	samples := void(load, []string{"a", "b", "c"}, map[string]string{"b": "an attack passes", "z": "is not here"})
	want := []report.Sample{{Load: load, Peer: "b", Errors: 1, FirstError: "an attack passes"}}
	if diff := cmp.Diff(want, samples); diff != "" {
		t.Error(diff)
	}
	cell := report.Summarise(samples, []string{"a", "b"}, []string{"b"})[0]
	if cell.Better != "" || cell.Results[0].Errors != 1 || failed(samples) == nil {
		t.Errorf("%+v", cell)
	}
}

func TestWhoIsTooSlowForABlockIsNoFailure(t *testing.T) {
	slow := report.Void(report.Load{Request: "POST"}, "a", noneCompleted)
	if err := failed([]report.Sample{slow}); err != nil {
		t.Error(err)
	}
	slow.Request = ""
	if failed([]report.Sample{slow}) == nil {
		t.Error("in the other parts it is")
	}
}

func TestABearableRate(t *testing.T) {
	result := func(throughput float64, errors int) report.Result {
		return report.Result{Figures: report.Figures{Throughput: throughput}, Errors: errors}
	}
	cases := []struct {
		name    string
		results []report.Result
		want    float64
	}{
		{"a third of the slowest", []report.Result{result(3000, 0), result(900, 0)}, 300},
		{"to two digits, downwards", []report.Result{result(1234, 0)}, 410},
		{"of a slow one too", []report.Result{result(40, 0)}, 13},
		{"one per second at least", []report.Result{result(0.5, 0)}, 1},
		{"whoever failed does not count", []report.Result{result(10, 1), result(900, 0)}, 300},
		{"nobody did anything", []report.Result{result(0, 0)}, 0},
		{"nobody is there", nil, 0},
	}
	if len(cases) < 7 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if got := bearable(c.results); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestTheFirstAnswersAreCheckedByteForByte(t *testing.T) {
	for _, c := range []struct {
		name string
		tail string
		ok   bool
	}{{"what the app sends", "", true}, {"another last byte", "?", false}} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			size, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
			if err != nil {
				t.Error(err)
			}
			w.Write(append(app.Body(size)[:size-len(c.tail)], c.tail...))
		}))
		s := &session{
			found: []candidate{{Entry: proxies.Entry{Name: "x"}}},
			hops:  map[string]*hop.Hop{"x": {Addr: server.Listener.Addr().String()}},
		}
		if err := s.checkAnswers(t.Context(), []int{16384, 1024, 1}); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		server.Close()
	}
}
