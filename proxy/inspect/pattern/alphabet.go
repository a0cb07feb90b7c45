package pattern

import (
	"bytes"
	"errors"
	"slices"
)

// A Set is a set of bytes.
type Set [256]bool

// SetOf returns the set of the bytes of s.
func SetOf(s string) Set {
	var set Set
	for i := range len(s) {
		set[s[i]] = true
	}
	return set
}

// SetOfRange returns the bytes from first to last.
func SetOfRange(first, last byte) Set {
	var set Set
	for c := int(first); c <= int(last); c++ {
		set[c] = true
	}
	return set
}

// A Mask holds one bit for each class of an [Alphabet].
type Mask uint64

// An Alphabet sorts bytes into at most 64 classes, so that the kinds of bytes in a
// value are one number. It is immutable.
type Alphabet struct {
	bits [256]Mask
	// Foreign are the bytes that ASCII does not have.
	Foreign Mask
	// All has every class.
	All Mask
}

var errClasses = errors.New("the sets of bytes make more than 64 classes")

// NewAlphabet makes classes such that each of the sets is a union of them. Beyond
// that the letters are one class, the digits one, most control characters one, the
// bytes beyond ASCII one, and each mark is its own.
func NewAlphabet(sets ...Set) (*Alphabet, error) {
	sets = append(basicSets(), sets...)
	var classOf [256]int
	count := 1
	for _, set := range sets {
		split := map[int]int{} // a class to its part inside the set
		for c := range 256 {
			if !set[c] {
				continue
			}
			part, ok := split[classOf[c]]
			if !ok {
				part = count
				count++
				split[classOf[c]] = part
			}
			classOf[c] = part
		}
	}
	return number(classOf)
}

// number gives the classes in use numbers from 0.
func number(classOf [256]int) (*Alphabet, error) {
	used := slices.Compact(slices.Sorted(slices.Values(classOf[:])))
	if len(used) > 64 {
		return nil, errClasses
	}
	a := &Alphabet{}
	for c := range 256 {
		n, _ := slices.BinarySearch(used, classOf[c])
		a.bits[c] = 1 << n
		a.All |= a.bits[c]
		if c >= 0x80 {
			a.Foreign |= a.bits[c]
		}
	}
	return a, nil
}

func basicSets() []Set {
	letters := SetOfRange('a', 'z')
	for c := 'A'; c <= 'Z'; c++ {
		letters[c] = true
	}
	sets := []Set{letters, SetOfRange('0', '9'), SetOfRange(0x80, 0xff), SetOf("\x00"), SetOf("\n"), SetOf("\r"), SetOf("\t\v\f")}
	for c := byte(' '); c < 0x7f; c++ {
		if !letters[c] && (c < '0' || c > '9') {
			sets = append(sets, SetOf(string(c)))
		}
	}
	return sets
}

// Of returns the classes of a value's bytes.
func (a *Alphabet) Of(value []byte) Mask {
	var m Mask
	for _, c := range value {
		m |= a.bits[c]
	}
	return m
}

// Bytes returns the classes of these bytes.
func (a *Alphabet) Bytes(s string) Mask { return a.Of([]byte(s)) }

// Set returns the classes that a set has bytes of.
func (a *Alphabet) Set(set *Set) Mask {
	var m Mask
	for c := range 256 {
		if set[c] {
			m |= a.bits[c]
		}
	}
	return m
}

// Folds tells whether a value has a character beyond ASCII that folds into ASCII
// where case counts for nothing: K, the Kelvin sign, or the long s. An [Automaton]
// does not see them.
func Folds(value []byte) bool {
	return bytes.Contains(value, []byte("\u212a")) || bytes.Contains(value, []byte("\u017f"))
}
