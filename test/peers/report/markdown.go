package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/test/page"
)

// Page is the part of a page that Markdown is for: inspection measured with the engines
// by themselves has its own.
func (r *Report) Page() page.Part {
	name := "bench-peers"
	if r.Engines != nil {
		name = "bench-waf"
	}
	return page.Part{
		Begin: "<!-- " + name + ": begin. Written by make " + name + "; do not edit. -->",
		End:   "<!-- " + name + ": end -->",
	}
}

// Markdown is the report as part of a page: where it was measured and how, then
// each part with its table.
func (r *Report) Markdown() string {
	var b strings.Builder
	if r.Engines != nil {
		r.markdownWAF(&b)
		return b.String()
	}
	r.markdownHead(&b)
	r.markdownClosed(&b)
	if r.Open != nil {
		b.WriteString("### Open loop: what a hop adds\n\n")
		r.Open.sheet().markdown(&b, 1)
	}
	if len(r.Memory) > 0 {
		b.WriteString("### Memory\n\n")
		memorySheet(r.Memory).markdown(&b, 1)
	}
	if r.Inspection != nil {
		r.Inspection.markdown(&b)
	}
	if r.Calls != nil {
		r.Calls.markdown(&b)
	}
	return b.String()
}

func (r *Report) markdownHead(b *strings.Builder) {
	m := r.Machine
	// What follows the kernel's own version is about one machine only.
	kernel, _, _ := strings.Cut(m.Kernel, "-")
	fmt.Fprintf(b, "### The run\n\n%s, %s, %d processors, Linux %s, %s. The command:\n\n    %s\n\n",
		r.Date.Format("2006-01-02"), escape(m.CPUModel), m.CPUs, kernel, m.Go, strings.Join(r.Command, " "))
	fmt.Fprintf(b, "Closed loops: %s of %.4g s after %.4g s of warm-up per program and load, order shuffled\n(seed %d). ",
		plural(r.Setup.Rounds, "round"), r.Setup.BlockSeconds, r.Setup.WarmupSeconds, r.Setup.Seed)
	fmt.Fprintf(b, "Other programs or the hypervisor took %.0f %% of the processors (median of all\nblocks).\n\n", 100*others(r.All()))
	markdownPeers(b, r.Peers, r.Absent)
	b.WriteString("How it is kept fair:\n\n")
	markdownList(b, r.Setup.Fairness)
}

func markdownPeers(b *strings.Builder, peers []Peer, absent map[string]string) {
	var lines []string
	for _, p := range peers {
		lines = append(lines, p.Name+": "+p.described())
	}
	for _, name := range slices.Sorted(maps.Keys(absent)) {
		lines = append(lines, name+": left out: "+absent[name])
	}
	markdownList(b, lines)
}

func markdownList(b *strings.Builder, lines []string) {
	for _, line := range lines {
		fmt.Fprintf(b, "- %s\n", escape(line))
	}
	if len(lines) > 0 {
		b.WriteByte('\n')
	}
}

// markdownClosed is the first part: one table over all loads, and all figures of
// the load that is like a service's.
func (r *Report) markdownClosed(b *strings.Builder) {
	if len(r.Cells) == 0 {
		return
	}
	b.WriteString("### Closed loop: what a request costs\n\n")
	r.matrix().markdown(b, 2)
	for _, s := range r.verdict() {
		s.markdown(b, 3)
	}
	r.typical().sheet().markdown(b, 1)
}

// matrix is CPU time per request: a row for each load, a column for each program.
func (r *Report) matrix() *sheet {
	s := &sheet{
		title:  fmt.Sprintf("CPU time in µs per request over both proxies, median of %s", plural(r.Setup.Rounds, "round")),
		header: []string{"connections", "response"},
	}
	for _, p := range r.Peers {
		s.header = append(s.header, p.Name)
	}
	s.header = append(s.header, "others")
	for _, c := range r.Cells {
		row := []string{fmt.Sprint(c.Connections), bodySize(c.Size)}
		for _, p := range r.Peers {
			cell := "-"
			if res, ok := c.of(p.Name); ok && res.Errors == 0 {
				cell = tenths(res.CPUMicros)
			}
			row = append(row, cell)
		}
		s.add(append(row, percent(c.Others))...)
	}
	s.note("others: the share of the processors that other programs or the hypervisor took meanwhile")
	for _, p := range r.Peers {
		if p.Note != "" {
			s.note("%s: %s", p.Name, p.Note)
		}
	}
	return s
}

// typical is the cell of 32 connections and 1 KiB, or the one in the middle.
func (r *Report) typical() Cell {
	i := slices.IndexFunc(r.Cells, func(c Cell) bool { return c.Connections == 32 && c.Size == 1024 })
	if i < 0 {
		i = len(r.Cells) / 2
	}
	return r.Cells[i]
}

// markdown is the third part.
func (i *Inspection) markdown(b *strings.Builder) {
	b.WriteString("### Inspection\n\n")
	markdownPeers(b, i.Peers, i.Absent)
	markdownList(b, i.Fairness)
	i.summary().markdown(b, 1)
	for _, req := range i.Requests {
		req.Closed.sheet().markdown(b, 1)
		if req.Open != nil {
			req.Open.sheet().markdown(b, 1)
		}
	}
	memorySheet(i.Memory).markdown(b, 1)
}

// summary is CPU time per request over the mark's: a row for each request.
func (i *Inspection) summary() *sheet {
	s := &sheet{
		title:  fmt.Sprintf("CPU time per request over that of %s (median of per-round quotients)", Mark),
		header: []string{"request"},
	}
	for _, p := range i.Peers {
		if p.Name != Mark {
			s.header = append(s.header, p.Name)
		}
	}
	for _, req := range i.Requests {
		row := []string{req.Name}
		for _, name := range s.header[1:] {
			res, _ := req.Closed.of(name)
			row = append(row, quotientText(res.Ratio.CPU))
		}
		s.add(row...)
	}
	return s
}
