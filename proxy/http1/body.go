package http1

import (
	"bytes"
	"errors"
	"io"
	"math"
	"time"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// bodyKind is how the length of a body is known.
type bodyKind uint8

const (
	noBody bodyKind = iota
	lengthBody
	chunkedBody
	closeBody // until the connection ends; responses only
)

// A Body reads the payload of one message, free of its framing. It reads no
// further than it is asked to, so back-pressure reaches the sender.
type Body struct {
	c      *conn
	limits *bodyLimits
	kind   bodyKind
	left   int64 // payload bytes to come: of the body, or of the current chunk
	inside bool  // in a chunk whose CRLF has not been read
	extra  int   // chunk extension bytes so far
	size   int64 // payload bytes so far
	ended  bool
	// patience is for how long the body may stand still.
	patience time.Duration
	err      error
	// trailers is the rendered trailer section of a chunked body, without its
	// empty line.
	trailers []byte
	tail     head // scratch for parsing trailers
	// ahead is what Peek took from the connection, and not yet given out.
	ahead   []byte
	aheadAt int
	peeked  *[]byte // the buffer behind ahead
	tap     message.Tap
}

// bodyLimits are the bounds of a body; see package limits.
type bodyLimits struct {
	bytes        int64
	trailerBytes int
	headerCount  int
	within       time.Duration
}

// reset makes the body ready for a message on c. It keeps its scratch space.
func (b *Body) reset(c *conn, l *bodyLimits, kind bodyKind, length int64) {
	*b = Body{
		c: c, limits: l, kind: kind, left: length, patience: l.within,
		trailers: b.trailers[:0], tail: head{fields: b.tail.fields[:0]},
	}
	b.ended = kind == noBody || kind == lengthBody && length == 0
	if kind == lengthBody && l.bytes > 0 && length > l.bytes {
		b.err = errBodyTooLarge
	}
}

var errBodyTooLarge = &message.ProtocolError{Kind: message.BodyTooLarge, Rule: "the body is over its limit"}

// Ended tells whether all of the body has been given out by Next.
func (b *Body) Ended() bool { return b.ended && b.aheadAt == len(b.ahead) }

// Received is how many payload bytes have been read.
func (b *Body) Received() int64 { return b.size }

// Next returns the next piece of payload, never empty; it is valid until the
// next call. The error is io.EOF behind the last piece.
func (b *Body) Next() ([]byte, error) {
	if b.aheadAt < len(b.ahead) {
		p := b.ahead[b.aheadAt:]
		b.aheadAt = len(b.ahead)
		return p, nil
	}
	return b.next(math.MaxInt64)
}

// next reads the next piece, of at most most bytes.
func (b *Body) next(most int64) ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	if b.ended {
		return nil, io.EOF
	}
	p, err := b.piece(most)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			b.err = err
		}
		return nil, err
	}
	b.tap.See(b.size, p)
	b.size += int64(len(p))
	if b.limits.bytes > 0 && b.size > b.limits.bytes {
		b.err = errBodyTooLarge
		return nil, b.err
	}
	return p, nil
}

func (b *Body) piece(most int64) ([]byte, error) {
	switch b.kind {
	case lengthBody:
		p, err := b.take(b.left, most)
		b.left -= int64(len(p))
		b.ended = b.left == 0
		return p, err
	case closeBody:
		p, err := b.take(largeBuffer, most)
		if errors.Is(err, message.ErrUnexpectedEnd) {
			b.ended = true
			return nil, io.EOF
		}
		return p, err
	case chunkedBody:
		return b.chunkPiece(most)
	case noBody:
	}
	return nil, io.EOF
}

// take returns up to most of the left payload bytes, reading once if there are
// none.
func (b *Body) take(left, most int64) ([]byte, error) {
	if len(b.c.unread()) == 0 {
		if err := b.fill(left); err != nil {
			return nil, err
		}
	}
	p := b.c.unread()
	if most = min(most, left); int64(len(p)) > most {
		p = p[:most]
	}
	b.c.use(len(p))
	return p, nil
}

// fill reads more of the body. A body that goes on gets the large buffer.
func (b *Body) fill(expected int64) error {
	if expected > smallBuffer && len(b.c.unread()) == 0 && (b.c.buf == nil || len(*b.c.buf) < largeBuffer) {
		b.c.resize(largeBuffer)
	}
	if err := b.c.expect(time.Now(), b.patience); err != nil {
		return err
	}
	err := b.c.fill(largeBuffer)
	if errors.Is(err, io.EOF) {
		return message.ErrUnexpectedEnd
	}
	return err
}

// here tells whether Next would return without reading from the connection. It
// takes nothing, and errs on the side of no.
func (b *Body) here() bool { return b.aheadAt < len(b.ahead) || b.reads() }

// reads tells whether next would return without reading from the connection.
func (b *Body) reads() bool {
	if b.err != nil || b.ended {
		return true
	}
	unread := b.c.unread()
	if len(unread) == 0 {
		return false
	}
	if b.kind != chunkedBody || b.left > 0 {
		return true
	}
	// Between chunks: the next size line must be there, and, lest the last
	// chunk's trailers block, some byte behind it.
	need := 0
	if b.inside {
		need = 2
	}
	if len(unread) <= need {
		return false
	}
	lf := bytes.IndexByte(unread[need:], '\n')
	if lf < 0 {
		return false
	}
	if line := unread[need:]; line[0] == '0' {
		return bytes.Contains(line, []byte("\r\n\r\n"))
	}
	return len(unread) > need+lf+1
}

// Peek reads ahead and returns the first n payload bytes, or fewer if there are
// no more, and whether that was all of the body. It may be called again with a
// larger n, but not after Next. Next gives the bytes out again, so that the body
// can still be forwarded. What it returns is valid until it is called again or the
// exchange ends.
func (b *Body) Peek(n int64) (prefix []byte, complete bool, err error) {
	return b.look(n, false)
}

// Arrived is Peek that waits for nothing: it returns what is here already.
func (b *Body) Arrived(n int64) (prefix []byte, complete bool, err error) {
	if !b.here() {
		return b.ahead, false, nil
	}
	return b.look(n, true)
}

// look is Peek, or Arrived if it is not to wait.
func (b *Body) look(n int64, arrived bool) (prefix []byte, complete bool, err error) {
	if b.peeked == nil {
		b.peeked = b.c.buffers.get(int(min(b.expected(n), largeBuffer)))
		b.ahead = (*b.peeked)[:0]
	}
	for int64(len(b.ahead)) < n && !b.ended && (!arrived || b.reads()) {
		p, err := b.next(n - int64(len(b.ahead)))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return b.ahead, false, err
		}
		b.keep(p, b.expected(n))
	}
	if b.kind == chunkedBody && !b.ended && int64(len(b.ahead)) >= n && b.reads() {
		// The last chunk may already be here: then the body is complete. One
		// byte more is kept if it was another chunk.
		p, err := b.next(1)
		if err != nil && !errors.Is(err, io.EOF) {
			return b.ahead, false, err
		}
		b.ahead = append(b.ahead, p...)
	}
	b.c.rest()
	prefix = b.ahead[:min(n, int64(len(b.ahead)))]
	return prefix, b.ended && len(prefix) == len(b.ahead), nil
}

// Tap has the first bytes of the body copied as they pass, most at most. It is called
// before any of it is read.
func (b *Body) Tap(most int64) {
	length := int64(-1)
	if b.kind == lengthBody {
		length = b.left
	}
	b.tap.Open(most, length)
}

// Tapped is what was copied, and whether that is all of the body. It is the caller's,
// who asks when the exchange is over.
func (b *Body) Tapped() (prefix []byte, complete bool) {
	prefix = b.tap.Seen()
	return prefix, b.ended && b.err == nil && b.size == int64(len(prefix))
}

// expected is how many of the first n bytes there will be, at most.
func (b *Body) expected(n int64) int64 {
	if b.kind == lengthBody {
		return min(n, b.size+b.left)
	}
	return n
}

// keep puts p behind what Peek holds, which will be n bytes. Room is made as they come:
// what a client only announces takes none.
func (b *Body) keep(p []byte, n int64) {
	if need := len(b.ahead) + len(p); need > cap(b.ahead) {
		next := b.c.buffers.get(max(need, int(min(n, int64(2*cap(b.ahead))))))
		b.ahead = (*next)[:copy(*next, b.ahead)]
		b.c.buffers.put(b.peeked)
		b.peeked = next
	}
	b.ahead = append(b.ahead, p...)
}

// release gives back what Peek held.
func (b *Body) release() {
	if b.peeked != nil {
		b.c.buffers.put(b.peeked)
		b.peeked, b.ahead, b.aheadAt = nil, nil, 0
	}
}

// replayable tells whether the payload from its first byte is still at hand, and
// is all of it.
func (b *Body) replayable() bool { return b.kind == noBody || b.size == int64(len(b.ahead)) && b.ended }

// rewind makes Next start over; only for a replayable body.
func (b *Body) rewind() { b.aheadAt = 0 }
