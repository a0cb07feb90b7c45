package report

import (
	"fmt"
	"io"
	"strings"
)

// WriteTable writes the difference for a terminal of a hundred columns.
func (d *Difference) WriteTable(w io.Writer) error {
	p := new(printer)
	p.entry("old  ", d.Old.line())
	p.entry("new  ", d.New.line())
	for _, doubt := range d.Doubts {
		p.entry("! doubt: ", doubt)
	}
	for _, c := range d.Scenarios {
		c.write(p)
	}
	p.space()
	for _, only := range []struct {
		in    string
		names []string
	}{{"old", d.OnlyOld}, {"new", d.OnlyNew}} {
		if len(only.names) > 0 {
			p.entry("only in the "+only.in+" report: ", strings.Join(only.names, ", "))
		}
	}
	p.entry("", d.summary())
	return p.writeTo(w)
}

func (r Run) line() string {
	return fmt.Sprintf("%s, %s, %s", r.Tool, r.Date.Format(dateLayout), machineLine(r.Machine))
}

func (c Comparable) write(p *printer) {
	p.space()
	p.entry("── ", c.Name+": "+loud(c.Outcome))
	for _, doubt := range c.Doubts {
		p.entry("   ! doubt: ", doubt)
	}
	if c.Incomparable {
		p.entry("   ! ", "The two are not comparable, so nothing is decided.")
	}
	for _, change := range c.Changes {
		p.space()
		p.entry("   ", change.title())
		change.grid().write(p)
	}
	if len(c.OnlyOld) > 0 {
		p.entry("   only in the old report: ", strings.Join(c.OnlyOld, ", "))
	}
	if len(c.OnlyNew) > 0 {
		p.entry("   only in the new report: ", strings.Join(c.OnlyNew, ", "))
	}
}

func (c Change) title() string {
	switch {
	case c.Base != "":
		return fmt.Sprintf("What %s adds to %s", c.Target, c.Base)
	case c.Counts:
		return c.Target
	}
	return c.Target + " by itself, which does not count"
}

func (c Change) grid() *grid {
	g := &grid{columns: []column{
		words("", 8), figures("old", 9), figures("new", 9), figures("change", 9), figures("ratio", 7),
		figures("95 % interval", 22), figures("tolerance", 10), words("outcome", 9),
	}}
	for _, f := range c.Figures {
		g.add(f.row(c.Base != "")...)
	}
	return g
}

// row is a figure in the columns of grid. Latency that is added has a sign.
func (f Figure) row(added bool) []string {
	write := func(v float64) string { return figure(f.Unit, v) }
	number := write
	if added && f.Unit == unitMicros {
		number = func(v float64) string { return signed(v, write) }
	}
	ratio, interval := absent, absent
	if f.Ratio != nil {
		ratio = "× " + digits(*f.Ratio)
	}
	if f.Interval != nil {
		interval = between(f.Unit, f.Interval.Low, f.Interval.High)
	}
	return []string{
		f.What, number(f.Old), number(f.New), signed(f.Difference, write), ratio, interval, "± " + write(f.Tolerance), loud(f.Outcome),
	}
}

// loud writes what must not be overlooked in capitals.
func loud(o Outcome) string {
	switch o {
	case "":
		return absent
	case Worse:
		return strings.ToUpper(string(o))
	default:
		return string(o)
	}
}

// summary is the outcome with how many figures came to what.
func (d *Difference) summary() string {
	n := map[Outcome]int{}
	for _, c := range d.Scenarios {
		for _, change := range c.Changes {
			for _, f := range change.Figures {
				if change.Counts && f.Outcome != "" {
					n[f.Outcome]++
				}
			}
		}
	}
	var parts []string
	for _, o := range []Outcome{Worse, Improved, Same, Undecided} {
		if n[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[o], o))
		}
	}
	text := "outcome: " + loud(d.Outcome)
	if parts != nil {
		text += ", of figures that count: " + strings.Join(parts, ", ")
	}
	return text
}
