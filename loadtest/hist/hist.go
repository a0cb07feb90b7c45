// Package hist counts latencies: a high dynamic range histogram from a
// microsecond to two minutes, true to a thousandth, that can be merged with
// others and written to JSON for a later comparison.
package hist

import (
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What the histogram tells apart. 32 buckets of 8 KiB each would reach down to
// the nanosecond; nobody needs that of a network, and 144 KiB are enough.
const (
	lowest  = int64(time.Microsecond)
	highest = int64(2 * time.Minute)
	digits  = 3
)

// A Histogram may be used from any goroutine. Use [New].
type Histogram struct {
	mu     sync.Mutex
	counts *hdrhistogram.Histogram
	// over counts what was longer than the longest; it is in counts as that.
	over int64
}

// New returns an empty histogram.
func New() *Histogram {
	return &Histogram{counts: hdrhistogram.New(lowest, highest, digits)}
}

// Record counts one latency; a negative one as zero, and one above two minutes as
// two minutes.
func (h *Histogram) Record(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := max(int64(d), 0)
	if v > highest {
		v = highest
		h.over++
	}
	_ = h.counts.RecordValue(v) // fails only beyond the highest
}

// Add counts everything that other has counted. Two that add each other at the
// same time would wait for each other.
func (h *Histogram) Add(other *Histogram) {
	other.mu.Lock()
	defer other.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.Merge(other.counts) // of the same bounds, so nothing is dropped
	h.over += other.over
}

// Count is how many latencies were recorded.
func (h *Histogram) Count() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts.TotalCount()
}

// Over is how many were longer than two minutes.
func (h *Histogram) Over() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.over
}

// Quantile is the latency that a share q of the requests, 0 to 1, did not exceed;
// 0 for an empty histogram.
func (h *Histogram) Quantile(q float64) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.quantile(q)
}

func (h *Histogram) quantile(q float64) time.Duration {
	if h.counts.TotalCount() == 0 {
		return 0
	}
	return time.Duration(h.counts.ValueAtQuantile(q * 100))
}

// Mean is the arithmetic mean; 0 for an empty histogram.
func (h *Histogram) Mean() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts.TotalCount() == 0 {
		return 0
	}
	return time.Duration(h.counts.Mean())
}

// Max is the longest latency.
func (h *Histogram) Max() time.Duration { return h.Quantile(1) }

// Encode returns the histogram in HdrHistogram's own text form, V2 compressed and
// base64, which tools of other languages read.
func (h *Histogram) Encode() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	text, err := h.counts.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return "", fmt.Errorf("encode a histogram: %w", err)
	}
	return string(text), nil
}

// maxEncoded bounds the text of a histogram: one with every count taken has some
// 100 KiB.
const maxEncoded = 1 << 20

// Decode reads what Encode wrote.
func Decode(text string) (*Histogram, error) {
	if len(text) > maxEncoded {
		return nil, fmt.Errorf("decode a histogram: %d bytes, more than %d", len(text), maxEncoded)
	}
	counts, err := hdrhistogram.Decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("decode a histogram: %w", err)
	}
	h := New()
	if dropped := h.counts.Merge(counts); dropped > 0 {
		return nil, fmt.Errorf("decode a histogram: %d latencies are longer than two minutes", dropped)
	}
	return h, nil
}
