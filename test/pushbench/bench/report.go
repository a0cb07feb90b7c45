package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/outrider-mesh/outrider/test/page"
)

// A report is what was measured.
type report struct {
	Rounds int
	Empty  state
	Sizes  []size
}

// A size is what was measured with so many sidecars.
type size struct {
	Sidecars int
	State    state
	CPU      time.Duration
	Changes  []measured
}

// measured is a change that was made several times.
type measured struct {
	Change   string
	Affected int
	Rounds   []answer
}

// median is the middle of what the rounds say.
func (m measured) median(of func(answer) float64) float64 {
	all := make([]float64, len(m.Rounds))
	for i, r := range m.Rounds {
		all[i] = of(r)
	}
	slices.Sort(all)
	n := len(all)
	if n == 0 {
		return 0
	}
	return (all[(n-1)/2] + all[n/2]) / 2
}

func part() page.Part {
	return page.Part{
		Begin: "<!-- bench-push: begin. Written by make bench-push; do not edit. -->",
		End:   "<!-- bench-push: end -->",
	}
}

func (r *report) publish(o options, out io.Writer) error {
	text := r.tables()
	if o.json != "" {
		raw, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, raw, 0o600); err != nil {
			return err
		}
	}
	if o.markdown != "" {
		if err := part().Write(o.markdown, text); err != nil {
			return err
		}
	}
	_, err := io.WriteString(out, text)
	return err
}

// tables is the report as Markdown.
func (r *report) tables() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d processors, %s. A cluster of %d pods, %d services and %d endpoints, with %d policies;\nmedians of %d rounds.\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), runtime.Version(), pods, services, endpoints, services+2, r.Rounds)
	b.WriteString("| sidecars | change | concerns | to 99 % | to all | CPU of the control plane | per sidecar concerned | bytes per sidecar |\n|--:|---|--:|--:|--:|--:|--:|--:|\n")
	for _, s := range r.Sizes {
		for _, m := range s.Changes {
			cpu := m.median(func(a answer) float64 { return a.CPU.Seconds() * 1e3 })
			fmt.Fprintf(&b, "| %d | %s | %d | %.0f ms | %.0f ms | %.1f ms | %.0f µs | %.0f |\n", s.Sidecars, m.Change, m.Affected,
				m.median(func(a answer) float64 { return a.To99.Seconds() * 1e3 }), m.median(func(a answer) float64 { return a.ToAll.Seconds() * 1e3 }),
				cpu, cpu*1e3/float64(max(1, m.Affected)), m.median(func(a answer) float64 { return a.Bytes / max(1, a.Responses) }))
		}
	}
	const mebibyte, kibibyte = 1 << 20, 1 << 10
	b.WriteString("\n| sidecars | resident | per sidecar | of that heap | stacks | goroutines |\n|--:|--:|--:|--:|--:|--:|\n")
	for _, s := range r.Sizes {
		n := float64(s.Sidecars)
		fmt.Fprintf(&b, "| %d | %.0f MiB | %.0f KiB | %.0f KiB | %.0f KiB | %d |\n", s.Sidecars, float64(s.State.RSS)/mebibyte,
			grown(s.State.RSS, r.Empty.RSS)/n/kibibyte, grown(s.State.Heap, r.Empty.Heap)/n/kibibyte, grown(s.State.Stacks, r.Empty.Stacks)/n/kibibyte, s.State.Goroutines)
	}
	fmt.Fprintf(&b, "\nInformers and model keep %.1f MiB of the cluster. Resident without a sidecar are %.0f MiB, most of it\nthe made-up API server, which is in the same process.\n",
		float64(r.Empty.Model)/mebibyte, float64(r.Empty.RSS)/mebibyte)
	return b.String()
}

func grown(now, before uint64) float64 { return float64(now) - float64(before) }
