package pattern

import (
	"slices"
	"sync"
)

// A Budget bounds the memory of the states of many Matchers, in bytes. When it is used
// up all states are forgotten, and made anew by the values that come then.
type Budget struct {
	total int64

	mu       sync.Mutex // guards what follows
	left     int64
	matchers []*Matcher
}

// NewBudget returns one of so many bytes.
func NewBudget(bytes int64) *Budget { return &Budget{total: bytes, left: bytes} }

func (b *Budget) add(m *Matcher) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.matchers = append(b.matchers, m)
}

// take tells whether there is room; without any it makes some for the next.
func (b *Budget) take(bytes int64) bool {
	b.mu.Lock()
	if b.left >= bytes {
		b.left -= bytes
		b.mu.Unlock()
		return true
	}
	b.left = b.total
	all := slices.Clone(b.matchers)
	b.mu.Unlock()
	for _, m := range all {
		m.reset()
	}
	return false
}
