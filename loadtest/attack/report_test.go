package attack

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/loadtest/attack/evidence"
	"github.com/outrider-mesh/outrider/loadtest/attack/wire"
	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/pace"
	"github.com/outrider-mesh/outrider/loadtest/target"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

// synthetic is a run that has something of everything, without a network.
func synthetic() (*Options, []exchange) {
	least, most := 0.3, 0.01
	o := &Options{
		Corpus: &corpus.Corpus{
			Unreadable: []corpus.Problem{{Source: "corpus/x.black", Reason: `line 1: "nonsense" is no request line`}},
			Ignored:    []string{"README", ".git"},
		},
		Paths: []string{"corpus"}, Endpoint: wire.Options{URL: "http://127.0.0.1:8080"}, Host: "127.0.0.1:8080",
		Connections: 4, Rate: pace.Constant(100), Rules: DefaultRules(),
		Gates: Gates{MinDetection: &least, MaxFalseAlarms: &most, MaxErrors: 0.2},
	}
	s := synthesis{o: o}
	sqli := []string{"sqli"}
	blocked := func(score int, rules ...int) exchange {
		x := refused(403, "waf_blocked")
		x.answer.Decision = "d" + strings.Repeat("0", len(rules))
		x.record = &evidence.Record{Decision: x.answer.Decision, Reason: "waf_blocked", WAF: &evidence.WAF{
			Outcome: "blocked", Score: score, Rules: rules, Message: "SQL injection", Location: "ARGS:q",
		}}
		x.record.Times.Inspect = 900
		return x
	}
	passed := func(outcome, uninspected string) exchange {
		x := logged(outcome, "")
		x.record.WAF.Uninspected, x.record.WAF.Score = uninspected, 3
		return x
	}
	for i := range 6 {
		s.add(corpus.Attack, "sqli", sqli, "/search?q=1' or "+strings.Repeat("1", i), blocked(10+i, 942100, 942190, 942100))
	}
	s.add(corpus.Attack, "sqli", sqli, "/search?q=1 or "+strings.Repeat("long ", 60), passed("clean", ""))
	s.add(corpus.Attack, "terminal", []string{"xss", "header"}, "/\x1b[2J\xff\"", passed("clean", "body_over_cap"))
	s.add(corpus.Attack, "smuggling", []string{"smuggling"}, "/", refused(400, "bad_request"))
	s.add(corpus.Attack, "", nil, "/gzip", refused(403, "waf_uninspected"))
	s.add(corpus.Attack, "", nil, "/slow", failure(target.Timeout))
	for i := range 28 {
		s.add(corpus.Benign, "api", []string{"api"}, "/v1/items/"+strings.Repeat("7", i%5+1), passed("clean", ""))
	}
	s.add(corpus.Benign, "api", []string{"api"}, "/v1/search?q=select+one", blocked(5, 942190))
	s.add(corpus.Benign, "", nil, "/admin", refused(403, "access_denied"))
	s.add(corpus.Benign, "", nil, "/dead", status(502))
	for i := range s.exchanges {
		s.exchanges[i].answer.Took = time.Duration(i+1) * 250 * time.Microsecond
	}
	s.exchanges[7].adjusted = true
	return o, s.exchanges
}

type synthesis struct {
	o         *Options
	exchanges []exchange
}

func (s *synthesis) add(l corpus.Label, dir string, tags []string, uri string, x exchange) {
	n := string(rune('a'+len(s.exchanges)/26)) + string(rune('a'+len(s.exchanges)%26))
	s.o.Corpus.Samples = append(s.o.Corpus.Samples, corpus.Sample{
		ID: n, Label: l, Source: "corpus/" + n, Directory: dir, Tags: tags, Method: "GET", Target: uri,
	})
	s.exchanges = append(s.exchanges, x)
}

func syntheticReport() *Report {
	o, exchanges := synthetic()
	r := summarise(o, exchanges)
	r.Tool, r.Command = "outrider-load v1.2.3", []string{"outrider-load", "attack", "corpus"}
	r.Date, r.Seconds = time.Date(2026, 3, 1, 11, 30, 45, 0, time.UTC), 12.345
	return r
}

func TestTextIsGolden(t *testing.T) {
	var b bytes.Buffer
	if err := syntheticReport().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", b.Bytes())
	for i := range b.Len() {
		if c := b.Bytes()[i]; c < ' ' && c != '\n' || c == 0x7f {
			t.Fatalf("the report holds the control byte %#x", c)
		}
	}
}

func TestJSONIsGolden(t *testing.T) {
	var b bytes.Buffer
	if err := syntheticReport().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", b.Bytes())
}

func TestEverythingIsCounted(t *testing.T) {
	r := syntheticReport()
	samples := 0
	for _, l := range []corpus.Label{corpus.Attack, corpus.Benign} {
		for _, n := range r.Outcomes[l] {
			samples += n
		}
	}
	if samples != 42 || r.Corpus.Attacks+r.Corpus.Benign != samples {
		t.Errorf("%d outcomes of %d attacks and %d benign requests", samples, r.Corpus.Attacks, r.Corpus.Benign)
	}
	answers := 0
	for _, l := range []corpus.Label{corpus.Attack, corpus.Benign} {
		for _, n := range r.Statuses[l] {
			answers += n
		}
	}
	if answers != samples-1 {
		t.Errorf("%d statuses", answers)
	}
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"attacks judged", r.Detection.Of, 10},
		{"attacks stopped", r.Detection.Count, 8},
		{"benign judged", r.FalseAlarms.Of, 29},
		{"benign stopped", r.FalseAlarms.Count, 1},
		{"missed", len(r.Missed), 2},
		{"alarms", len(r.Alarms), 1},
		{"refused", len(r.Refused), 2},
		{"unclear", len(r.Unclear), 3},
		{"rule 942190 on attacks", r.Rules[0].Attacks, 6},
		{"rule 942190 on benign requests", r.Rules[0].Benign, 1},
		{"rules", len(r.Rules), 2},
		{"groups", len(r.Groups), 5 + 4},
		{"slowest", len(r.Slowest), 10},
		{"adjusted", r.Corpus.Adjusted, 1},
		{"benign latencies", int(r.Latency.Count), 29},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", c.what, c.got, c.want)
		}
	}
	if r.Verdict != budget.Undecided || r.Inconclusive != "" {
		t.Errorf("%s, %s", r.Verdict, r.Inconclusive)
	}
}

// What did not pass the parser is counted apart, and counts as it was asked to.
func TestRefusalsCanBeLeftOut(t *testing.T) {
	o, exchanges := synthetic()
	o.Rules.CountRefusals = false
	r := summarise(o, exchanges)
	if r.Detection.Of != 10 || r.Detection.Count != 6 || len(r.Missed) != 4 || len(r.Refused) != 2 {
		t.Errorf("%+v, %d missed, %d refused", r.Detection, len(r.Missed), len(r.Refused))
	}
}

// What stops an attack stops benign requests as well: a parser that refuses all of
// them must not look like a WAF without false positives.
func TestRefusalsCountOnBothSides(t *testing.T) {
	o := &Options{Corpus: new(corpus.Corpus), Rules: DefaultRules()}
	s := synthesis{o: o}
	for _, l := range []corpus.Label{corpus.Attack, corpus.Benign} {
		s.add(l, "", nil, "/", refused(400, "bad_request"))
		s.add(l, "", nil, "/", refused(403, "waf_uninspected"))
	}
	r := summarise(o, s.exchanges)
	if r.Detection.Count != 2 || r.FalseAlarms.Count != 2 || len(r.Alarms) != 2 || len(r.Refused) != 4 || len(r.Missed) != 0 {
		t.Errorf("%+v, %+v, %d alarms, %d refused", r.Detection, r.FalseAlarms, len(r.Alarms), len(r.Refused))
	}
}

func TestUnreadableSamplesAreErrors(t *testing.T) {
	o, exchanges := synthetic()
	o.Gates.MaxErrors = 4.0 / 43 // three without a verdict, one unreadable
	if r := summarise(o, exchanges); r.Inconclusive != "" {
		t.Error(r.Inconclusive)
	}
	o.Gates.MaxErrors = 3.9 / 43
	if r := summarise(o, exchanges); !strings.HasPrefix(r.Inconclusive, "4 of 43 samples") {
		t.Error(r.Inconclusive)
	}
}

func TestNothingWasStopped(t *testing.T) {
	o := &Options{Corpus: new(corpus.Corpus), Rules: DefaultRules()}
	s := synthesis{o: o}
	s.add(corpus.Attack, "", nil, "/", status(200))
	r := summarise(o, s.exchanges)
	doubts := strings.Join(r.Doubts, "\n")
	for _, says := range []string{"not one attack was stopped", "no benign requests"} {
		if !strings.Contains(doubts, says) {
			t.Errorf("%q says not %q", doubts, says)
		}
	}
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil || !strings.Contains(b.String(), "benign (false positives)  -  ") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// A table of hundreds of directories, as blazehttp has them, helps nobody.
func TestManyGroupsAreCountedOnly(t *testing.T) {
	o := &Options{Corpus: new(corpus.Corpus), Rules: DefaultRules()}
	s := synthesis{o: o}
	for i := range mostGroups + 1 {
		s.add(corpus.Attack, strings.Repeat("d", i+1), nil, "/", status(403))
	}
	r := summarise(o, s.exchanges)
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil || !strings.Contains(b.String(), "by directory: 25 of them") || len(r.Groups) != mostGroups+1 {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestLists(t *testing.T) {
	r := syntheticReport()
	var b bytes.Buffer
	if err := WriteList(&b, r.Missed); err != nil {
		t.Fatal(err)
	}
	golden(t, "missed.tsv", b.Bytes())
	ids, err := ReadList(&b)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := synthetic()
	some, err := Select(o.Corpus, ids)
	if err != nil || len(some.Samples) != 2 || some.Samples[0].ID != r.Missed[0].ID {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := Select(o.Corpus, []string{"aa", "nobody"}); err == nil || !strings.Contains(err.Error(), `no sample "nobody"`) {
		t.Error(err)
	}
	if ids, err := ReadList(strings.NewReader("# a\n\na\tb\nc\n")); err != nil || cmp.Diff([]string{"a", "c"}, ids) != "" {
		t.Errorf("%q, %v", ids, err)
	}
	if _, err := ReadList(strings.NewReader(strings.Repeat("x", maxListed+1))); err == nil {
		t.Error("a line over the bound is read")
	}
}

func TestHostsThatAreAddresses(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:8080": true, "[::1]:80": true, "[::1]": true, "::1": true,
		"payments": false, "payments.shop:8080": false, "": false, "1.2.3": false,
	} {
		if isAddress(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestAReportThatCannotBeWrittenIsAnError(t *testing.T) {
	r := syntheticReport()
	for what, err := range map[string]error{"text": r.WriteText(full{}), "JSON": r.WriteJSON(full{}), "list": WriteList(full{}, r.Missed)} {
		if !errors.Is(err, errFull) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
