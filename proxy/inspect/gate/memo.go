package gate

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

const (
	// memoSlots bounds the fields that are remembered. Services send some tens of
	// different ones that do not change, beside some that always do, which push
	// others out.
	memoSlots = 1 << 11
	// memoBytes is the longest field that is remembered, so that all of them take
	// 1 MiB at most.
	memoBytes = 512
	// memoWays is how many places a field may have.
	memoWays = 2
)

// A memo remembers header fields that were found clean. The places depend on a seed
// of the process, so that nobody outside can choose what is pushed out.
type memo struct {
	seed  maphash.Seed
	slots [memoSlots]atomic.Pointer[field]
}

func newMemo() *memo { return &memo{seed: maphash.MakeSeed()} }

func (m *memo) place(f field) uint64 {
	return maphash.String(m.seed, f.value) ^ maphash.String(m.seed, f.name)*3
}

// has tells whether a field is remembered; names and values are compared in full.
func (m *memo) has(f field) bool {
	h := m.place(f)
	for i := range uint64(memoWays) {
		if old := m.slots[(h+i)%memoSlots].Load(); old != nil && *old == f {
			return true
		}
	}
	return false
}

// add remembers a field instead of another.
func (m *memo) add(f field) {
	if len(f.name)+len(f.value) > memoBytes {
		return
	}
	h := m.place(f)
	copied := &field{strings.Clone(f.name), strings.Clone(f.value)}
	for i := range uint64(memoWays) {
		if m.slots[(h+i)%memoSlots].CompareAndSwap(nil, copied) {
			return
		}
	}
	// The low bits choose the slot, so others choose which of them is overwritten.
	m.slots[(h+h>>60%memoWays)%memoSlots].Store(copied)
}
