package attack

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
)

// How much of each list a person is shown; all of it is in the JSON.
const (
	mostListed = 10
	mostGroups = 24
	// widest is where a request is cut on a terminal, in bytes.
	widest = 80
)

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	p := &page{}
	p.head(r)
	p.outcomes(r)
	p.groups(r.Groups)
	p.rules(r.Rules)
	p.latency(r)
	p.list("Attacks that passed", r.Missed)
	p.list("Benign requests that were stopped", r.Alarms)
	p.list("Refused, not by the WAF's verdict", r.Refused)
	p.list("Answers that say nothing, or none", r.Unclear)
	p.unreadable(r.Corpus)
	p.verdicts(r)
	if _, err := io.WriteString(w, p.b.String()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

type page struct{ b strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

// table writes rows whose columns are aligned; fill separates columns by tabs.
func (p *page) table(flags uint, fill func(w io.Writer)) {
	w := tabwriter.NewWriter(&p.b, 0, 0, 2, ' ', flags)
	fill(w)
	w.Flush()
	p.line("")
}

func (p *page) head(r *Report) {
	c := r.Corpus
	p.line("%s and %s sent to %s over %s in %s",
		count(c.Attacks, "attack"), count(c.Benign, "benign request"), r.Settings.URL, count(r.Settings.Connections, "connection"),
		time.Duration(r.Seconds*float64(time.Second)).Round(100*time.Millisecond))
	if r.Settings.Judged != "answers" {
		p.line("judged by what the access log says that the WAF found")
	}
	p.line("")
	p.table(0, func(w io.Writer) {
		fmt.Fprintf(w, "\tstopped\trate\t95 %% interval\n")
		fmt.Fprintf(w, "attacks (detection)\t%s\n", share(r.Detection))
		fmt.Fprintf(w, "benign (false positives)\t%s\n", share(r.FalseAlarms))
	})
}

func (p *page) outcomes(r *Report) {
	attacks, benign := r.Outcomes[corpus.Attack], r.Outcomes[corpus.Benign]
	p.table(tabwriter.AlignRight, func(w io.Writer) {
		fmt.Fprintf(w, "\tattacks\tbenign\t\n")
		for _, o := range outcomes() {
			if n, m := attacks[o], benign[o]; n+m > 0 || o == Passed || o == Blocked {
				fmt.Fprintf(w, "%s\t%d\t%d\t\n", o, n, m)
			}
		}
		for _, status := range statuses(r) {
			fmt.Fprintf(w, "status %d\t%d\t%d\t\n", status, r.Statuses[corpus.Attack][status], r.Statuses[corpus.Benign][status])
		}
	})
	if r.Corpus.Adjusted > 0 {
		p.line("%s held bytes that cannot be sent and were escaped\n", count(r.Corpus.Adjusted, "sample"))
	}
}

func statuses(r *Report) []int {
	all := maps.Clone(r.Statuses[corpus.Attack])
	maps.Copy(all, r.Statuses[corpus.Benign])
	return slices.Sorted(maps.Keys(all))
}

func (p *page) groups(all []Group) {
	for _, by := range []string{"tag", "directory"} {
		some := slices.DeleteFunc(slices.Clone(all), func(g Group) bool { return g.By != by })
		switch {
		case len(some) == 0:
			continue
		case len(some) > mostGroups:
			p.line("by %s: %d of them, see the JSON report\n", by, len(some))
			continue
		}
		p.table(0, func(w io.Writer) {
			fmt.Fprintf(w, "%s\tattacks\trate\t95 %% interval\tbenign\trate\t95 %% interval\n", by)
			for _, g := range some {
				fmt.Fprintf(w, "%s\t%s\t%s\n", g.Name, share(g.Detection), share(g.FalseAlarms))
			}
		})
	}
}

func (p *page) rules(all []Rule) {
	if len(all) == 0 {
		return
	}
	p.table(tabwriter.AlignRight, func(w io.Writer) {
		fmt.Fprintf(w, "rule\tattacks\tbenign\t\n")
		for _, rule := range all[:min(mostListed, len(all))] {
			fmt.Fprintf(w, "%d\t%d\t%d\t\n", rule.ID, rule.Attacks, rule.Benign)
		}
	})
	p.more(len(all), "rule")
}

func (p *page) latency(r *Report) {
	if l := r.Latency; l.Count > 0 {
		p.line("latency of benign requests: p50 %s, p90 %s, p99 %s, longest %s", duration(l.P50), duration(l.P90), duration(l.P99), duration(l.Max))
		p.line("")
	}
	if len(r.Slowest) == 0 {
		return
	}
	p.line("Slowest")
	p.table(0, func(w io.Writer) {
		for _, e := range r.Slowest {
			inspected := ""
			if e.InspectMicros > 0 {
				inspected = duration(float64(e.InspectMicros)) + " of it inspected"
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", duration(e.Micros), inspected, e.ID, request(e))
		}
	})
}

func (p *page) list(title string, all []Entry) {
	if len(all) == 0 {
		return
	}
	p.line("%s", title)
	p.table(0, func(w io.Writer) {
		for _, e := range all[:min(mostListed, len(all))] {
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", e.ID, e.Label, about(e), request(e))
		}
	})
	p.more(len(all), "sample")
}

// more says what a list has left out, in place of the empty line behind it.
func (p *page) more(n int, what string) {
	if n <= mostListed {
		return
	}
	text := strings.TrimSuffix(p.b.String(), "\n")
	p.b.Reset()
	p.b.WriteString(text)
	p.line("  and %s more\n", count(n-mostListed, what))
}

func (p *page) unreadable(c Contents) {
	if len(c.Unreadable) > 0 {
		p.line("%s could not be read", count(len(c.Unreadable), "sample"))
		for _, problem := range c.Unreadable[:min(mostListed, len(c.Unreadable))] {
			p.line("  %s", problem)
		}
		p.line("")
		p.more(len(c.Unreadable), "sample")
	}
	if len(c.Ignored) > 0 {
		p.line("%s no samples: %s\n", plural(len(c.Ignored), "file is", "files are"), abridged(c.Ignored))
	}
}

func (p *page) verdicts(r *Report) {
	for _, d := range r.Doubts {
		p.line("note: %s", d)
	}
	if r.Inconclusive != "" {
		p.line("INCONCLUSIVE: %s", r.Inconclusive)
	}
	for _, g := range r.Gates {
		note := ""
		if g.Note != "" {
			note = ": " + g.Note
		}
		p.line("%s %s%s", verdict(g.Verdict), bound(g), note)
	}
}
