package bench

import (
	"fmt"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/lossy/wire"
	"github.com/outrider-mesh/outrider/test/page"
)

// A Report is one run.
type Report struct {
	Date       time.Time     `json:"date"`
	Command    []string      `json:"command"`
	Machine    watch.Machine `json:"machine"`
	RoundTrip  time.Duration `json:"round_trip_ns"`
	Rounds     int           `json:"rounds"`
	Block      time.Duration `json:"block_ns"`
	Warmup     time.Duration `json:"warmup_ns"`
	Congestion string        `json:"tcp_congestion_control"`
	Seed       uint64        `json:"seed"`
	Cells      []Cell        `json:"cells"`
	// There and Back are what the path has carried.
	There wire.Count `json:"there"`
	Back  wire.Count `json:"back"`
}

// Page is the part of a page that Markdown is for.
func Page() page.Part {
	return page.Part{
		Begin: "<!-- bench-loss: begin. Written by make bench-loss; do not edit. -->",
		End:   "<!-- bench-loss: end -->",
	}
}

func ways() []string { return []string{overTCP, overQUIC} }

const (
	// tooLate is how late the generator may be at the 99th percentile, in ms, before
	// its own failing decides about what it measures.
	tooLate = 2
	// noisy is from what share of others on the figures are in doubt.
	noisy = 0.15
)

// Markdown is the report as part of a page.
func (r *Report) Markdown() string {
	var b strings.Builder
	r.head(&b)
	r.latencies(&b)
	r.costs(&b)
	return b.String()
}

func (r *Report) head(b *strings.Builder) {
	m := r.Machine
	// What follows the kernel's own version is about one machine only.
	kernel, _, _ := strings.Cut(m.Kernel, "-")
	fmt.Fprintf(b, "%s, %s, %d processors, Linux %s, %s, TCP with %s. The command:\n\n    %s\n\n",
		r.Date.Format("2006-01-02"), m.CPUModel, m.CPUs, kernel, m.Go, r.Congestion, strings.Join(r.Command, " "))
	fmt.Fprintf(b, "%d rounds of %v after %v of warm-up per hop and load, order and losses by chance (seed %d).\n",
		r.Rounds, r.Block, r.Warmup, r.Seed)
	fmt.Fprintf(b, "The path carried %d packets, lost %d and dropped %d for want of room.\n\n",
		r.There.Packets+r.Back.Packets, r.There.Lost+r.Back.Lost, r.There.Overflowed+r.Back.Overflowed)
}

// latencies has a table for each open loop.
func (r *Report) latencies(b *strings.Builder) {
	last := ""
	for _, c := range r.Cells {
		if c.Load.Rate == 0 {
			continue
		}
		if c.Load.Name != last {
			last = c.Load.Name
			fmt.Fprintf(b, "%s, round trip %v; ms:\n\n", c.Load, r.RoundTrip)
			b.WriteString("| loss | TCP p50 | QUIC p50 | TCP p99 | 95 % | QUIC p99 | 95 % | QUIC takes less, p99 | 95 % | TCP max | QUIC max | CPU QUIC/TCP | others |\n")
			b.WriteString("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
		}
		fmt.Fprintf(b, "| %.3g %% | %.1f | %.1f | %.1f | %s | %.1f | %s | %+.1f | %s | %.0f | %.0f | %.2f | %.0f %% |\n",
			c.Loss*100, c.TCP.P50.Mean, c.QUIC.P50.Mean, c.TCP.P99.Mean, c.TCP.P99.within("%.1f"), c.QUIC.P99.Mean, c.QUIC.P99.within("%.1f"),
			c.LessP99.Mean, c.LessP99.within("%+.1f"), c.TCP.Max, c.QUIC.Max, c.CPU.Mean, c.Others*100)
		if r.lastOf(c) {
			r.notes(b, c.Load.Name)
		}
	}
}

// lastOf tells whether the next cell is of another load.
func (r *Report) lastOf(c Cell) bool {
	last := ""
	for _, other := range r.Cells {
		if other.Load.Name == c.Load.Name {
			last = fmt.Sprint(other.Loss)
		}
	}
	return last == fmt.Sprint(c.Loss)
}

// notes are what a reader must know before believing the figures of a load.
func (r *Report) notes(b *strings.Builder, load string) {
	b.WriteByte('\n')
	for _, c := range r.Cells {
		if c.Load.Name == load {
			c.notes(b)
		}
	}
	b.WriteByte('\n')
}

func (c Cell) notes(b *strings.Builder) {
	at := fmt.Sprintf("at %.3g %% loss", c.Loss*100)
	for name, w := range map[string]Way{"TCP": c.TCP, "QUIC": c.QUIC} {
		if w.Failed > 0 {
			fmt.Fprintf(b, "- ! %s %d requests over %s FAILED, the first: %s\n", at, w.Failed, name, w.First)
		}
		if w.Unsent > 0 {
			fmt.Fprintf(b, "- ! %s %d requests over %s could not be sent in time\n", at, w.Unsent, name)
		}
		if w.LateP99 > tooLate {
			fmt.Fprintf(b, "- ! %s the generator itself was %.1f ms late over %s (p99)\n", at, w.LateP99, name)
		}
	}
	if c.Others > noisy {
		fmt.Fprintf(b, "- ! %s other programs took %.0f %% of what was worked on the machine\n", at, c.Others*100)
	}
}

// costs is the table of the closed loops.
func (r *Report) costs(b *strings.Builder) {
	first := true
	for _, c := range r.Cells {
		if c.Load.Rate != 0 {
			continue
		}
		if first {
			first = false
			b.WriteString("Without delay and loss, closed loops; CPU time in µs per request over both sidecars:\n\n")
			b.WriteString("| load | TCP | 95 % | QUIC | 95 % | QUIC/TCP | 95 % | TCP req/s | QUIC req/s | others |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
		}
		fmt.Fprintf(b, "| %s | %.1f | %s | %.1f | %s | %.2f | %s | %.0f | %.0f | %.0f %% |\n", c.Load,
			c.TCP.CPU.Mean, c.TCP.CPU.within("%.0f"), c.QUIC.CPU.Mean, c.QUIC.CPU.within("%.0f"), c.CPU.Mean, c.CPU.within("%.2f"),
			c.TCP.PerSecond, c.QUIC.PerSecond, c.Others*100)
	}
	if !first {
		b.WriteByte('\n')
	}
}

// within is where a figure lies.
func (f Figure) within(format string) string {
	if f.Interval == nil {
		return "?"
	}
	return fmt.Sprintf(format+"…"+format, f.Interval.Low, f.Interval.High)
}
