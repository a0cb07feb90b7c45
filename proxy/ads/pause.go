package ads

import (
	"math/rand/v2"
	"time"
)

// A pause doubles from minPause to maxPause. It belongs to one goroutine.
type pause struct{ last time.Duration } // 0 before the first

// next is how long to wait before the next attempt.
func (p *pause) next() time.Duration {
	p.last = min(max(2*p.last, minPause), maxPause)
	return p.last/2 + rand.N(p.last+1) //nolint:gosec // spreading load needs no secret
}

func (p *pause) reset() { p.last = 0 }
