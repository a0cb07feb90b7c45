package report

import (
	"fmt"
	"slices"

	"github.com/outrider-mesh/outrider/loadtest/budget"
)

// title says what is compared.
func (c Comparison) title() string {
	if c.Base == "" {
		return c.Test + " by itself"
	}
	return fmt.Sprintf("What %s adds to %s", c.Test, c.Base)
}

// findings are a comparison's figures, with their budgets.
func (c Comparison) findings() *grid {
	g := &grid{columns: []column{words("", 8)}}
	if c.Base != "" {
		g.columns = append(g.columns, figures(c.Base, 13))
	}
	g.columns = append(g.columns, figures(c.Test, 13))
	if c.Base != "" {
		g.columns = append(g.columns, figures("added", 9))
	}
	g.columns = append(g.columns, figures("95 % interval", 22))
	if c.judged() {
		g.columns = append(g.columns, figures("budget", 11), words("verdict", 9))
	}
	for _, f := range c.Findings {
		g.add(c.row(f)...)
	}
	return g
}

// row is a finding in the columns of findings.
func (c Comparison) row(f Finding) []string {
	cells := []string{f.What}
	if c.Base != "" {
		cells = append(cells, f.baseText())
	}
	cells = append(cells, f.testText())
	if c.Base != "" {
		cells = append(cells, f.addedText())
	}
	cells = append(cells, c.intervalText(f))
	if c.judged() {
		cells = append(cells, f.budgetText(), verdictText(f.Verdict))
	}
	return cells
}

// judged tells whether there is any budget; without, nobody needs its columns.
func (c Comparison) judged() bool {
	return slices.ContainsFunc(c.Findings, func(f Finding) bool { return f.Budget != nil })
}

// compared tells whether the base has such a figure. What was watched belongs to
// one target alone.
func (f Finding) compared() bool { return f.Unit != unitPerRequest && f.Unit != unitBytes }

// answered tells whether a latency is one: nothing takes no time at all, but where
// no request succeeds there is none to be had.
func (f Finding) answered(v float64) bool { return f.Unit != unitMicros || v > 0 }

func (f Finding) testText() string {
	if !f.answered(f.Test) {
		return absent
	}
	return f.number(f.Test)
}

func (f Finding) baseText() string {
	if !f.compared() || !f.answered(f.Base) {
		return absent
	}
	return f.number(f.Base)
}

func (f Finding) addedText() string {
	if !f.compared() || !f.answered(f.Base) || !f.answered(f.Test) {
		return absent
	}
	return signed(f.Added, f.number)
}

// intervalText is where the difference lies; of a target by itself, the figure.
func (c Comparison) intervalText(f Finding) string {
	switch {
	case f.Interval == nil:
		return absent
	case c.Base == "":
		return f.number(f.Interval.Low) + " to " + f.number(f.Interval.High)
	}
	return between(f.Unit, f.Interval.Low, f.Interval.High)
}

func (f Finding) budgetText() string {
	if f.Budget == nil {
		return absent
	}
	return "≤ " + f.bound()
}

// bound is the budget; with a sign if it bounds what is added.
func (f Finding) bound() string {
	switch {
	case f.Budget == nil:
		return absent
	case f.Absolute:
		return exact(f.number(*f.Budget))
	}
	return signed(*f.Budget, func(v float64) string { return exact(f.number(v)) })
}

func verdictText(v budget.Verdict) string {
	switch v {
	case "":
		return absent
	case budget.Exceeded:
		return "EXCEEDED"
	default:
		return string(v)
	}
}

// A reason is a budget that was not found to hold.
type reason struct {
	Scenario   string
	Comparison Comparison
	Finding    Finding
}

// reasons are why the verdict is not that all budgets hold, what is exceeded
// before what is not decided.
func (d *Document) reasons() []reason {
	var all []reason
	for _, v := range []budget.Verdict{budget.Exceeded, budget.Undecided} {
		for _, s := range d.Scenarios {
			for _, c := range s.Comparisons {
				for _, f := range c.Findings {
					if f.Verdict == v {
						all = append(all, reason{s.Name, c, f})
					}
				}
			}
		}
	}
	return all
}

// String is the reason as a sentence.
func (r reason) String() string {
	text := fmt.Sprintf("%s: %s; the budget is %s", r.Scenario, r.found(), r.Finding.bound())
	if r.Finding.Verdict == budget.Undecided {
		text += ": undecided, " + r.remedy()
	}
	return text
}

// found is what was measured.
func (r reason) found() string {
	f, test := r.Finding, r.Comparison.Test
	switch {
	case !f.answered(f.Test):
		return fmt.Sprintf("no request to %s succeeded, so it has no %s", test, f.What)
	case f.Unit == unitShare:
		return fmt.Sprintf("%s of the requests to %s failed", f.number(f.Test), test)
	case f.Unit == unitPerRequest:
		return fmt.Sprintf("%s costs %s of CPU per request", test, f.number(f.Test))
	case f.Unit == unitBytes:
		return fmt.Sprintf("%s holds %s of memory", test, f.number(f.Test))
	case f.Absolute:
		return fmt.Sprintf("%s of %s is %s", f.What, test, f.number(f.Test))
	}
	text := fmt.Sprintf("%s adds %s to %s of %s", test, signed(f.Added, f.number), f.What, r.Comparison.Base)
	if f.Interval != nil {
		text += fmt.Sprintf(" (95 %%: %s)", r.Comparison.intervalText(f))
	}
	return text
}

// remedy is what would decide.
func (r reason) remedy() string {
	if !r.Finding.answered(r.Finding.Test) {
		return "for there is nothing to judge"
	}
	if r.Finding.Unit == unitShare && r.Finding.Base > 0 {
		return "for requests to " + r.Comparison.Base + " could not be sent either"
	}
	if r.Finding.Unit == unitShare {
		return "for nothing was sent"
	}
	if r.Finding.Interval == nil {
		return "for there were too few rounds to tell"
	}
	return "the run was too short, too noisy or not the load that was asked for"
}
