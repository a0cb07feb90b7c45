package http2

import (
	"errors"
	"io"
	"time"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// input is what was read from the connection and not parsed. It belongs to the
// goroutine that reads.
type input struct {
	c    *conn
	buf  *[]byte // nil while nothing is read
	r, w int
	// now is when the last bytes came.
	now time.Time
	// inFrame tells that part of a frame is there, and headBy when all of the
	// frame, or of the head that it belongs to, must be; zero for a body, which
	// only must not stand still.
	inFrame bool
	headBy  time.Time
	readBy  time.Time
	// firstBy is when the first frame must be there.
	firstBy time.Time
}

// begin waits for the peer's first frame: until it is there, nothing of the
// connection may take long.
func (in *input) begin(now time.Time) {
	in.now, in.inFrame = now, true
	in.firstBy = now.Add(in.c.limits.HeadTimeout)
	in.headBy = in.firstBy
}

// endFrame notes that a frame was read, and whether it was part of a head that goes
// on.
func (in *input) endFrame(goesOn bool) {
	switch {
	case !in.c.peer.known:
		in.inFrame, in.headBy = true, in.firstBy
	case goesOn:
	default:
		in.inFrame, in.headBy = false, time.Time{}
	}
}

func (in *input) unread() []byte {
	if in.buf == nil {
		return nil
	}
	return (*in.buf)[in.r:in.w]
}

// Read implements io.Reader, for the framer.
func (in *input) Read(p []byte) (int, error) {
	if in.r == in.w {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.unread())
	in.r += n
	return n, nil
}

// need reads until n bytes are there; n is less than the smallest buffer.
func (in *input) need(n int) error {
	for in.w-in.r < n {
		if err := in.fill(); err != nil {
			return err
		}
	}
	return nil
}

// skip drops the next n bytes.
func (in *input) skip(n int) error {
	for n > 0 {
		if in.r == in.w {
			if err := in.fill(); err != nil {
				return err
			}
		}
		some := min(n, in.w-in.r)
		in.r += some
		n -= some
	}
	return nil
}

// fill reads at least one more byte. Before it waits, everybody is told what has
// come so far.
func (in *input) fill() error {
	c := in.c
	in.makeRoom()
	for {
		c.deliver()
		if err := c.role.before(); err != nil {
			return err
		}
		c.flushLater()
		if err := in.expect(); err != nil {
			return err
		}
		n, err := c.net.Read((*in.buf)[in.w:])
		switch {
		case n > 0:
			in.w += n
			c.heard()
			return nil
		case err == nil:
			return io.ErrNoProgress
		case errors.Is(err, io.EOF) && in.inFrame:
			return message.ErrUnexpectedEnd
		case !isTimeout(err):
			return err
		}
		if err := c.silent(); err != nil {
			return err
		}
	}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// makeRoom leaves room to read into. What fills its buffer gets a larger one; what
// has nothing to read, the small one.
func (in *input) makeRoom() {
	buffers := in.c.buffers
	if in.buf != nil && in.r == in.w {
		full := in.w == len(*in.buf)
		in.r, in.w = 0, 0
		switch size := len(*in.buf); {
		case full && size < largeBuffer:
			in.swap(buffers.get(4 * size))
		case !full && size > smallBuffer && in.c.isIdle():
			in.swap(buffers.get(smallBuffer))
		}
	}
	if in.buf == nil {
		in.buf, in.r, in.w = buffers.get(smallBuffer), 0, 0
	}
	if in.r > 0 && len(*in.buf)-in.w < frameHeader {
		in.w = copy(*in.buf, (*in.buf)[in.r:in.w])
		in.r = 0
	}
}

func (in *input) swap(buf *[]byte) {
	in.c.buffers.put(in.buf)
	in.buf = buf
}

func (in *input) release() {
	if in.buf != nil {
		in.c.buffers.put(in.buf)
		in.buf, in.r, in.w = nil, 0, 0
	}
}

// expect sets the deadline of the next read. Moving one costs a timer; one that is
// between 3/4 and twice as far away as asked is left alone.
func (in *input) expect() error {
	c := in.c
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.woken {
		return nil // a deadline that has passed is in force
	}
	if c.lost != nil {
		in.readBy = c.lostBy
		return c.net.SetReadDeadline(in.readBy)
	}
	within := c.interval
	if c.idleTime > 0 && len(c.streams) == 0 {
		within = min(within, c.idleTime)
	}
	switch {
	case !in.headBy.IsZero():
		if in.readBy.Equal(in.headBy) {
			return nil
		}
		in.readBy = in.headBy
		return c.net.SetReadDeadline(in.readBy)
	case in.inFrame:
		within = c.limits.BodyTimeout
	case c.asked:
		within = c.limits.PingTimeout
	}
	if !moved(&in.readBy, now, within) {
		return nil
	}
	return c.net.SetReadDeadline(in.readBy)
}

func moved(deadline *time.Time, now time.Time, within time.Duration) bool {
	if left := deadline.Sub(now); left >= within-within/4 && left <= 2*within {
		return false
	}
	*deadline = now.Add(within)
	return true
}

// heard notes that the peer is there.
func (c *conn) heard() {
	c.in.now = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = false
}

// isIdle tells whether no stream is open.
func (c *conn) isIdle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams) == 0
}

// silent decides what a read that timed out means. A connection without streams
// may be silent for long; one with streams is asked whether it lives.
func (c *conn) silent() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.role.quiet()
	switch {
	case c.woken:
		c.woken = false
		c.in.readBy = time.Time{}
	case c.lost != nil:
		return c.lost
	case c.in.inFrame:
		return errSlowFrame
	case len(c.streams) == 0:
		if c.idleTime > 0 && now.Sub(c.idleSince) >= c.idleTime {
			return errIdle
		}
	case c.asked:
		return silentError{}
	default:
		c.asked = true
		c.out = appendPing(c.out, false, alivePing)
	}
	return nil
}
