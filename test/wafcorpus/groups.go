package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/loadtest/stats"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
)

// A group is the benign samples of one kind of API.
type group struct {
	all, stock, mesh int
	// by counts what the stopped ones were stopped by: a detector or a rule.
	by map[string]int
}

// grouped sorts benign samples by their names up to the last slash.
func grouped(results []result) map[string]*group {
	groups := map[string]*group{}
	for i := range results {
		r := &results[i]
		if r.sample.Label != corpus.Benign {
			continue
		}
		name := path.Dir(r.sample.ID)
		if groups[name] == nil {
			groups[name] = &group{by: map[string]int{}}
		}
		groups[name].add(r)
	}
	return groups
}

func (g *group) add(r *result) {
	g.all++
	if r.stock() {
		g.stock++
	}
	if r.mesh() {
		g.mesh++
		g.by[r.culprit()]++
	}
}

// culprit is what stopped a sample: the heaviest detector, else the first rule.
func (r *result) culprit() string {
	if len(r.verdict.Findings) > 0 {
		heaviest := slices.MaxFunc(r.verdict.Findings, func(a, b evidence.Finding) int { return cmp.Compare(a.Kind.Weight(), b.Kind.Weight()) })
		return heaviest.Kind.Name()
	}
	for _, id := range r.known.Mesh.Rules {
		return fmt.Sprint(id)
	}
	return "unknown"
}

// byGroup prints a line for each group, and one for all.
func byGroup(w io.Writer, results []result) error {
	groups := grouped(results)
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "\ngroup\tbenign\tstock\tmesh\t\t95 %%\tby\n")
	total := group{by: map[string]int{}}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		g := groups[name]
		g.line(out, name)
		total.join(g)
	}
	total.line(out, "all")
	return out.Flush()
}

func (g *group) join(other *group) {
	g.all, g.stock, g.mesh = g.all+other.all, g.stock+other.stock, g.mesh+other.mesh
	for culprit, n := range other.by {
		g.by[culprit] += n
	}
}

func (g *group) line(w io.Writer, name string) {
	in := stats.Proportion(g.mesh, g.all)
	var by []string
	for _, culprit := range slices.Sorted(maps.Keys(g.by)) {
		by = append(by, fmt.Sprintf("%s %d", culprit, g.by[culprit]))
	}
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.2f %%\t%.2f–%.2f\t%s\n", name, g.all, g.stock, g.mesh,
		100*float64(g.mesh)/float64(max(g.all, 1)), 100*in.Low, 100*in.High, strings.Join(by, ", "))
}
