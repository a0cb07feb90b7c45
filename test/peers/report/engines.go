package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/test/peers/engines"
)

// Engines is inspection in the benchmark's own process.
type Engines struct {
	// Names are those of the cells, the first the one that others are compared with.
	Names         []string      `json:"names"`
	Rounds        int           `json:"rounds"`
	WindowSeconds float64       `json:"window_seconds"`
	InspectBytes  int           `json:"inspect_bytes"`
	Rows          []engines.Row `json:"rows"`
}

// sideBySide is the table of inspection: for each request what the engines cost by
// themselves, and what the whole hop costs where it was measured.
func (r *Report) sideBySide() *sheet {
	s := &sheet{title: "CPU time in µs per request: the engines by themselves, then whole hops", header: []string{"request"}}
	for n, name := range r.Engines.Names {
		s.header = append(s.header, name)
		if n > 0 {
			s.header = append(s.header, "times")
		}
	}
	s.header = append(s.header, "allocations")
	hops := r.hops()
	for _, name := range hops {
		s.header = append(s.header, "hop: "+name)
	}
	if len(hops) > 0 {
		s.header = append(s.header, "times")
	}
	for _, row := range r.Engines.Rows {
		s.add(append(engineCells(row), r.hopCells(row.Name, hops)...)...)
	}
	s.note("times: how much less it is than that of %s, or at the end how much less the hop of %s is than that of %s; medians of quotients within one round",
		r.Engines.Names[0], meshHop, Mark)
	return s
}

// meshHop is the hop that is compared with Mark.
const meshHop = "outrider+waf-mesh"

// hops are the programs of the third part, if it was run.
func (r *Report) hops() []string {
	var all []string
	if r.Inspection != nil {
		for _, p := range r.Inspection.Peers {
			all = append(all, p.Name)
		}
	}
	return all
}

func engineCells(row engines.Row) []string {
	cells, allocations := []string{row.Name}, []string(nil)
	for n, c := range row.Cells {
		cells = append(cells, digits(c.CPUMicros))
		if n > 0 {
			cells = append(cells, digits(c.Times)+"×")
		}
		allocations = append(allocations, whole(c.Allocations))
	}
	return append(cells, strings.Join(allocations, " / "))
}

// hopCells are the whole hops' of a request.
func (r *Report) hopCells(request string, hops []string) []string {
	if len(hops) == 0 {
		return nil
	}
	i := slices.IndexFunc(r.Inspection.Requests, func(in Inspected) bool { return in.Name == request })
	cells, times := []string(nil), "-"
	for _, name := range hops {
		cell := "-"
		if i >= 0 {
			if res, ok := r.Inspection.Requests[i].Closed.of(name); ok && res.Errors == 0 {
				cell = digits(res.CPUMicros)
				if name == meshHop && res.Ratio.CPU > 0 {
					times = digits(1/res.Ratio.CPU) + "×"
				}
			}
		}
		cells = append(cells, cell)
	}
	return append(cells, times)
}

// latencies are of the closed loops.
func (i *Inspection) latencies() *sheet {
	s := &sheet{title: "p50 and p99 of the closed loops in µs, and how busy others kept the processors", header: []string{"request"}}
	for _, p := range i.Peers {
		s.header = append(s.header, p.Name)
	}
	s.header = append(s.header, "others")
	for _, req := range i.Requests {
		row := []string{req.Name}
		for _, p := range i.Peers {
			cell := "-"
			if res, ok := req.Closed.of(p.Name); ok && res.Errors == 0 {
				cell = whole(res.P50Micros) + " / " + whole(res.P99Micros)
			}
			row = append(row, cell)
		}
		s.add(append(row, percent(req.Closed.Others))...)
	}
	return s
}

// markdownWAF is a run of inspection as part of a page.
func (r *Report) markdownWAF(b *strings.Builder) {
	m := r.Machine
	fmt.Fprintf(b, "%s, %s, %d processors, %s. The command:\n\n    %s\n\n",
		r.Date.Format("2006-01-02"), escape(m.CPUModel), m.CPUs, m.Go, strings.Join(r.Command, " "))
	fmt.Fprintf(b, "Engines: median of %s of %.4g s, in turns, one thread, %d KiB of a body inspected.",
		plural(r.Engines.Rounds, "round"), r.Engines.WindowSeconds, r.Engines.InspectBytes>>10)
	if r.Inspection != nil {
		fmt.Fprintf(b, " Hops: %s of %.4g s after\n%.4g s of warm-up, 4 connections unless said otherwise; other programs or the hypervisor took %.0f %% of the processors.",
			plural(r.Setup.Rounds, "round"), r.Setup.BlockSeconds, r.Setup.WarmupSeconds, 100*others(r.All()))
	}
	b.WriteString("\n\n")
	if r.Inspection != nil {
		markdownPeers(b, r.Inspection.Peers, r.Inspection.Absent)
		markdownList(b, r.Inspection.Fairness)
	}
	r.sideBySide().markdown(b, 1)
	if r.Inspection != nil {
		r.Inspection.latencies().markdown(b, 1)
		memorySheet(r.Inspection.Memory).markdown(b, 1)
	}
}

// digits is a figure with three digits, or all that it has before the point.
func digits(v float64) string {
	switch {
	case v >= 100:
		return whole(v)
	case v >= 10:
		return tenths(v)
	}
	return fmt.Sprintf("%.2f", v)
}
