package report

import "slices"

// findingFamilies are what targets add, with intervals and budgets. The percentile
// is a label of its own name: quantile belongs to summaries.
func (d *Document) findingFamilies() []*family {
	added := &family{name: "added_seconds", kind: "gauge", help: "What a target takes more than the base, at a percentile."}
	low := &family{name: "added_low_seconds", kind: "gauge", help: "Lower end of the 95 % interval of what is added."}
	high := &family{name: "added_high_seconds", kind: "gauge", help: "Upper end of the 95 % interval of what is added."}
	limit := &family{name: "budget_seconds", kind: "gauge", help: "The most that a percentile, or what is added to it, may be."}
	verdict := &family{name: "verdict", kind: "gauge", help: "1 for what became of a budget, 0 for the others."}
	for _, f := range d.judged() {
		of := []string{"scenario", f.Scenario, "base", f.Comparison.Base, "target", f.Comparison.Test}
		at := slices.Concat(of, []string{"percentile", f.Finding.What})
		if f.Finding.Unit == unitMicros && f.first && f.Comparison.Base != "" {
			added.add(inSeconds(f.Finding.Added), at...)
			if in := f.Finding.Interval; in != nil {
				low.add(inSeconds(in.Low), at...)
				high.add(inSeconds(in.High), at...)
			}
		}
		bounds := "test"
		if !f.Finding.Absolute {
			bounds = "added"
		}
		if f.Finding.Budget != nil && f.Finding.Unit == unitMicros {
			limit.add(inSeconds(*f.Finding.Budget), slices.Concat(at, []string{"bounds", bounds})...)
		}
		if f.Finding.Verdict != "" {
			addVerdict(verdict, f.Finding.Verdict, slices.Concat(of, []string{"figure", f.Finding.What, "bounds", bounds})...)
		}
	}
	return []*family{added, low, high, limit, verdict}
}

// placed is a finding and where it is. It is not the first of its percentile if
// that has two budgets: one for the whole, one for what is added.
type placed struct {
	reason
	first bool
}

func (d *Document) judged() []placed {
	var all []placed
	for _, s := range d.Scenarios {
		for _, c := range s.Comparisons {
			seen := map[string]bool{}
			for _, f := range c.Findings {
				all = append(all, placed{reason{s.Name, c, f}, !seen[f.What]})
				seen[f.What] = true
			}
		}
	}
	return all
}
