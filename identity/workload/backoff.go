package workload

import (
	"math/rand/v2"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// jitter is the share by which a pause varies, so that the workloads of a node
// do not all ask a restarted agent at the same moment.
const jitter = 0.2

// NewBackoff implements workloadapi.BackoffStrategy.
func (p pause) NewBackoff() workloadapi.Backoff { return &doubling{pause: p} }

// A doubling is used by one goroutine.
type doubling struct {
	pause

	last time.Duration // 0 before the first pause
}

// Next implements workloadapi.Backoff.
func (d *doubling) Next() time.Duration {
	d.last = min(max(2*d.last, d.lowest), d.highest)
	spread := jitter * (2*rand.Float64() - 1) //nolint:gosec // spreads load, keeps no secret
	return time.Duration(float64(d.last) * (1 + spread))
}

// Reset implements workloadapi.Backoff.
func (d *doubling) Reset() { d.last = 0 }
