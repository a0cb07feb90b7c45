package inspect

import (
	"context"
	"errors"
	"time"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

var errNoSlot = errors.New("too many requests are being inspected")

// slots bounds how many transactions run at the same time, so that inspection
// never takes more than its share of the processors from proxying.
type slots struct {
	taken chan struct{} // holds one value per transaction that runs
}

func newSlots(n int) slots { return slots{taken: make(chan struct{}, n)} }

// acquire takes a slot within the time; an error comes with its reason.
func (s slots) acquire(ctx context.Context, wait time.Duration) (flow.Uninspected, error) {
	select {
	case s.taken <- struct{}{}:
		return flow.Inspected, nil
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case s.taken <- struct{}{}:
		return flow.Inspected, nil
	case <-timer.C:
		return flow.EngineOverload, errNoSlot
	case <-ctx.Done():
		return reasonOf(ctx.Err()), ctx.Err()
	}
}

func (s slots) release() { <-s.taken }
