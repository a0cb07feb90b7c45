package meshca

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"time"
)

const (
	// minBackoff is for a pod that starts together with its control plane.
	minBackoff = 500 * time.Millisecond
	// maxBackoff: see [Options].
	maxBackoff = 30 * time.Second
	// mostRetryAfter bounds what an issuer may ask for: an SVID lives longer.
	mostRetryAfter = 5 * time.Minute
	// jitter is the share by which a pause varies, so that the workloads of a
	// mesh do not all ask a restarted issuer at the same moment.
	jitter = 0.2
	// earlier is the share by which a renewal may come before it is due.
	earlier = 0.2
)

// random is in [0, 1).
func random() float64 {
	return rand.Float64() //nolint:gosec // spreads load, keeps no secret
}

// A pause doubles from lowest to highest. It belongs to one goroutine.
type pause struct {
	lowest, highest time.Duration
	last            time.Duration // 0 before the first
}

func (s *Source) newPause() *pause {
	return &pause{lowest: s.opts.MinBackoff, highest: s.opts.MaxBackoff}
}

// next is how long to wait after err: what the issuer asked for, if it did.
func (p *pause) next(err error) time.Duration {
	p.last = min(max(2*p.last, p.lowest), p.highest)
	wait := p.last
	if r, ok := errors.AsType[*refusal](err); ok {
		wait = max(wait, r.after)
	}
	return time.Duration(float64(wait) * (1 + jitter*(2*random()-1)))
}

func (p *pause) reset() { p.last = 0 }

// retryAfter reads delay-seconds of RFC 9110 §10.2.3; the form of a date is not
// ours.
func retryAfter(header string) time.Duration {
	seconds, err := strconv.ParseUint(header, 10, 16)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, mostRetryAfter)
}
