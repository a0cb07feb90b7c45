package authz

import "slices"

// leafSize is from how many rules on another index beats trying each: a rule
// that does not match costs about 20 ns, a look into an index twice that.
const leafSize = 8

// A dimension is one fact of a request by which rules can be told apart.
type dimension uint8

const (
	byIdentity dimension = iota
	byPort
	byPath
	byMethod
	dimensions
)

// A node is a set of rules, and perhaps a way to the few of them that may
// concern a request.
type node struct {
	// rules are positions in the table, ascending; never empty.
	rules []int32
	split *split
}

// A split divides the rules of a node by one dimension.
type split struct {
	dim dimension
	// kinds has a bit for each kind among the keys.
	kinds    uint16
	children map[key]*node
	// rest are the rules that name no key; nil if there are none.
	rest *node
}

// An indexer builds nodes for the rules of a table.
type indexer struct{ rules []rule }

// node makes a node of the rules at the positions, divided by the dimension
// that leaves the fewest to try, if any does.
func (x indexer) node(positions []int32, unused []dimension) *node {
	n := &node{rules: positions}
	if len(positions) <= leafSize {
		return n
	}
	fewest, best := len(positions), -1
	var groups map[key][]int32
	var rest []int32
	for i, d := range unused {
		by, others := x.divide(positions, d)
		if most := largest(by) + len(others); len(by) > 0 && most < fewest {
			fewest, best, groups, rest = most, i, by, others
		}
	}
	if best < 0 {
		return n
	}
	n.split = &split{dim: unused[best], children: make(map[key]*node, len(groups))}
	left := slices.Delete(slices.Clone(unused), best, best+1)
	for k, list := range groups {
		n.split.kinds |= 1 << k.kind
		n.split.children[k] = x.node(list, left)
	}
	if len(rest) > 0 {
		n.split.rest = x.node(rest, left)
	}
	return n
}

func largest(groups map[key][]int32) (most int) {
	for _, list := range groups {
		most = max(most, len(list))
	}
	return most
}

// divide groups the rules by their keys; rest are those without.
func (x indexer) divide(positions []int32, d dimension) (groups map[key][]int32, rest []int32) {
	groups = make(map[key][]int32)
	for _, n := range positions {
		keys := x.rules[n].keys(d)
		if len(keys) == 0 {
			rest = append(rest, n)
		}
		for _, k := range keys {
			if list := groups[k]; len(list) == 0 || list[len(list)-1] != n {
				groups[k] = append(list, n)
			}
		}
	}
	return groups, rest
}
