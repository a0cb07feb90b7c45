// Package hist is a histogram of latencies with a bounded relative error: 128
// linear buckets per power of two, so a quantile is off by less than 0.4 %.
//
// It is small, fixed in size and allocation-free once made, which is what a
// load generator needs that must not disturb what it measures.
package hist

import (
	"math"
	"math/bits"
	"time"
)

const (
	// subBits is the base-2 logarithm of the buckets per power of two.
	subBits = 7
	// maxBits bounds what is told apart: 2^40 ns, about 18 minutes. Longer
	// durations count in the last bucket.
	maxBits = 40

	buckets = (maxBits - subBits + 1) << subBits
)

// A Histogram counts durations. Its zero value is empty and ready for use. It
// is not safe for concurrent use: give each goroutine its own and Merge them.
type Histogram struct {
	counts [buckets]uint32
	n      uint64
	max    time.Duration
}

// Record counts one duration; a negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))]++
	h.n++
	h.max = max(h.max, d)
}

// Merge adds everything other has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, c := range other.counts {
		h.counts[i] += c
	}
	h.n += other.n
	h.max = max(h.max, other.max)
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.n }

// Max returns the longest duration recorded, exactly; zero when empty.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile returns the duration that the share q of all recorded ones does not
// exceed (nearest rank), as the middle of its bucket. q is clamped to 0…1. An
// empty histogram answers zero.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := uint64(math.Ceil(min(max(q, 0), 1) * float64(h.n)))
	rank = max(rank, 1)
	var seen uint64
	for i, c := range h.counts {
		seen += uint64(c)
		if seen >= rank {
			return min(middleOf(i), h.max)
		}
	}
	return h.max
}

// bucketOf maps v to its bucket: values below 2^subBits have one each, and
// every further power of two is cut into 2^subBits equal parts.
func bucketOf(v uint64) int {
	v = min(v, 1<<maxBits-1)
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// middleOf is the inverse of bucketOf up to half a bucket.
func middleOf(i int) time.Duration {
	if i < 2<<subBits {
		return time.Duration(i)
	}
	shift := i>>subBits - 1
	low := uint64(i-shift<<subBits) << shift
	return time.Duration(low + 1<<shift/2)
}
