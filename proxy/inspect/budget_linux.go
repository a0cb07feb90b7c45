package inspect

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadTime is how long the calling thread has been running.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0 // it cannot fail, with a clock that exists
	}
	return time.Duration(t.Nano())
}
