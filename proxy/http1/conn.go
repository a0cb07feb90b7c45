package http1

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// Buffer sizes in bytes. A head and its small body fit the small one; what inspection
// has read ahead, by default, the medium one; the large one takes a full TLS record
// (16 KiB, RFC 8446 §5.1) at each end of it.
const (
	smallBuffer  = 4 << 10
	mediumBuffer = 16 << 10
	largeBuffer  = 32 << 10
)

// Buffers hands out the read and write buffers of connections. One value is
// shared by everything that carries HTTP in a process.
type Buffers struct{ small, medium, large sync.Pool }

// class is the pool of buffers that hold size bytes, and how many they have; nil for
// sizes that are made when they are needed.
func (b *Buffers) class(size int) (*sync.Pool, int) {
	switch {
	case size <= smallBuffer:
		return &b.small, smallBuffer
	case size <= mediumBuffer:
		return &b.medium, mediumBuffer
	case size <= largeBuffer:
		return &b.large, largeBuffer
	}
	return nil, size
}

func (b *Buffers) get(size int) *[]byte {
	pool, size := b.class(size)
	if pool != nil {
		if p, ok := pool.Get().(*[]byte); ok {
			return p
		}
	}
	buf := make([]byte, size)
	return &buf
}

func (b *Buffers) put(p *[]byte) {
	if pool, size := b.class(len(*p)); pool != nil && size == len(*p) {
		pool.Put(p)
	}
}

// conn is one HTTP/1.1 connection, either role: a read buffer, and deadlines
// that are moved only when they are about to be wrong.
type conn struct {
	net     net.Conn
	buffers *Buffers

	buf  *[]byte // nil while there is nothing to read into it
	r, w int     // (*buf)[r:w] has been read and not used
	scan lineScanner

	readBy, writeBy time.Time
	// used tells that at least one byte was read since the flag was cleared.
	used bool
	// over tells that the end of the connection came together with the last
	// bytes: TLS reports a close_notify so, and polling the socket can't see it.
	over bool
}

// errSectionFull: a head or trailer section did not fit its limit.
var errSectionFull = errors.New("section over its limit")

// unread returns what has been read and not used.
func (c *conn) unread() []byte {
	if c.buf == nil {
		return nil
	}
	return (*c.buf)[c.r:c.w]
}

// use takes n unread bytes.
func (c *conn) use(n int) { c.r += n }

// fill reads at least one more byte into the buffer, which is grown up to limit
// bytes when it is full. It keeps (*c.buf)[c.r:c.w] but may move it.
func (c *conn) fill(limit int) error {
	c.makeRoom(limit)
	if c.w == len(*c.buf) {
		return errSectionFull
	}
	n, err := c.net.Read((*c.buf)[c.w:])
	c.w += n
	if n > 0 {
		c.used = true
		c.over = err != nil // net.Conn will say it again
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (c *conn) makeRoom(limit int) {
	if c.buf == nil {
		c.buf = c.buffers.get(smallBuffer)
		c.r, c.w = 0, 0
	}
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	if c.w < len(*c.buf) {
		return
	}
	if c.r > 0 {
		c.w = copy(*c.buf, (*c.buf)[c.r:c.w])
		c.r = 0
		return
	}
	if len(*c.buf) < limit {
		c.resize(min(2*len(*c.buf), max(limit, smallBuffer)))
	}
}

// resize moves what is unread into a buffer of at least size bytes.
func (c *conn) resize(size int) {
	next := c.buffers.get(size)
	if c.buf != nil {
		unread := (*c.buf)[c.r:c.w]
		if len(unread) > len(*next) {
			c.buffers.put(next)
			return
		}
		c.w = copy(*next, unread)
		c.buffers.put(c.buf)
	} else {
		c.w = 0
	}
	c.buf, c.r = next, 0
}

// rest gives a buffer back that was needed for a body and is empty. While a request
// waits for its inspection or its answer there may be many of them.
func (c *conn) rest() {
	if c.buf != nil && len(*c.buf) > smallBuffer && c.r == c.w {
		c.release()
	}
}

// release gives the buffer back. What was unread is lost.
func (c *conn) release() {
	if c.buf != nil {
		c.buffers.put(c.buf)
		c.buf, c.r, c.w = nil, 0, 0
	}
}

// expect makes the next reads fail if they take longer than about within. Moving
// a deadline costs a timer; one that is between 3/4 and twice as far away as
// asked is left alone.
func (c *conn) expect(now time.Time, within time.Duration) error {
	if !moved(&c.readBy, now, within) {
		return nil
	}
	return c.net.SetReadDeadline(c.readBy)
}

// allow is expect for writes.
func (c *conn) allow(now time.Time, within time.Duration) error {
	if !moved(&c.writeBy, now, within) {
		return nil
	}
	return c.net.SetWriteDeadline(c.writeBy)
}

func moved(deadline *time.Time, now time.Time, within time.Duration) bool {
	if left := deadline.Sub(now); left >= within-within/4 && left <= 2*within {
		return false
	}
	*deadline = now.Add(within)
	return true
}

// section reads up to and with the empty line that ends a head or a trailer
// section, of at most limit bytes and count lines, and takes it. The result
// aliases the buffer and is valid until the next read. The ends of its lines
// are in c.scan.
//
// The caller sets the deadline before; within is put in force once the first
// byte is there, so that a head may be awaited long but must then come quickly.
func (c *conn) section(limit, count int, within time.Duration) ([]byte, error) {
	c.scan.reset()
	hurried := false
	for {
		unread := c.unread()
		// No further than the limit, lest a refusal depend on how the bytes
		// arrived.
		n, err := c.scan.scan(unread[:min(len(unread), limit)], count)
		switch {
		case err != nil:
			return nil, err
		case n > 0:
			c.use(n)
			return unread[:n], nil
		case len(unread) >= limit:
			return nil, errSectionFull
		}
		if len(unread) > 0 && !hurried {
			hurried = true
			if err := c.expect(time.Now(), within); err != nil {
				return nil, err
			}
		}
		if err := c.fill(limit); err != nil {
			if errors.Is(err, io.EOF) && len(unread) > 0 {
				err = message.ErrUnexpectedEnd
			}
			return nil, err
		}
	}
}

// lineScanner finds the lines of a section that arrives in pieces, without
// looking at a byte twice.
type lineScanner struct {
	ends  []int32 // offset just behind each line's CRLF, the empty one included
	start int     // where the line being looked for starts
	next  int     // where to look on
}

func (s *lineScanner) reset() { s.ends, s.start, s.next = s.ends[:0], 0, 0 }

// scan returns the length of the section in b, or 0 if it is not complete. b
// must begin with what earlier calls saw.
func (s *lineScanner) scan(b []byte, count int) (int, error) {
	for s.next < len(b) {
		i := indexLF(b[s.next:])
		if i < 0 {
			s.next = len(b)
			return 0, nil
		}
		end := s.next + i
		if end == s.start || b[end-1] != '\r' {
			return 0, message.Violation("a line ends in LF without CR")
		}
		s.ends = append(s.ends, int32(end+1)) //nolint:gosec // bounded by limits.HeadBytes
		empty := end-1 == s.start
		s.start, s.next = end+1, end+1
		if empty {
			return end + 1, nil
		}
		// The first line of a head is not a field; a trailer section may have
		// one field more.
		if len(s.ends) > count+1 {
			return 0, &message.ProtocolError{Kind: message.HeadTooLarge, Rule: "too many header fields"}
		}
	}
	return 0, nil
}
