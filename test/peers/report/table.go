package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// Subject is the program the benchmark is about.
const Subject = "outrider"

// noisy is the share of foreign processor time from which a reader is warned.
const noisy = 0.05

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	r.writeHead(&b)
	if r.Engines != nil {
		r.sideBySide().text(&b)
	}
	for _, s := range r.sheets() {
		s.text(&b)
	}
	if r.Inspection != nil {
		r.Inspection.writeText(&b)
	}
	if r.Calls != nil {
		r.Calls.writeText(&b)
	}
	if r.Held != nil {
		r.Held.writeText(&b)
	}
	_, err := io.WriteString(w, strings.TrimSuffix(b.String(), "\n"))
	return err
}

// sheets are those of the first two parts.
func (r *Report) sheets() []*sheet {
	var all []*sheet
	for _, c := range r.Cells {
		all = append(all, c.sheet())
	}
	if len(r.Cells) > 0 {
		all = append(all, r.verdict()...)
	}
	if r.Open != nil {
		all = append(all, r.Open.sheet())
	}
	if len(r.Memory) > 0 {
		all = append(all, memorySheet(r.Memory))
	}
	return all
}

func (r *Report) writeHead(b *strings.Builder) {
	m := r.Machine
	fmt.Fprintf(b, "The mesh hop: CPU time, throughput and latency of two mTLS proxies in a row\n\n")
	fmt.Fprintf(b, "  %s, %d CPUs, Linux %s, %s, %s\n", m.CPUModel, m.CPUs, m.Kernel, m.Go, r.Date.Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(b, "  %d rounds of %.4g s after %.4g s of warm-up per peer and load, order shuffled (seed %d)\n",
		r.Setup.Rounds, r.Setup.BlockSeconds, r.Setup.WarmupSeconds, r.Setup.Seed)
	writePeers(b, r.Peers, r.Absent)
	for _, line := range r.Setup.Fairness {
		fmt.Fprintf(b, "  - %s\n", line)
	}
	if share := others(r.All()); share >= noisy {
		fmt.Fprintf(b, "  ! other programs or the hypervisor took %.0f %% of the processors (median of all blocks)\n", 100*share)
	}
	b.WriteByte('\n')
}

func writePeers(b *strings.Builder, peers []Peer, absent map[string]string) {
	width := len("outrider ")
	for _, p := range peers {
		width = max(width, len(p.Name))
	}
	for _, p := range peers {
		fmt.Fprintf(b, "  %-*s %s\n", width, p.Name, p.described())
	}
	for _, name := range slices.Sorted(maps.Keys(absent)) {
		fmt.Fprintf(b, "  %-*s left out: %s\n", width, name, absent[name])
	}
}

// described is a peer's version, with what must be known of it.
func (p Peer) described() string {
	if p.Note == "" {
		return p.Version
	}
	return p.Version + " (" + p.Note + ")"
}

// All are the samples of every part.
func (r *Report) All() []Sample {
	all := slices.Clone(r.Samples)
	if r.Open != nil {
		all = append(all, r.Open.Samples...)
	}
	if r.Inspection != nil {
		for _, i := range r.Inspection.Requests {
			all = append(all, i.Samples...)
			if i.Open != nil {
				all = append(all, i.Open.Samples...)
			}
		}
	}
	if r.Calls != nil {
		all = append(all, r.Calls.Samples...)
	}
	return all
}

func (c Cell) sheet() *sheet {
	better := c.Better
	if better == "" {
		better = "-"
	}
	s := &sheet{title: c.String(), header: []string{
		"peer", "CPU µs/req", "out", "in", "user", "system", "req/s", "p50 µs", "p99 µs", "spread", "CPU/" + better,
	}}
	for _, res := range c.Results {
		if res.Errors > 0 {
			s.note("%s FAILED: %s, the first: %s", res.Peer, plural(res.Errors, "error"), res.FirstError)
			continue
		}
		s.add(res.Peer, tenths(res.CPUMicros), tenths(res.OutboundMicros), tenths(res.InboundMicros),
			tenths(res.UserMicros), tenths(res.SystemMicros), whole(res.Throughput), whole(res.P50Micros),
			whole(res.P99Micros), percent(res.Spread), quotientText(res.Ratio.CPU))
	}
	s.busy(c.Others)
	return s
}

func memorySheet(memory []Memory) *sheet {
	s := &sheet{
		title:  "Resident memory in MiB: RSS (of it anonymous), idle → after the run",
		header: []string{"peer", "outbound idle", "after", "inbound idle", "after"},
	}
	for _, m := range memory {
		s.add(m.Peer, mebibytes(m.OutboundIdle), mebibytes(m.OutboundAfter), mebibytes(m.InboundIdle), mebibytes(m.InboundAfter))
	}
	return s
}

// verdict is the one table a reader in a hurry looks at; none if there is nothing
// to compare.
func (r *Report) verdict() []*sheet {
	s := &sheet{
		title:  fmt.Sprintf("%s over the better of %s, and over %s (median of per-round quotients)", Subject, strings.Join(Rivals(), " and "), heavyweight),
		header: []string{"load", "response", "better", "CPU", "req/s", "p99", "CPU/" + heavyweight},
	}
	for _, c := range r.Cells {
		res, ok := c.of(Subject)
		if !ok || c.Better == "" || res.Ratio.CPU == 0 {
			continue
		}
		s.add(plural(c.Connections, "connection"), bodySize(c.Size), c.Better, quotientText(res.Ratio.CPU),
			quotientText(res.Ratio.Throughput), quotientText(res.Ratio.P99), quotientText(res.Envoy.CPU))
	}
	if len(s.rows) == 0 {
		return nil
	}
	return []*sheet{s}
}

// of finds a peer's result.
func (c Cell) of(peer string) (Result, bool) {
	i := slices.IndexFunc(c.Results, func(r Result) bool { return r.Peer == peer })
	if i < 0 {
		return Result{}, false
	}
	return c.Results[i], true
}

func tenths(v float64) string { return fmt.Sprintf("%.1f", v) }
func whole(v float64) string  { return fmt.Sprintf("%.0f", v) }

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// quotientText is a quotient, or "-" where nothing was compared.
func quotientText(q float64) string {
	if q <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", q)
}

func mebibytes(m watch.Memory) string {
	const mib = 1 << 20
	return fmt.Sprintf("%.1f (%.1f)", float64(m.RSS)/mib, float64(m.Anon)/mib)
}

func bodySize(n int) string {
	switch {
	case n == 0:
		return "empty body"
	case n%1024 == 0:
		return fmt.Sprintf("%d KiB", n/1024)
	default:
		return plural(n, "byte")
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
