package wire

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// sleepUntil waits in the kernel, on a thread of its own, which is some 60 µs late
// where a timer of the runtime is up to a millisecond.
func sleepUntil(ctx context.Context, due time.Time) {
	for ctx.Err() == nil {
		left := time.Until(due)
		if left <= 0 {
			return
		}
		spec := unix.NsecToTimespec(int64(left))
		_ = unix.Nanosleep(&spec, nil) // interrupted: look again
	}
}
