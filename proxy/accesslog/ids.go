package accesslog

import (
	"crypto/rand"
	"sync/atomic"
)

const (
	// idPart is how many characters the prefix and the counter of an id have.
	// Ten characters of five bits are 50 bits: two sidecars of a fleet of
	// 10,000 share a prefix once in 20 million fleets, and a counter that
	// serves a million requests a second wraps after 35 years.
	idPart = 10
	idSize = 2 * idPart
	// idDigits are in the order of their bytes, so that ids of one process
	// sort by when they were made, and hold no upper case, so that nobody has
	// to ask which one it is on the phone.
	idDigits = "0123456789abcdefghijklmnopqrstuv"
)

// IDs makes decision ids: 20 characters that are unique, and sort in the order
// in which this process made them. They carry no secret, but whoever sees two
// can tell how many were made in between.
type IDs struct {
	prefix [idPart]byte
	last   atomic.Uint64
}

// NewIDs returns a generator with a random prefix.
func NewIDs() *IDs {
	ids := &IDs{}
	_, _ = rand.Read(ids.prefix[:]) // never fails, see crypto/rand
	for i, b := range ids.prefix {
		ids.prefix[i] = idDigits[b%32]
	}
	return ids
}

// Next returns a new id. The string is its only allocation.
func (ids *IDs) Next() string {
	var buf [idSize]byte
	return string(ids.Append(buf[:0]))
}

// Append appends a new id to dst and returns the extended slice.
func (ids *IDs) Append(dst []byte) []byte {
	n := ids.last.Add(1)
	dst = append(dst, ids.prefix[:]...)
	for shift := 5 * (idPart - 1); shift >= 0; shift -= 5 {
		dst = append(dst, idDigits[n>>shift&31])
	}
	return dst
}
