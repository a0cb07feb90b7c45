package load

import (
	"context"
	"time"
)

// A clock is time as the generator sees it. Tests have one of their own.
type clock interface {
	Now() time.Time
	// Waiter returns what one goroutine waits with.
	Waiter() waiter
	// Wait returns false when ctx ends first. It may be a little late.
	Wait(ctx context.Context, until time.Time) bool
}

// A waiter belongs to one goroutine.
type waiter interface {
	// Wait returns false when ctx ends first. It is as punctual as can be.
	Wait(ctx context.Context, until time.Time) bool
	Close()
}

// systemClock is the machine's.
type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Waiter() waiter { return newWaiter() }

func (systemClock) Wait(ctx context.Context, until time.Time) bool {
	return timerWaiter{}.Wait(ctx, until)
}

// timerWaiter waits with a timer of the runtime. While the process sleeps these
// are late by up to a millisecond: the poller counts in them.
type timerWaiter struct{}

func (timerWaiter) Wait(ctx context.Context, until time.Time) bool {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (timerWaiter) Close() {}
