package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// DiffSchema names the form of a Difference.
const DiffSchema = "outrider.dev/load-diff/v1"

// An Outcome is what became of a figure from one report to the next.
type Outcome string

// The outcomes.
const (
	// Improved: by more than noise and by more than what does not matter.
	Improved Outcome = "improved"
	// Worse: likewise.
	Worse Outcome = "worse"
	// Same: with confidence the difference is small enough not to matter.
	Same Outcome = "same"
	// Undecided: the runs were too short, too noisy or too different to tell.
	Undecided Outcome = "undecided"
)

// A Difference is what changed from one report to another.
type Difference struct {
	Schema string `json:"schema"`
	Old    Run    `json:"old"`
	New    Run    `json:"new"`
	// Doubts are what a reader must know before believing the outcome.
	Doubts    []string     `json:"doubts,omitempty"`
	Scenarios []Comparable `json:"scenarios"`
	// OnlyOld and OnlyNew are scenarios that the other report does not have.
	OnlyOld []string `json:"only_old,omitempty"`
	OnlyNew []string `json:"only_new,omitempty"`
	// Outcome is that of all figures that count: worse if one is; else improved if
	// one is; else undecided if one is; else the same. It is undecided as well if a
	// scenario or a target is not measured any more, and nothing was worse.
	Outcome Outcome `json:"outcome"`
}

// A Run says which report is meant.
type Run struct {
	Tool    string        `json:"tool"`
	Date    time.Time     `json:"date"`
	Machine watch.Machine `json:"machine"`
}

// A Comparable is a scenario that both reports have.
type Comparable struct {
	Name string `json:"name"`
	// Doubts are about this scenario. If Incomparable, the load or the machine was
	// another, or the generator did not produce the load, so nothing is decided.
	Doubts       []string `json:"doubts,omitempty"`
	Incomparable bool     `json:"incomparable,omitempty"`
	// Changes are those of what targets add to the base, then of each target.
	Changes []Change `json:"changes"`
	// OnlyOld and OnlyNew are targets that the other report does not have.
	OnlyOld []string `json:"only_old,omitempty"`
	OnlyNew []string `json:"only_new,omitempty"`
	Outcome Outcome  `json:"outcome"`
}

// A Change is what became of one target, or of what it adds to the base.
type Change struct {
	// Base is empty for a target by itself.
	Base   string `json:"base,omitempty"`
	Target string `json:"target"`
	// Counts tells that the outcome of the scenario rests on it. Where both
	// reports compare a target with the same base, what it adds counts, and
	// neither of the two by itself: a machine that is slower today slows both.
	Counts  bool     `json:"counts"`
	Figures []Figure `json:"figures"`
	Outcome Outcome  `json:"outcome"`
}

// WriteJSON writes the difference for programs.
func (d *Difference) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		return fmt.Errorf("write the difference: %w", err)
	}
	return nil
}

// Diff compares an old report with a new one: scenarios of one name, and in them
// targets of one name. Percentiles and CPU are compared by their values round by
// round, as independent samples, since the rounds of two runs have nothing in
// common; the intervals of all figures that count hold at once with 95 %
// confidence, so that a comparison of many is not worse by chance.
//
// What the rounds of a run have in common, such as where its programs lie in
// memory, no round tells. A difference between two runs is one between two runs.
func Diff(older, newer *Document) *Difference {
	d := &Difference{Schema: DiffSchema, Old: older.run(), New: newer.run()}
	unlike := d.compareMachines(older.Machine, newer.Machine)
	for _, was := range older.Scenarios {
		is, found := newer.scenario(was.Name)
		if !found {
			d.OnlyOld = append(d.OnlyOld, was.Name)
			d.Doubts = append(d.Doubts, fmt.Sprintf("scenario %q is not measured any more", was.Name))
			continue
		}
		if slices.ContainsFunc(d.Scenarios, func(c Comparable) bool { return c.Name == was.Name }) {
			d.Doubts = append(d.Doubts, fmt.Sprintf("scenario %q is there more than once; only the first is compared", was.Name))
			continue
		}
		c := compareScenarios(was, is)
		c.Incomparable = c.Incomparable || unlike
		d.Scenarios = append(d.Scenarios, c)
	}
	for _, is := range newer.Scenarios {
		if _, found := older.scenario(is.Name); !found {
			d.OnlyNew = append(d.OnlyNew, is.Name)
		}
	}
	d.judge()
	return d
}

func (d *Document) run() Run { return Run{Tool: d.Tool, Date: d.Date, Machine: d.Machine} }

func (d *Document) scenario(name string) (Scenario, bool) {
	i := slices.IndexFunc(d.Scenarios, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		return Scenario{}, false
	}
	return d.Scenarios[i], true
}

// compareScenarios collects the figures of both, without judging them.
func compareScenarios(was, is Scenario) Comparable {
	c := Comparable{Name: was.Name}
	c.compareLoads(was, is)
	counted := map[string]bool{}
	for _, cmp := range was.Comparisons {
		if change, ok := compareAdded(cmp, was, is); ok {
			c.Changes = append(c.Changes, change)
			counted[cmp.Base], counted[cmp.Test] = true, true
		}
	}
	for _, t := range was.Targets {
		now, _ := is.target(t.Name)
		if now == nil {
			c.OnlyOld = append(c.OnlyOld, t.Name)
			c.Doubts = append(c.Doubts, fmt.Sprintf("target %q is not measured any more", t.Name))
			continue
		}
		c.Changes = append(c.Changes, Change{Target: t.Name, Counts: !counted[t.Name], Figures: targetFigures(t, *now)})
	}
	for _, t := range is.Targets {
		if old, _ := was.target(t.Name); old == nil {
			c.OnlyNew = append(c.OnlyNew, t.Name)
		}
	}
	return c
}

// compareAdded is what a target adds to the base, if both reports compare the two.
func compareAdded(c Comparison, was, is Scenario) (Change, bool) {
	again := slices.ContainsFunc(is.Comparisons, func(o Comparison) bool { return o.Base == c.Base && o.Test == c.Test })
	oldBase, _ := was.target(c.Base)
	oldTest, _ := was.target(c.Test)
	newBase, _ := is.target(c.Base)
	newTest, _ := is.target(c.Test)
	if !again || oldBase == nil || oldTest == nil || newBase == nil || newTest == nil {
		return Change{}, false
	}
	change := Change{Base: c.Base, Target: c.Test, Counts: true}
	for _, name := range commonPercentiles(oldTest, newTest) {
		older, newer := addedPerRound(oldBase, oldTest, name), addedPerRound(newBase, newTest, name)
		if len(older) > 0 && len(newer) > 0 {
			change.Figures = append(change.Figures, newFigure(name, unitMicros, older, newer))
		}
	}
	// What was watched and what failed is the target's alone, and counts here,
	// since the target by itself does not.
	change.Figures = append(change.Figures, otherFigures(*oldTest, *newTest)...)
	return change, true
}

// targetFigures are those of a target by itself.
func targetFigures(was, is Target) []Figure {
	var all []Figure
	for _, name := range commonPercentiles(&was, &is) {
		older, newer := addedPerRound(nil, &was, name), addedPerRound(nil, &is, name)
		if len(older) > 0 && len(newer) > 0 {
			all = append(all, newFigure(name, unitMicros, older, newer))
		}
	}
	return append(all, otherFigures(was, is)...)
}
