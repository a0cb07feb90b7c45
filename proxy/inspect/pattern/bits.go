package pattern

import "math/bits"

// Bits is a set of small numbers.
type Bits []uint64

// NewBits returns an empty set for numbers below n.
func NewBits(n int) Bits { return make(Bits, (n+63)/64) }

// Set adds a number.
func (b Bits) Set(n int) { b[n/64] |= 1 << (n % 64) }

// Has tells whether a number is in the set.
func (b Bits) Has(n int) bool { return b[n/64]&(1<<(n%64)) != 0 }

// Or adds the numbers of another set.
func (b Bits) Or(o Bits) {
	for i := range o {
		b[i] |= o[i]
	}
}

// And keeps the numbers that are in another set, too.
func (b Bits) And(o Bits) {
	for i := range b {
		b[i] &= o[i]
	}
}

// Empty tells whether there is none.
func (b Bits) Empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

// Each calls yield with every number until it returns false.
func (b Bits) Each(yield func(int) bool) {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			if !yield(i*64 + bits.TrailingZeros64(w)) {
				return
			}
		}
	}
}
