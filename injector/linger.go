package injector

import (
	"context"
	"time"
)

// linger returns a context that ends a while after ctx does. A replica that is to end
// is sent calls until every node has heard of it; the API server refuses pods whose
// call meets a closed port, and so the port stays open that long.
func linger(ctx context.Context, lasting time.Duration) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(lasting)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-later.Done():
		}
	})
	return later, func() {
		stop()
		cancel()
	}
}
