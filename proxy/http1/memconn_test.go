package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// errReset is what the other end of an aborted connection reads.
var errReset = errors.New("connection reset")

// memConn is one end of a connection in memory. It behaves as TCP does where it
// matters here: it buffers a bounded number of bytes, it can be half-closed, it
// resets if closed with SetLinger(0), and a read by a deadline that has passed
// fails even if there is something to read.
type memConn struct {
	in, out *stream
	// mostRead bounds what one call moves, if it is not nil.
	mostRead  func() int
	abortive  bool
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

// memPipe returns the two ends of a connection that holds capacity bytes in each
// direction.
func memPipe(capacity int) (a, b *memConn) {
	one, two := newStream(capacity), newStream(capacity)
	return &memConn{in: one, out: two}, &memConn{in: two, out: one}
}

func expired(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

func (c *memConn) Read(p []byte) (int, error) {
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.deaf:
			return 0, net.ErrClosed
		case expired(s.readBy):
			return 0, os.ErrDeadlineExceeded
		case errors.Is(s.ended, errReset):
			return 0, errReset
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

func (c *memConn) Write(p []byte) (int, error) {
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
			return done, errReset
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

// CloseWrite ends this direction in order.
func (c *memConn) CloseWrite() error {
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

func (c *memConn) SetLinger(seconds int) error {
	c.abortive = seconds == 0
	return nil
}

func (c *memConn) Close() error {
	c.closeOnce.Do(func() {
		err := io.EOF
		if c.abortive {
			err = errReset
		}
		c.out.end(err)
		c.in.mu.Lock()
		c.in.deaf = true
		c.in.changed.Broadcast()
		c.in.mu.Unlock()
		_ = c.SetDeadline(time.Time{}) // stops the timers
	})
	return nil
}

func (c *memConn) LocalAddr() net.Addr  { return nil }
func (c *memConn) RemoteAddr() net.Addr { return nil }

func (c *memConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.deadline(&c.in.readBy, &c.in.readerAt, t)
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
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

// written is how many bytes were ever written to the other end.
func (c *memConn) written() int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.total
}

// limitReads sets mostRead while the connection is in use.
func (c *memConn) limitReads(most func() int) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.mostRead = most
}
