package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/outrider-mesh/outrider/loadtest/attack/corpus"
)

// byTag compares stock rules and mesh profile for each tag that samples of a label have:
// whoever assembled a corpus says with tags what class an attack is of, where in the
// request it stands and which list it is from.
func byTag(w io.Writer, results []result, label corpus.Label) {
	members := map[string][]int{}
	for i := range results {
		if results[i].sample.Label != label {
			continue
		}
		for _, tag := range results[i].sample.Tags {
			members[tag] = append(members[tag], i)
		}
	}
	if len(members) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s by tag\tstock\t\t95 %%\tmesh\t\t95 %%\tstock alone\tmesh alone\n", label)
	for _, tag := range slices.Sorted(maps.Keys(members)) {
		all := members[tag]
		stock := func(n int) bool { return results[all[n]].stock() }
		mesh := func(n int) bool { return results[all[n]].mesh() }
		every := func(int) bool { return true }
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\n", tag, shareOf(len(all), every, stock), shareOf(len(all), every, mesh),
			count(len(all), func(n int) bool { return stock(n) && !mesh(n) }),
			count(len(all), func(n int) bool { return mesh(n) && !stock(n) }))
	}
}

func count(n int, of func(int) bool) int {
	sum := 0
	for i := range n {
		if of(i) {
			sum++
		}
	}
	return sum
}

// onlyStock lists the rules by which stock rules stop attacks that the mesh profile does
// not, the most frequent first.
func onlyStock(w io.Writer, results []result) {
	times := map[int]int{}
	for i := range results {
		r := &results[i]
		if !r.attack() || !r.stock() || r.mesh() {
			continue
		}
		for _, id := range r.known.Stock.Rules {
			times[id]++
		}
	}
	if len(times) == 0 {
		return
	}
	rules := slices.SortedFunc(maps.Keys(times), func(a, b int) int {
		if times[a] != times[b] {
			return times[b] - times[a]
		}
		return a - b
	})
	fmt.Fprintf(w, "\nrules in attacks that stock alone stops\tattacks\n")
	for _, id := range rules[:min(len(rules), 40)] {
		fmt.Fprintf(w, "%d\t%d\n", id, times[id])
	}
}
