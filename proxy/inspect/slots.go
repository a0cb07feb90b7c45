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
	free chan struct{} // holds one value per transaction that runs
	wait time.Duration
}

func newSlots(n int, wait time.Duration) slots {
	return slots{free: make(chan struct{}, n), wait: wait}
}

// acquire takes a slot; an error comes with its reason.
func (s slots) acquire(ctx context.Context) (flow.Uninspected, error) {
	select {
	case s.free <- struct{}{}:
		return flow.Inspected, nil
	default:
	}
	if s.wait < 0 {
		return flow.EngineOverload, errNoSlot
	}
	timer := time.NewTimer(s.wait)
	defer timer.Stop()
	select {
	case s.free <- struct{}{}:
		return flow.Inspected, nil
	case <-timer.C:
		return flow.EngineOverload, errNoSlot
	case <-ctx.Done():
		return reasonOf(ctx.Err()), ctx.Err()
	}
}

func (s slots) release() { <-s.free }
