package target

import (
	"context"
	"net"
)

// leash ends what waits for a connection when the context of the calls ends: reads
// and writes know deadlines only. It is put on once and stays, since callers make
// thousands of calls in the same context.
type leash struct {
	done <-chan struct{}
	stop func() bool
}

// hold ties conn to ctx. It is not ok if an earlier context has ended, and with it
// the connection.
func (l *leash) hold(ctx context.Context, conn net.Conn) (ok bool) {
	if l.stop != nil && l.done == ctx.Done() {
		return true
	}
	if !l.release() {
		return false
	}
	l.done, l.stop = ctx.Done(), context.AfterFunc(ctx, func() { _ = conn.Close() })
	return true
}

// release is not ok if the connection is closed, or about to be.
func (l *leash) release() (ok bool) {
	ok = l.stop == nil || l.stop()
	l.stop = nil
	return ok
}
