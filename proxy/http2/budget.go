package http2

import "time"

// refill is how often a budget gets one back from time alone, so that a
// connection that lives for months does not run out of it little by little.
const refill = 100 * time.Millisecond

// budget is how much a peer may still have us do for nothing. Useful work earns
// it back.
type budget struct {
	left, most int
	since      time.Time // up to when time was counted
}

func newBudget(most int, now time.Time) budget { return budget{left: most, most: most, since: now} }

// spend takes n and tells whether there was as much.
func (b *budget) spend(n int, now time.Time) bool {
	if b.left < b.most {
		if ticks := int(now.Sub(b.since) / refill); ticks > 0 {
			b.earn(ticks)
			b.since = b.since.Add(time.Duration(ticks) * refill)
		}
	} else {
		b.since = now
	}
	b.left -= n
	return b.left >= 0
}

// earn gives n back.
func (b *budget) earn(n int) { b.left = min(b.left+n, b.most) }
