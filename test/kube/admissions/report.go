package admissions

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/stats"
	"github.com/outrider-mesh/outrider/loadtest/watch"
	"github.com/outrider-mesh/outrider/test/page"
)

// seed makes the intervals of the same figures the same.
const seed = 1

// A Report is what a page or a program gets to see.
type Report struct {
	Date    time.Time
	Machine watch.Machine
	Rounds  int
	Block   time.Duration
	Loads   []Load
}

// Page is the part of a page that is written.
func Page() page.Part {
	return page.Part{
		Begin: "<!-- bench-webhook: begin. Written by make bench-webhook; do not edit. -->",
		End:   "<!-- bench-webhook: end -->",
	}
}

// Write puts the report into files, where their names are not empty: all of it as JSON,
// and the tables into the part of a page.
func (r *Report) Write(asJSON, markdown string) error {
	if asJSON != "" {
		raw, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if err := os.WriteFile(asJSON, raw, 0o600); err != nil {
			return err
		}
	}
	if markdown == "" {
		return nil
	}
	return Page().Write(markdown, r.Tables())
}

// Tables is the report as Markdown.
func (r *Report) Tables() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %d processors, %s; load when it began: %s.\n", r.Date.UTC().Format(time.DateOnly), r.Machine.CPUModel, r.Machine.CPUs, r.Machine.Go, r.Machine.LoadAverage)
	fmt.Fprintf(&b, "%d rounds of %v for each side and load. Latencies in ms:\n\n", r.Rounds, r.Block)
	b.WriteString("| pods | callers | pods/s without | with | p50 without | with | p99 without | with | injector CPU per pod without | with |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, l := range r.Loads {
		fmt.Fprintf(&b, "| %s | %d | %.0f | %.0f | %.2f | %.2f | %.2f | %.2f | %.0f µs | %.0f µs |\n", l.Kind, l.Callers, rate(l.Without), rate(l.With),
			pooled(l.Without, 0.5), pooled(l.With, 0.5), pooled(l.Without, 0.99), pooled(l.With, 0.99), cpu(l.Without), cpu(l.With))
	}
	b.WriteString("\nWhat the webhook adds, mean of the differences within each round, and where it lies with 95 % confidence; ms:\n\n")
	b.WriteString("| pods | callers | added p50 | 95 % | added p99 | 95 % | pods/s with/without |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, l := range r.Loads {
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %.2f |\n", l.Kind, l.Callers, added(l, 0.5), added(l, 0.99), stats.Median(l.paired(func(with, without Block) float64 {
			return with.rate() / without.rate()
		})))
	}
	return b.String()
}

// added is a difference and its interval, as two cells.
func added(l Load, share float64) string {
	all := l.paired(func(with, without Block) float64 { return with.quantile(share) - without.quantile(share) })
	at, ok := stats.MeanInterval(all, seed)
	if !ok {
		return fmt.Sprintf("%+.2f | -", stats.TrimmedMean(all))
	}
	return fmt.Sprintf("%+.2f | %+.2f…%+.2f", stats.TrimmedMean(all), at.Low, at.High)
}

// paired compares the sides within each round.
func (l Load) paired(of func(with, without Block) float64) []float64 {
	all := make([]float64, len(l.With))
	for i := range all {
		all[i] = of(l.With[i], l.Without[i])
	}
	return all
}

// quantile is in ms; NaN where there is nothing.
func (b Block) quantile(share float64) float64 { return quantile(b.Latencies, share) }

func (b Block) rate() float64 { return float64(len(b.Latencies)) / b.Took.Seconds() }

// rate is the median of the blocks.
func rate(blocks []Block) float64 {
	all := make([]float64, len(blocks))
	for i, b := range blocks {
		all[i] = b.rate()
	}
	return stats.Median(all)
}

// pooled is a quantile of all blocks together: one block has too few pods for a p99.
func pooled(blocks []Block, share float64) float64 {
	var all []time.Duration
	for _, b := range blocks {
		all = append(all, b.Latencies...)
	}
	slices.Sort(all)
	return quantile(all, share)
}

// quantile is the least latency, in ms, that so large a share does not exceed.
func quantile(sorted []time.Duration, share float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := int(math.Ceil(share*float64(len(sorted)))) - 1
	return sorted[max(0, at)].Seconds() * 1e3
}

// cpu is what the injector's process used for each pod, in µs.
func cpu(blocks []Block) float64 {
	var sum time.Duration
	var pods int
	for _, b := range blocks {
		sum, pods = sum+b.CPU, pods+len(b.Latencies)
	}
	return sum.Seconds() * 1e6 / float64(pods)
}
