package attack

import (
	"fmt"
	"math"

	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/stats"
)

// Gates are bounds on the figures, as shares from 0 to 1.
type Gates struct {
	// MinDetection and MaxFalseAlarms bound the two rates; nil: no bound.
	MinDetection, MaxFalseAlarms *float64
	// MaxErrors is the share of the corpus, what could not be read included, that
	// may end without saying anything about the WAF. Above it nothing is decided.
	MaxErrors float64
}

func (g *Gates) check() error {
	for what, share := range map[string]*float64{
		"least detection": g.MinDetection, "most false positives": g.MaxFalseAlarms, "most errors": &g.MaxErrors,
	} {
		if share != nil && !(*share >= 0 && *share <= 1) { // also for NaN
			return fmt.Errorf("the %s of %g is no share", what, *share)
		}
	}
	return nil
}

// judge compares the figures with the bounds, errors of all samples having said
// nothing.
func (g *Gates) judge(r *Report, errors, all int) {
	if share := float64(errors) / float64(max(all, 1)); share > g.MaxErrors {
		r.Inconclusive = fmt.Sprintf("%d of %d samples say nothing about the WAF: %s, more than %s",
			errors, all, percent(share), percent(g.MaxErrors))
	}
	if g.MinDetection != nil {
		d := r.Detection
		// A detection of at least p is a miss of at most 1-p.
		missed := stats.Interval{Low: 1 - d.High, High: 1 - d.Low}
		r.gate("detection", *g.MinDetection, budget.Judge(missed, d.Of > 0, 1-*g.MinDetection), d, "attack")
	}
	if g.MaxFalseAlarms != nil {
		f := r.FalseAlarms
		verdict := budget.Judge(stats.Interval{Low: f.Low, High: f.High}, f.Of > 0, *g.MaxFalseAlarms)
		r.gate("false_positives", *g.MaxFalseAlarms, verdict, f, "benign request")
	}
	r.settle()
}

// gate notes one judgement.
func (r *Report) gate(what string, bound float64, verdict budget.Verdict, s Share, of string) {
	g := Gate{What: what, Bound: bound, Verdict: verdict}
	if verdict == budget.Undecided {
		g.Note = fmt.Sprintf("%s are too few to tell %s from %s", count(s.Of, of), percent(s.Rate), percent(bound))
		if least := fewest(bound); what == "false_positives" && s.Count == 0 && least > s.Of {
			g.Note = fmt.Sprintf("it takes %s without a false positive to show that there are at most %s", count(least, of), percent(bound))
		}
	}
	r.Gates = append(r.Gates, g)
}

// fewest is how many samples without a single hit put the upper end of Wilson's
// interval, z²/(n+z²), at the bound; 0 where no number does.
func fewest(bound float64) int {
	const z = 1.959964
	if bound <= 0 {
		return 0 // no number does
	}
	return int(math.Ceil(z * z * (1 - bound) / bound))
}

// settle draws the verdicts together. An inconclusive run decides nothing: what
// was not seen could be of either kind.
func (r *Report) settle() {
	var all []budget.Verdict
	for i := range r.Gates {
		if r.Inconclusive != "" {
			r.Gates[i].Verdict, r.Gates[i].Note = budget.Undecided, ""
		}
		all = append(all, r.Gates[i].Verdict)
	}
	switch {
	case r.Inconclusive != "":
		r.Verdict = budget.Undecided
	case len(all) > 0:
		r.Verdict = budget.Worst(all...)
	}
}
