package attack

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/loadtest/attack/evidence"
	"github.com/outrider-mesh/outrider/loadtest/hist"
)

const (
	// mostSlow is how many of the slowest are named.
	mostSlow = 10
	// longestRequest is where a target is cut in a list, in bytes: enough to see
	// what kind of attack it is.
	longestRequest = 200
)

// summarise makes the figures of what was exchanged. It is a function of its
// arguments.
func summarise(opts *Options, exchanges []exchange) *Report {
	s := summary{
		opts: opts, latency: hist.New(), all: newTally(), groups: map[Group]*tally{}, rules: map[int]*Rule{},
		uninspected: map[string]int{},
		report: &Report{
			Schema: Schema, Settings: settings(opts), Corpus: contents(opts),
			Outcomes: map[corpus.Label]map[Outcome]int{corpus.Attack: {}, corpus.Benign: {}},
			Statuses: map[corpus.Label]map[int]int{corpus.Attack: {}, corpus.Benign: {}},
			Slowest:  []Entry{}, Missed: []Entry{}, Alarms: []Entry{}, Refused: []Entry{}, Unclear: []Entry{},
		},
	}
	for i := range exchanges {
		s.add(&opts.Corpus.Samples[i], &exchanges[i])
	}
	s.finish()
	return s.report
}

func settings(o *Options) Settings {
	s := Settings{
		URL: o.Endpoint.URL, Host: o.Host, Connections: o.Connections, Judged: "answers",
		BlockStatus: list(o.Rules.BlockStatus), UnclearStatus: list(o.Rules.UnclearStatus),
		CountRefusals: o.Rules.CountRefusals, DropBlocks: o.Rules.DropBlocks, MaxErrors: o.Gates.MaxErrors,
	}
	if o.Rate != nil {
		s.Rate = o.Rate.String()
	}
	if o.Rules.FromLog {
		s.Judged = "access_log"
	}
	return s
}

func contents(o *Options) Contents {
	return Contents{
		Paths: list(o.Paths), Attacks: o.Corpus.Count(corpus.Attack), Benign: o.Corpus.Count(corpus.Benign),
		Unreadable: list(o.Corpus.Unreadable), Ignored: list(o.Corpus.Ignored),
	}
}

// list is never nil: JSON has an array for it, and no null.
func list[T any](s []T) []T { return append([]T{}, s...) }

// tally counts the samples of one kind whose outcome says something, and those of
// them that were stopped, by label.
type tally struct{ stopped, judged map[corpus.Label]int }

func newTally() *tally {
	return &tally{stopped: map[corpus.Label]int{}, judged: map[corpus.Label]int{}}
}

func (t *tally) add(l corpus.Label, stopped bool) {
	if t.judged[l]++; stopped {
		t.stopped[l]++
	}
}

func (t *tally) share(l corpus.Label) Share { return shareOf(t.stopped[l], t.judged[l]) }

// summary is one under way.
type summary struct {
	opts        *Options
	report      *Report
	all         *tally
	groups      map[Group]*tally // by their By and Name
	rules       map[int]*Rule
	uninspected map[string]int // what passed without having been inspected, by reason
	latency     *hist.Histogram
	slowest     []Entry
	errors      int
	unsent      int
}

// add counts one sample.
func (s *summary) add(sample *corpus.Sample, x *exchange) {
	outcome, why := s.opts.Rules.judge(x)
	e := entry(sample, x, outcome, why)
	r := s.report
	r.Outcomes[sample.Label][outcome]++
	if x.adjusted {
		r.Corpus.Adjusted++
	}
	if x.err == nil {
		s.report.Statuses[sample.Label][x.answer.Status]++
		s.slowest = append(s.slowest, e)
	}
	if x.err == nil && sample.Label == corpus.Benign && outcome.clear() {
		s.latency.Record(x.answer.Took)
	}
	if reason := uninspected(x.record); reason != "" && outcome == Passed {
		s.uninspected[reason]++
	}
	s.spoke(sample.Label, x.record)
	s.sort(e)
	if outcome.clear() {
		s.judged(sample, s.opts.Rules.stops(outcome))
	} else {
		s.errors++
	}
	if errors.Is(x.err, errGaveUp) {
		s.unsent++
	}
}

// judged counts a sample for its figure, whole and by group.
func (s *summary) judged(sample *corpus.Sample, stopped bool) {
	s.all.add(sample.Label, stopped)
	keys := []Group{}
	for _, tag := range sample.Tags {
		keys = append(keys, Group{By: "tag", Name: tag})
	}
	if sample.Directory != "" {
		keys = append(keys, Group{By: "directory", Name: sample.Directory})
	}
	for _, key := range keys {
		if s.groups[key] == nil {
			s.groups[key] = newTally()
		}
		s.groups[key].add(sample.Label, stopped)
	}
}

// spoke counts the rules of one sample.
func (s *summary) spoke(l corpus.Label, r *evidence.Record) {
	if r == nil || r.WAF == nil {
		return
	}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(r.WAF.Rules))) {
		rule := s.rules[id]
		if rule == nil {
			rule = &Rule{ID: id}
			s.rules[id] = rule
		}
		if l == corpus.Attack {
			rule.Attacks++
		} else {
			rule.Benign++
		}
	}
}

// sort puts a sample where a reader looks for it; what went as it should is in no
// list.
func (s *summary) sort(e Entry) {
	r := s.report
	stopped := s.opts.Rules.stops(e.Outcome)
	switch {
	case !e.Outcome.clear():
		r.Unclear = append(r.Unclear, e)
		return
	case e.Label == corpus.Attack && !stopped:
		r.Missed = append(r.Missed, e)
	case e.Label == corpus.Benign && stopped:
		r.Alarms = append(r.Alarms, e)
	}
	if e.Outcome == Refused || e.Outcome == Uninspected {
		r.Refused = append(r.Refused, e)
	}
}

func entry(sample *corpus.Sample, x *exchange, o Outcome, why string) Entry {
	e := Entry{
		ID: sample.ID, Source: sample.Source, Label: sample.Label, Tags: sample.Tags,
		Request: strings.ToValidUTF8(shorten(sample.Method+" "+sample.Target), "\ufffd"), Outcome: o, Why: why,
		Status: x.answer.Status, Decision: x.answer.Decision, Micros: micros(x.answer.Took),
	}
	if r := x.record; r != nil {
		e.Decision, e.InspectMicros = r.Decision, r.Times.Inspect
		if w := r.WAF; w != nil {
			e.Score, e.Rules, e.Message, e.Location = w.Score, w.Rules, w.Message, w.Location
		}
	}
	return e
}

func shorten(request string) string {
	if len(request) > longestRequest {
		return request[:longestRequest] + "…"
	}
	return request
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// finish draws everything together.
func (s *summary) finish() {
	r := s.report
	r.Detection, r.FalseAlarms = s.all.share(corpus.Attack), s.all.share(corpus.Benign)
	for key, t := range s.groups {
		key.Detection, key.FalseAlarms = t.share(corpus.Attack), t.share(corpus.Benign)
		r.Groups = append(r.Groups, key)
	}
	slices.SortFunc(r.Groups, func(a, b Group) int {
		return cmp.Or(strings.Compare(b.By, a.By), strings.Compare(a.Name, b.Name)) // tags first
	})
	for _, rule := range s.rules {
		r.Rules = append(r.Rules, *rule)
	}
	slices.SortFunc(r.Rules, func(a, b Rule) int {
		return cmp.Or(b.Attacks+b.Benign-a.Attacks-a.Benign, a.ID-b.ID)
	})
	r.Latency = latency(s.latency)
	slices.SortStableFunc(s.slowest, func(a, b Entry) int { return cmp.Compare(b.Micros, a.Micros) })
	r.Slowest = append(r.Slowest, s.slowest[:min(mostSlow, len(s.slowest))]...)
	unreadable := len(r.Corpus.Unreadable)
	s.opts.Gates.judge(r, s.errors+unreadable, r.Corpus.Attacks+r.Corpus.Benign+unreadable)
	s.doubts()
}

func latency(h *hist.Histogram) Latency {
	return Latency{
		Count: h.Count(), P50: micros(h.Quantile(0.5)), P90: micros(h.Quantile(0.9)), P99: micros(h.Quantile(0.99)),
		Max: micros(h.Max()),
	}
}
