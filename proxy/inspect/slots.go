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

// A turn is how an inspection gets its slots.
type turn struct {
	lanes lanes
	// queue is what is waited in first by those that only watch, of whom there may be
	// hundreds: so no more of them than have slots are in front of one that decides. It
	// is empty for all others.
	queue lanes
	wait  time.Duration
	// budget is for each of the two steps, by the clock.
	budget time.Duration
}

// enter takes a slot of a lane, and one of the queue in front of it if there is one.
func (t turn) enter(ctx context.Context, queue, lane slots) (flow.Uninspected, error) {
	if queue.taken == nil {
		return lane.acquire(ctx, t.wait)
	}
	if reason, err := queue.acquire(ctx, t.wait); err != nil {
		return reason, err
	}
	reason, err := lane.acquire(ctx, t.wait)
	if err != nil {
		queue.release()
	}
	return reason, err
}

func (t turn) leave(queue, lane slots) {
	lane.release()
	if queue.taken != nil {
		queue.release()
	}
}
