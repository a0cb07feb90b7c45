// Package accept runs the accept loop of a listener: within the process-wide
// limit of connections, one goroutine each, which a panic cannot leave.
package accept

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrider-mesh/outrider/proxy/socket"
)

// A Gate bounds the connections of all listeners together.
type Gate struct {
	limit atomic.Int64
	open  atomic.Int64
}

// NewGate returns a gate for limit connections.
func NewGate(limit int) *Gate {
	g := new(Gate)
	g.SetLimit(limit)
	return g
}

// SetLimit changes the bound; open connections stay.
func (g *Gate) SetLimit(limit int) { g.limit.Store(int64(limit)) }

func (g *Gate) enter() bool {
	if g.open.Add(1) > g.limit.Load() {
		g.open.Add(-1)
		return false
	}
	return true
}

func (g *Gate) leave() { g.open.Add(-1) }

// A Listener is what *net.TCPListener and *net.UnixListener have in common.
type Listener interface {
	net.Listener
	SetDeadline(t time.Time) error
}

// A Loop accepts the connections of one listener. Every field is required.
type Loop struct {
	// Listener stays the caller's, who closes it or hands it to another loop.
	Listener Listener
	Gate     *Gate
	// Serve owns the connection and closes it.
	Serve func(nc net.Conn)
	// Refuse is told of connections over the limit, which are closed.
	Refuse func(nc net.Conn)
	// Panicked is told of a panic in Serve, after its connection was closed.
	Panicked func()
	Log      *slog.Logger

	wg sync.WaitGroup
	// mu guards ended, so that nothing is begun that Wait does not wait for.
	mu    sync.Mutex
	ended bool
}

// Backoff between failed accepts, such as for want of file descriptors.
const (
	firstBackoff = 5 * time.Millisecond
	lastBackoff  = time.Second
)

// Run accepts until ctx ends and returns nil; open connections go on, see Wait.
func (l *Loop) Run(ctx context.Context) error {
	if err := l.Listener.SetDeadline(time.Time{}); err != nil { // the loop before set one
		return fmt.Errorf("taking over %s: %w", l.Listener.Addr(), err)
	}
	unblocked := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(unblocked)
		_ = l.Listener.SetDeadline(time.Unix(1, 0)) // unblocks Accept; a closed one needs no unblocking
	})
	defer func() {
		if !stop() {
			<-unblocked // lest it unblock the next loop of this listener
		}
	}()
	return l.accept(ctx)
}

func (l *Loop) accept(ctx context.Context) error {
	backoff := firstBackoff
	for {
		nc, err := l.Listener.Accept()
		switch {
		case err == nil:
			backoff = firstBackoff
			l.start(socket.Wrap(nc))
		case ctx.Err() != nil:
			return nil //nolint:nilerr // Accept was woken for this
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accepting on %s: %w", l.Listener.Addr(), err)
		default:
			l.Log.Warn("accept", "listener", l.Listener.Addr().String(), "err", err, "retry_in", backoff)
			select {
			case <-time.After(backoff):
			case <-ctx.Done():
			}
			backoff = min(2*backoff, lastBackoff)
		}
	}
}

// Wait returns when every connection has been served, and none is taken any more.
// Call it after Run.
func (l *Loop) Wait() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.wg.Wait()
}

func (l *Loop) start(nc net.Conn) {
	if !l.Gate.enter() {
		l.Refuse(nc)
		_ = nc.Close() // refused
		return
	}
	l.wg.Add(1)
	go l.serve(nc)
}

// Handle serves a connection that did not come from the listener, as one that is
// accepted, on the caller's goroutine. It is false if the loop has ended: the
// connection is still the caller's then.
func (l *Loop) Handle(nc net.Conn) bool {
	if !l.begin() {
		return false
	}
	defer l.wg.Done()
	if !l.Gate.enter() {
		l.Refuse(nc)
		_ = nc.Close() // refused
		return true
	}
	l.wg.Add(1)
	l.serve(nc)
	return true
}

// begin counts something that Wait waits for; false after it was called.
func (l *Loop) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.wg.Add(1)
	}
	return !l.ended
}

// serve contains a panic: that connection ends, the process lives.
func (l *Loop) serve(nc net.Conn) {
	defer l.wg.Done()
	defer l.Gate.leave()
	defer func() {
		if v := recover(); v != nil {
			_ = nc.Close() // whatever state it was in
			l.Panicked()
			l.Log.Error("panic on a connection", "remote", nc.RemoteAddr().String(),
				"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	l.Serve(nc)
}
