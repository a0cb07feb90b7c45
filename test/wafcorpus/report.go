package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
	"github.com/outrider-mesh/outrider/loadtest/stats"
)

// An engine says of a result whether it was stopped.
type judged struct {
	name string
	by   func(i int) bool
}

// report prints everything.
func report(w io.Writer, results []result, family []int) error {
	held := crossValidate(results, family)
	engines := []judged{
		{"stock rules, paranoia 1", func(i int) bool { return results[i].stock() }},
		{"detectors alone", func(i int) bool { return results[i].detectors() }},
		{"mesh profile", func(i int) bool { return results[i].mesh() }},
		{"mesh with a learned list, cross-validated", func(i int) bool { return held[i] }},
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "\nengine\tdetection\t\t95 %%\tfalse positives\t\t95 %%\n")
	for _, e := range engines {
		fmt.Fprintf(out, "%s\t%s\t%s\n", e.name, share(results, corpus.Attack, e.by), share(results, corpus.Benign, e.by))
	}
	byFamily(out, results, family, engines)
	byClass(out, results, engines)
	byTag(out, results, corpus.Attack)
	byTag(out, results, corpus.Benign)
	onlyStock(out, results)
	return out.Flush()
}

// share is of how many samples of a label an engine stopped.
func share(results []result, label corpus.Label, stopped func(int) bool) string {
	return shareOf(len(results), func(i int) bool { return results[i].sample.Label == label }, stopped)
}

func shareOf(n int, of, stopped func(int) bool) string {
	hit, all := 0, 0
	for i := range n {
		if of(i) {
			all++
			if stopped(i) {
				hit++
			}
		}
	}
	in := stats.Proportion(hit, all)
	return fmt.Sprintf("%d of %d\t%.2f %%\t%.2f–%.2f", hit, all, 100*float64(hit)/float64(max(all, 1)), 100*in.Low, 100*in.High)
}

// byFamily counts each family of attacks once, by the share of it that was stopped, so
// that many copies of one attack don't count more than it does.
func byFamily(w io.Writer, results []result, family []int, engines []judged) {
	members := map[int][]int{}
	for i := range results {
		if results[i].attack() {
			members[family[i]] = append(members[family[i]], i)
		}
	}
	fmt.Fprintf(w, "\n%d families of attacks\tmean share stopped\t\tnone stopped\n", len(members))
	for _, e := range engines {
		sum, missed := 0.0, 0
		for _, all := range members {
			hit := 0
			for _, i := range all {
				if e.by(i) {
					hit++
				}
			}
			sum += float64(hit) / float64(len(all))
			if hit == 0 {
				missed++
			}
		}
		fmt.Fprintf(w, "%s\t%.1f %%\t\t%d\n", e.name, 100*sum/float64(max(len(members), 1)), missed)
	}
}

func byClass(w io.Writer, results []result, engines []judged) {
	named := map[string]bool{}
	for i := range results {
		if results[i].attack() {
			named[results[i].class()] = true
		}
	}
	for _, e := range engines[:3] {
		fmt.Fprintf(w, "\n%s\tdetection\t\t95 %%\n", e.name)
		for _, name := range slices.Sorted(maps.Keys(named)) {
			of := func(i int) bool { return results[i].attack() && results[i].class() == name }
			fmt.Fprintf(w, "%s\t%s\n", name, shareOf(len(results), of, e.by))
		}
	}
}

// writeMisses lists what was judged wrongly, by its name and what was found in it.
func writeMisses(path string, results []result) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the misses: %w", err)
	}
	w := bufio.NewWriter(f)
	for i := range results {
		r := &results[i]
		if r.mesh() == r.attack() {
			continue
		}
		var found []string
		for _, x := range r.findings {
			found = append(found, x.Kind.Name()+" "+x.Location)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%v\t%s\n", r.sample.Label, r.sample.ID, r.verdict.Score, r.known.Heard, strings.Join(found, ", "))
	}
	return cmp.Or(w.Flush(), f.Close())
}
