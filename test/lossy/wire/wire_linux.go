package wire

import (
	"context"
	"errors"
	"sync"
)

// A Wire joins two sides. Close it.
type Wire struct {
	near, far   *Side
	there, back *line
	cancel      context.CancelFunc
	running     sync.WaitGroup

	mu     sync.Mutex
	failed error // of a direction
}

// Join joins two sides by a path without delay and loss; seed decides what is lost. The
// sides are closed with the wire.
func Join(ctx context.Context, near, far *Side, seed uint64) *Wire {
	w := &Wire{
		near: near, far: far,
		there: newLine(near.device, far.device, seed), back: newLine(far.device, near.device, seed+1),
	}
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, l := range []*line{w.there, w.back} {
		w.running.Go(func() { w.end(l.run(ctx)) })
	}
	return w
}

func (w *Wire) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = errors.Join(w.failed, err)
}

// Set changes the path in both directions.
func (w *Wire) Set(p Path) {
	w.there.set(p)
	w.back.set(p)
}

// Counts are what both directions have carried.
func (w *Wire) Counts() (there, back Count) { return w.there.counted(), w.back.counted() }

// Close ends the path and its namespaces, once nothing runs in them any more.
func (w *Wire) Close() error {
	w.cancel()
	err := errors.Join(w.near.close(), w.far.close())
	w.running.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(err, w.failed)
}
