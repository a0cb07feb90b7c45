package pattern

import (
	"errors"
	"math"
	"slices"
)

// An Automaton finds texts of many owners in one pass (Aho and Corasick). It is
// immutable. Case counts for nothing.
type Automaton struct {
	// class is the column of a byte; bytes that no text has share column 0.
	class [256]uint8
	// width is the number of columns.
	width int
	// next is the table: state times width plus column.
	next []uint16
	// owners of the texts that end in a state: those from first on have some.
	first  uint16
	owners []Bits
}

// A Text is looked for on behalf of its owner.
type Text struct {
	Text  string
	Owner int
}

var errStates = errors.New("the texts make too many states")

// NewAutomaton builds one; owners are numbered below their count.
func NewAutomaton(texts []Text, owners int) (*Automaton, error) {
	t := newTrie(texts)
	for _, text := range texts {
		t.insert(text, owners)
	}
	if len(t.nodes) > math.MaxUint16 {
		return nil, errStates
	}
	return t.automaton(), nil
}

// Find adds the owners of all texts in a value to the hits.
func (a *Automaton) Find(value []byte, hits Bits) {
	state, width := uint16(0), a.width
	for _, c := range value {
		state = a.next[int(state)*width+int(a.class[c])]
		if state >= a.first {
			hits.Or(a.owners[state-a.first])
		}
	}
}

// Size is how much memory it takes, in bytes.
func (a *Automaton) Size() int {
	n := 2 * len(a.next)
	for _, o := range a.owners {
		n += 24 + 8*len(o)
	}
	return n
}

type node struct {
	next   []int32 // by column; -1 for none
	fail   int32
	owners Bits
}

type trie struct {
	class [256]uint8
	width int
	nodes []node
}

func newTrie(texts []Text) *trie {
	t := &trie{width: 1}
	for _, text := range texts {
		for i := range len(text.Text) {
			if c := lower(text.Text[i]); t.class[c] == 0 {
				t.class[c] = uint8(t.width) //nolint:gosec // G115: at most 230 bytes are in lower case
				t.width++
			}
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		t.class[c] = t.class[lower(byte(c))]
	}
	t.add()
	return t
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func (t *trie) add() int32 {
	n := node{next: make([]int32, t.width)}
	for i := range n.next {
		n.next[i] = -1
	}
	t.nodes = append(t.nodes, n)
	return int32(len(t.nodes) - 1) //nolint:gosec // G115: bounded by the texts
}

func (t *trie) insert(text Text, owners int) {
	at := int32(0)
	for i := range len(text.Text) {
		c := t.class[text.Text[i]]
		if t.nodes[at].next[c] < 0 {
			t.nodes[at].next[c] = t.add()
		}
		at = t.nodes[at].next[c]
	}
	if t.nodes[at].owners == nil {
		t.nodes[at].owners = NewBits(owners)
	}
	t.nodes[at].owners.Set(text.Owner)
}

// link fills the table: where a state has no way on, the longest end of what led
// to it goes on. It returns the states in order of their depth.
func (t *trie) link() []int32 {
	order := []int32{0}
	for head := 0; head < len(order); head++ {
		at := order[head]
		n := &t.nodes[at]
		for c, to := range n.next {
			back := int32(0)
			if at != 0 {
				back = t.nodes[n.fail].next[c]
			}
			if to < 0 {
				n.next[c] = back
				continue
			}
			t.nodes[to].fail = back
			if o := t.nodes[back].owners; o != nil {
				if t.nodes[to].owners == nil {
					t.nodes[to].owners = make(Bits, len(o))
				}
				t.nodes[to].owners.Or(o)
			}
			order = append(order, to)
		}
	}
	return order
}

// automaton numbers the states so that those with owners come last.
func (t *trie) automaton() *Automaton {
	order := t.link()
	slices.SortStableFunc(order, func(x, y int32) int { return t.hasOwner(x) - t.hasOwner(y) })
	number := make([]uint16, len(order))
	for i, at := range order {
		number[at] = uint16(i)
	}
	a := &Automaton{class: t.class, width: t.width, first: math.MaxUint16}
	a.next = make([]uint16, 0, len(order)*t.width)
	for i, at := range order {
		for _, to := range t.nodes[at].next {
			a.next = append(a.next, number[to])
		}
		if o := t.nodes[at].owners; o != nil {
			a.first = min(a.first, uint16(i))
			a.owners = append(a.owners, o)
		}
	}
	return a
}

func (t *trie) hasOwner(at int32) int {
	if t.nodes[at].owners != nil {
		return 1
	}
	return 0
}
