package lifecycle

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// A Stop is the wish of whoever sends signals to the process.
type Stop struct {
	// Graceful ends with the first SIGTERM or SIGINT, or with the context
	// given to [Signals]: finish what is open, then exit.
	Graceful context.Context
	// Force ends with the second signal: exit at once, whatever is open. It
	// does not end with the context given to Signals.
	Force context.Context

	release func()
}

// Signals begins to listen for SIGTERM and SIGINT. Until Release is called they
// no longer end the process by themselves. [context.Cause] of either context
// names the signal.
func Signals(ctx context.Context) *Stop {
	received := make(chan os.Signal, 2) // one for each step, so that neither is lost
	signal.Notify(received, syscall.SIGTERM, syscall.SIGINT)
	return listen(ctx, received, func() { signal.Stop(received) })
}

func listen(ctx context.Context, received <-chan os.Signal, unsubscribe func()) *Stop {
	graceful, stop := context.WithCancelCause(ctx)
	force, kill := context.WithCancelCause(context.WithoutCancel(ctx))
	quit, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, end := range []context.CancelCauseFunc{stop, kill} {
			select {
			case s := <-received:
				end(errors.New("received signal " + s.String()))
			case <-quit.Done():
				return
			}
		}
	}()
	release := func() {
		unsubscribe()
		cancel()
		<-done
		stop(context.Canceled)
		kill(context.Canceled)
	}
	return &Stop{Graceful: graceful, Force: force, release: release}
}

// Release gives the signals back to the runtime and ends both contexts. It may
// be called more than once.
func (s *Stop) Release() { s.release() }
