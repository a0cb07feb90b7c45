package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

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
	for _, c := range r.Cells {
		r.writeCell(&b, c)
	}
	r.writeMemory(&b)
	r.writeVerdict(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) writeHead(b *strings.Builder) {
	m := r.Machine
	fmt.Fprintf(b, "The mesh hop: CPU time, throughput and latency of two mTLS proxies in a row\n\n")
	fmt.Fprintf(b, "  %s, %d CPUs, Linux %s, %s, %s\n", m.CPUModel, m.CPUs, m.Kernel, m.Go, r.Date.Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(b, "  %d rounds of %.4g s after %.4g s of warm-up per peer and load, order shuffled (seed %d)\n",
		r.Setup.Rounds, r.Setup.BlockSeconds, r.Setup.WarmupSeconds, r.Setup.Seed)
	for _, p := range r.Peers {
		fmt.Fprintf(b, "  %-9s %s\n", p.Name, p.Version)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Absent)) {
		fmt.Fprintf(b, "  %-9s left out: %s\n", name, r.Absent[name])
	}
	for _, line := range r.Setup.Fairness {
		fmt.Fprintf(b, "  - %s\n", line)
	}
	if share := r.foreign(); share >= noisy {
		fmt.Fprintf(b, "  ! other programs or the hypervisor took %.0f %% of the processors (median of all blocks)\n", 100*share)
	}
	b.WriteByte('\n')
}

// foreign is the median share of processor time that was not ours.
func (r *Report) foreign() float64 {
	shares := make([]float64, len(r.Samples))
	for i, s := range r.Samples {
		shares[i] = s.ForeignShare + s.StolenShare
	}
	return Median(shares)
}

func (r *Report) writeCell(b *strings.Builder, c Cell) {
	fmt.Fprintf(b, "%s, %s\n", plural(c.Connections, "connection"), bodySize(c.Size))
	t := newTable(b)
	better := c.Better
	if better == "" {
		better = "-"
	}
	fmt.Fprintf(t, "  peer\tCPU µs/req\tout\tin\tuser\tsystem\treq/s\tp50 µs\tp99 µs\tspread\tCPU/%s\t\n", better)
	for _, res := range c.Results {
		if res.Errors > 0 {
			continue
		}
		ratio := "-"
		if res.Ratio.CPU > 0 {
			ratio = fmt.Sprintf("%.2f", res.Ratio.CPU)
		}
		fmt.Fprintf(t, "  %s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f %%\t%s\t\n", res.Peer,
			res.CPUMicros, res.OutboundMicros, res.InboundMicros, res.UserMicros, res.SystemMicros,
			res.Throughput, res.P50Micros, res.P99Micros, 100*res.Spread, ratio)
	}
	t.Flush() // writes to a strings.Builder, which cannot fail
	for _, res := range c.Results {
		if res.Errors > 0 {
			fmt.Fprintf(b, "  %s FAILED: %s, the first: %s\n", res.Peer, plural(res.Errors, "error"), res.FirstError)
		}
	}
	b.WriteByte('\n')
}

func (r *Report) writeMemory(b *strings.Builder) {
	b.WriteString("Resident memory in MiB: RSS (of it anonymous), idle → after the run\n")
	t := newTable(b)
	fmt.Fprintf(t, "  peer\toutbound idle\tafter\tinbound idle\tafter\t\n")
	for _, m := range r.Memory {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t\n", m.Peer,
			mebibytes(m.OutboundIdle), mebibytes(m.OutboundAfter), mebibytes(m.InboundIdle), mebibytes(m.InboundAfter))
	}
	t.Flush()
	b.WriteByte('\n')
}

// writeVerdict is the one table a reader in a hurry looks at.
func (r *Report) writeVerdict(b *strings.Builder) {
	var lines []string
	for _, c := range r.Cells {
		i := slices.IndexFunc(c.Results, func(res Result) bool { return res.Peer == Subject })
		if i < 0 || c.Better == "" || c.Results[i].Ratio.CPU == 0 {
			continue
		}
		ratio := c.Results[i].Ratio
		lines = append(lines, fmt.Sprintf("  %s\t%s\t%s\t%.2f\t%.2f\t%.2f\t\n", plural(c.Connections, "connection"),
			bodySize(c.Size), c.Better, ratio.CPU, ratio.Throughput, ratio.P99))
	}
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "%s over the better of %s (median of per-round quotients)\n", Subject, strings.Join(rivals(), " and "))
	t := newTable(b)
	fmt.Fprintf(t, "  load\tresponse\tbetter\tCPU\treq/s\tp99\t\n%s", strings.Join(lines, ""))
	t.Flush()
}

func newTable(b *strings.Builder) *tabwriter.Writer {
	return tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
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
