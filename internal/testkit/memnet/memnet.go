// Package memnet is connections in memory that behave as TCP does where it matters
// to a proxy: they can be half-closed, reset, filled up and slowed down, and their
// deadlines are the clock's, so that testing/synctest can pass them.
package memnet

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ErrReset is what the other end of an aborted connection reads.
var ErrReset = errors.New("connection reset")

// Conn is one end of a connection in memory. It behaves as TCP does where it
// matters here: it buffers a bounded number of bytes, it can be half-closed, it
// resets if closed with SetLinger(0), and a read by a deadline that has passed
// fails even if there is something to read.
type Conn struct {
	in, out   *stream
	mostRead  func() int // see LimitReads
	abortive  atomic.Bool
	closeOnce sync.Once
}

// stream is one direction.
type stream struct {
	mu       sync.Mutex
	changed  *sync.Cond
	b        []byte
	capacity int
	// ended: nothing more will be written; err is what a reader then gets.
	ended error
	// deaf: nobody will read.
	deaf bool
	// total counts what was ever written.
	total            int
	readBy, writeBy  time.Time
	readerAt, wakeAt *time.Timer
}

func newStream(capacity int) *stream {
	s := &stream{capacity: capacity}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// Pipe returns the two ends of a connection that holds capacity bytes in each
// direction.
func Pipe(capacity int) (a, b *Conn) {
	one, two := newStream(capacity), newStream(capacity)
	return &Conn{in: one, out: two}, &Conn{in: two, out: one}
}

func expired(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.deaf:
			return 0, net.ErrClosed
		case expired(s.readBy):
			return 0, os.ErrDeadlineExceeded
		case errors.Is(s.ended, ErrReset):
			return 0, ErrReset
		case len(s.b) > 0:
			if c.mostRead != nil {
				p = p[:min(len(p), c.mostRead())]
			}
			n := copy(p, s.b)
			s.b = s.b[n:]
			s.changed.Broadcast()
			return n, nil
		case s.ended != nil:
			return 0, s.ended
		}
		s.changed.Wait()
	}
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	s := c.out
	s.mu.Lock()
	defer s.mu.Unlock()
	done := 0
	for done < len(p) {
		room := s.capacity - len(s.b)
		switch {
		case s.ended != nil:
			return done, net.ErrClosed
		case s.deaf:
			return done, ErrReset
		case expired(s.writeBy):
			return done, os.ErrDeadlineExceeded
		case room > 0:
			n := min(room, len(p)-done)
			s.b = append(s.b, p[done:done+n]...)
			s.total += n
			done += n
			s.changed.Broadcast()
			continue
		}
		s.changed.Wait()
	}
	return done, nil
}

// CloseRead makes the other end's writes fail.
func (c *Conn) CloseRead() {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.deaf = true
	c.in.changed.Broadcast()
}

// CloseWrite ends this direction in order.
func (c *Conn) CloseWrite() error {
	c.out.end(io.EOF)
	return nil
}

func (s *stream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.ended = err
	}
	s.changed.Broadcast()
}

// SetLinger has Close reset the connection if seconds is 0.
func (c *Conn) SetLinger(seconds int) error {
	c.abortive.Store(seconds == 0)
	return nil
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.closeOnce.Do(func() {
		err := io.EOF
		if c.abortive.Load() {
			err = ErrReset
		}
		c.out.end(err)
		c.CloseRead()
		_ = c.SetDeadline(time.Time{}) // stops the timers
	})
	return nil
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return addr{} }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return addr{} }

// addr is the address of every connection: nobody has to find one.
type addr struct{}

// Network implements net.Addr.
func (addr) Network() string { return "memory" }

// String implements net.Addr.
func (addr) String() string { return "memory" }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn. A read by a deadline that has passed fails
// even if there is something to read, as with package net.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.deadline(&c.in.readBy, &c.in.readerAt, t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.deadline(&c.out.writeBy, &c.out.wakeAt, t)
	return nil
}

func (s *stream) deadline(by *time.Time, timer **time.Timer, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*by = t
	if *timer != nil {
		(*timer).Stop()
		*timer = nil
	}
	s.changed.Broadcast()
	if !t.IsZero() && time.Until(t) > 0 {
		*timer = time.AfterFunc(time.Until(t), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.changed.Broadcast()
		})
	}
}

// Written is how many bytes were ever written to the other end.
func (c *Conn) Written() int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.total
}

// LimitReads bounds what one call of Read moves; nil lifts the bound.
func (c *Conn) LimitReads(most func() int) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.mostRead = most
}

// Received is how many bytes the other end has ever written.
func (c *Conn) Received() int {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return c.in.total
}
