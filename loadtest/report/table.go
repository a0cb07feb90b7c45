package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// WriteTable writes the document for a terminal of a hundred columns.
func (d *Document) WriteTable(w io.Writer) error {
	p := new(printer)
	p.entry("", d.Tool+", "+d.Date.Format(dateLayout))
	p.entry("command  ", strings.Join(d.Command, " "))
	p.entry("machine  ", machineLine(d.Machine))
	for _, s := range d.Scenarios {
		s.write(p)
	}
	p.space()
	d.writeVerdict(p)
	return p.writeTo(w)
}

const dateLayout = "2006-01-02 15:04:05 MST"

// write prints one scenario.
func (s Scenario) write(p *printer) {
	p.space()
	p.entry("── ", s.Name)
	p.entry("   ", s.Load.line())
	for _, doubt := range s.Doubts {
		p.entry("   ! doubt: ", doubt)
	}
	p.space()
	s.targets().write(p)
	s.writeFailures(p)
	if late := s.lateness(); late != "" {
		p.entry("   ", late)
	}
	for _, c := range s.Comparisons {
		p.space()
		p.entry("   ", c.title())
		c.findings().write(p)
	}
	if costs := s.costs(); len(costs.rows) > 0 {
		p.space()
		costs.write(p)
	}
}

// line is the load in one sentence.
func (l Load) line() string {
	what := fmt.Sprintf("%s over %s", l.Request, l.Protocol)
	if l.BodyBytes > 0 {
		what += ", " + exact(octets(float64(l.BodyBytes))) + " body"
	}
	return fmt.Sprintf("%s; %s; %s; %s, each %s of warm-up and %s measured; seed %d", what, l.pace(), l.concurrency(),
		plural(l.Rounds, "round"), seconds(l.WarmupSeconds), seconds(l.BlockSeconds), l.Seed)
}

func (l Load) pace() string {
	if l.Arrivals == "closed" {
		return "closed loop, as fast as answers come"
	}
	return fmt.Sprintf("open loop, %s requests/s, %s arrivals", l.Rate, l.Arrivals)
}

func (l Load) concurrency() string {
	if l.Streams > 1 {
		return fmt.Sprintf("%s, %d to a connection", plural(l.Callers, "caller"), l.Streams)
	}
	return plural(l.Callers, "caller")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(int64(n)) + " " + what + "s"
}

// targets are the targets side by side.
func (s Scenario) targets() *grid {
	const latency = 7
	g := &grid{columns: []column{
		words("target", 15), figures("requests", 9), figures("per s", 7), figures("failed", 6),
		figures("p50", latency), figures("p75", latency), figures("p90", latency),
		figures("p99", latency), figures("p99.9", latency), figures("max", latency),
	}}
	for _, t := range s.Targets {
		g.add(append([]string{t.Name, count(t.Requests), rate(t.Rate), t.failedShare()}, t.latencies()...)...)
	}
	return g
}

// latencies are those of a target that has any.
func (t Target) latencies() []string {
	texts := t.Latency.texts()
	if t.Requests == 0 {
		for i := range texts {
			texts[i] = absent
		}
	}
	return texts
}

// texts are the percentiles as they are shown, from p50 to the longest.
func (l Latency) texts() []string {
	texts := make([]string, 0, 6)
	for _, us := range []float64{l.P50, l.P75, l.P90, l.P99, l.P999, l.Max} {
		texts = append(texts, micros(us))
	}
	return texts
}

func (t Target) failed() int64 {
	var n int64
	for _, k := range t.Failures {
		n += k
	}
	return n
}

// lost are the requests that failed, and those that could not be sent because every
// caller was still waiting for the target.
func (t Target) lost() (lost, all int64) {
	lost = t.failed() + t.Unsent
	return lost, lost + t.Requests
}

func (t Target) failedShare() string {
	lost, all := t.lost()
	if lost == 0 {
		return "0"
	}
	return share(float64(lost) / float64(all))
}

// failureLine says what failed and what was not sent, or is empty.
func (t Target) failureLine() string {
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(t.Failures)) {
		if n := t.Failures[kind]; n > 0 {
			kinds = append(kinds, count(n)+" "+kind)
		}
	}
	if t.Unsent > 0 {
		kinds = append(kinds, count(t.Unsent)+" not sent")
	}
	if kinds == nil {
		return ""
	}
	lost, all := t.lost()
	line := fmt.Sprintf("%s of %s failed: %s", count(lost), count(all), strings.Join(kinds, ", "))
	if t.FirstFailure != "" {
		line += "; the first: " + t.FirstFailure
	}
	return line
}

func (s Scenario) writeFailures(p *printer) {
	for _, t := range s.Targets {
		if line := t.failureLine(); line != "" {
			p.entry("   ! ", t.Name+": "+line)
		}
	}
}

// lateness is how late the generator itself was, at worst; empty for a closed loop,
// where nothing is ever due.
func (s Scenario) lateness() string {
	worst := Target{}
	for _, t := range s.Targets {
		if t.Late.P99 > worst.Late.P99 {
			worst = t
		}
	}
	if worst.Late.P99 == 0 {
		return ""
	}
	return fmt.Sprintf("The generator itself was late by %s at p99, for %s.", micros(worst.Late.P99), worst.Name)
}

// costs are processor time and memory of what was watched. Microseconds per request
// are milliseconds per thousand requests; both are there because people think in
// one of the two.
func (s Scenario) costs() *grid {
	g := &grid{columns: []column{
		words("target", 15), words("watched", 19), figures("CPU/request", 0), figures("user", 9), figures("system", 9),
		figures("CPU/1,000 req", 0), figures("RSS", 9),
	}}
	for _, t := range s.Targets {
		for _, w := range t.Watched {
			g.add(t.Name, w.Name, micros(w.CPU), micros(w.User), micros(w.System), micros(w.CPU*1000), octets(float64(w.RSS)))
		}
	}
	return g
}

// writeVerdict prints what all of it comes to.
func (d *Document) writeVerdict(p *printer) {
	for _, r := range d.reasons() {
		p.entry("! ", r.String())
	}
	switch d.Verdict {
	case "":
		p.line("verdict: none, for there is no budget")
	case budget.Holds:
		p.line("verdict: holds")
	default:
		p.entry("verdict: ", strings.ToUpper(string(d.Verdict)))
	}
}

// machineLine is where it was measured, in brief; what is not known is left out.
func machineLine(m watch.Machine) string {
	parts := []string{m.CPUModel, plural(m.CPUs, "CPU")}
	if m.MemoryBytes > 0 {
		parts = append(parts, octets(float64(m.MemoryBytes)))
	}
	if m.Kernel != "" {
		parts = append(parts, "Linux "+m.Kernel)
	}
	parts = append(parts, m.Arch, m.Go)
	if m.LoadAverage != "" {
		parts = append(parts, "load average "+m.LoadAverage)
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}
