package report

import (
	"fmt"

	"github.com/outrider-mesh/outrider/loadtest/budget"
)

// scenarioView is one scenario as the page shows it.
type scenarioView struct {
	Scenario
	ID, LoadLine string
	Verdict      badge
	Targets      []targetView
	Lateness     string
	Compared     []comparisonView
	Distribution *chart
	Timelines    []chart
	Costs        []costView
}

// targetView is a row of the table of targets, and an entry of the legends.
type targetView struct {
	Name, URL, Class, Failure  string
	Requests, PerSecond, Share string
	Latency                    []string
}

// comparisonView is a comparison with its table and charts.
type comparisonView struct {
	Comparison
	Title  string
	Judged bool // there is a budget
	Rows   []findingView
	Rounds []chart
}

// findingView is a row of it.
type findingView struct {
	What, Base, Test, Added, Interval, Budget string
	Verdict                                   badge
}

// costView is a row of the table of costs. The bars are in per cent of the longest.
type costView struct {
	Target, Watched, CPU, User, System, Thousand, RSS string
	Class                                             string
	UserBar, SystemBar, RSSBar                        float64
}

func (s Scenario) view(i int) scenarioView {
	v := scenarioView{Scenario: s, ID: fmt.Sprintf("scenario-%d", i+1), LoadLine: s.Load.line(), Lateness: s.lateness()}
	var verdicts []budget.Verdict
	for i, t := range s.Targets {
		v.Targets = append(v.Targets, targetView{
			Name: t.Name, URL: t.URL, Class: seriesClass(i), Failure: t.failureLine(),
			Requests: count(t.Requests), PerSecond: rate(t.Rate), Share: t.failedShare(), Latency: t.latencies(),
		})
	}
	for _, c := range s.Comparisons {
		if c.Verdict != "" {
			verdicts = append(verdicts, c.Verdict)
		}
		v.Compared = append(v.Compared, s.compared(c))
	}
	v.Verdict = badgeOf("")
	if len(verdicts) > 0 {
		v.Verdict = badgeOf(budget.Worst(verdicts...))
	}
	if len(s.Targets) > 0 {
		c := s.distribution()
		v.Distribution = &c
	}
	v.Timelines, v.Costs = s.timelines(), s.costViews()
	return v
}

func (s Scenario) compared(c Comparison) comparisonView {
	v := comparisonView{Comparison: c, Title: c.title(), Judged: c.judged(), Rounds: s.roundCharts(c)}
	for _, f := range c.Findings {
		v.Rows = append(v.Rows, findingView{
			What: f.What, Base: f.baseText(), Test: f.testText(), Added: f.addedText(), Interval: c.intervalText(f),
			Budget: f.budgetText(), Verdict: badgeOf(f.Verdict),
		})
	}
	return v
}

// costViews are what was watched, beside each other.
func (s Scenario) costViews() []costView {
	var cpu, rss float64
	for _, t := range s.Targets {
		for _, w := range t.Watched {
			cpu, rss = max(cpu, w.CPU, w.User+w.System), max(rss, float64(w.RSS))
		}
	}
	var all []costView
	for i, t := range s.Targets {
		for _, w := range t.Watched {
			all = append(all, costView{
				Target: t.Name, Watched: w.Name, Class: seriesClass(i),
				CPU: micros(w.CPU), User: micros(w.User), System: micros(w.System), Thousand: micros(w.CPU * 1000), RSS: octets(float64(w.RSS)),
				UserBar: part(w.User, cpu), SystemBar: part(w.System, cpu), RSSBar: part(float64(w.RSS), rss),
			})
		}
	}
	return all
}

// part of all in per cent.
func part(v, all float64) float64 {
	if !(all > 0) || !finite(v) {
		return 0
	}
	return min(max(100*v/all, 0), 100)
}
