package load

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// timerfd waits with a timer of the kernel that is read like a file: its end is an
// event of the runtime's poller, which wakes this very goroutine, a few
// microseconds late instead of the up to a millisecond of a runtime timer.
type timerfd struct {
	file *os.File
	fd   int
}

// newWaiter falls back to the runtime's timers where no timerfd can be had.
func newWaiter() waiter {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return timerWaiter{}
	}
	return &timerfd{file: os.NewFile(uintptr(fd), "timerfd"), fd: fd}
}

// Wait implements waiter.
func (t *timerfd) Wait(ctx context.Context, until time.Time) bool {
	left := time.Until(until)
	if left <= 0 {
		return ctx.Err() == nil
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(left))}
	if unix.TimerfdSettime(t.fd, 0, &spec, nil) != nil {
		return timerWaiter{}.Wait(ctx, until)
	}
	stop := context.AfterFunc(ctx, func() { _ = t.file.SetReadDeadline(past) }) // it ends the read
	defer stop()
	var expirations [8]byte
	_, err := t.file.Read(expirations[:])
	return err == nil
}

var past = time.Unix(1, 0)

// Close implements waiter.
func (t *timerfd) Close() { _ = t.file.Close() } // nothing is in it
