package lexicon

import "strings"

// The hash is FNV-1a over the word in lower case.
const (
	seed  = 2166136261
	prime = 16777619
)

// slots is a power of two, several times the number of words, so that most words
// that are in no group meet an empty slot at once.
const slots = 4096

// A dictionary has the words of all groups, by hash, with linear probing. It takes
// 30 KiB.
type dictionary struct {
	// slots are numbers of entries, 1 and up; 0 where there is none.
	slots [slots]uint16
	// entries begins with one that is none.
	entries           []item
	shortest, longest int
}

type item struct {
	word   string
	groups Group
}

var words = build()

func build() *dictionary {
	d := &dictionary{entries: make([]item, 1, slots/4), shortest: slots}
	for _, l := range lists() {
		for word := range strings.FieldsSeq(l.words) {
			d.insert(word, l.group)
			d.shortest, d.longest = min(d.shortest, len(word)), max(d.longest, len(word))
		}
	}
	return d
}

func (d *dictionary) insert(word string, g Group) {
	for i := hash(word) % slots; ; i = (i + 1) % slots {
		if d.slots[i] == 0 {
			d.slots[i] = uint16(len(d.entries)) //nolint:gosec // there are fewer words than slots, or this never ends
			d.entries = append(d.entries, item{word, g})
			return
		}
		if e := &d.entries[d.slots[i]]; e.word == word {
			e.groups |= g
			return
		}
	}
}

func hash(word string) uint32 {
	h := uint32(seed)
	for i := range len(word) {
		h = (h ^ uint32(word[i]|0x20)) * prime
	}
	return h
}

// lookup finds the groups of a word; h is its hash.
func (d *dictionary) lookup(word string, h uint32) Group {
	if len(word) < d.shortest || len(word) > d.longest {
		return 0
	}
	for i := h % slots; d.slots[i] != 0; i = (i + 1) % slots {
		if e := &d.entries[d.slots[i]]; EqualFold(word, e.word) {
			return e.groups
		}
	}
	return 0
}

// Groups are those of one word, in any case.
func Groups(word string) Group { return words.lookup(word, hash(word)) }

// EqualFold compares a word in any case with one in lower case.
func EqualFold(word, lower string) bool {
	if len(word) != len(lower) {
		return false
	}
	for i := range len(word) {
		if Lower(word[i]) != lower[i] {
			return false
		}
	}
	return true
}
