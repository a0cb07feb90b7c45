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
	if wait <= 0 {
		return flow.EngineOverload, errNoSlot
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

// full tells whether whoever came now would have to wait.
func (s slots) full() bool { return len(s.taken) == cap(s.taken) }

// lanes are the slots of one kind of inspections: first for what costs little and
// proves most requests clean, then for the engine, which may take a thousand times as
// long. So what is proved clean does not wait behind what is not.
type lanes struct{ proofs, engine slots }

func newLanes(proofs, engine int) lanes { return lanes{newSlots(proofs), newSlots(engine)} }
