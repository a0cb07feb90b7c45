package watch

import (
	"fmt"
	"os"
	"slices"
	"strconv"
)

// Tree returns the process and all its descendants, in ascending order of
// process id. It is one look at a changing world: call it once the program has
// started its workers.
func Tree(root int) ([]int, error) {
	if _, err := ReadStat(root); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []Stat
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// A process that ended since the listing is none of ours.
		if stat, err := ReadStat(pid); err == nil {
			all = append(all, stat)
		}
	}
	return descendants(root, all), nil
}

// descendants returns root and everything below it.
func descendants(root int, all []Stat) []int {
	children := make(map[int][]int)
	for _, s := range all {
		children[s.Parent] = append(children[s.Parent], s.PID)
	}
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	slices.Sort(tree)
	return tree
}
