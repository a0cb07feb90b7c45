package http2

import (
	"errors"
	"io"
	"math"
	"time"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// A Body reads the payload of a request. It takes no more than it is asked for, so
// that what is not read holds the sender up.
type Body struct {
	x    *Exchange
	size int64 // bytes taken
	// given is how many bytes Next has given out of the queue, to be taken when
	// it is called again.
	given int
	// ahead is what Peek took, and aheadAt how much of it was given out.
	ahead   []byte
	aheadAt int
	peeked  *[]byte // the buffer behind ahead
	tap     message.Tap
}

func (b *Body) reset() { *b = Body{x: b.x} }

// release gives back what Peek held.
func (b *Body) release() {
	if b.peeked != nil {
		b.x.c.buffers.put(b.peeked)
		b.peeked, b.ahead, b.aheadAt = nil, nil, 0
	}
}

// Ended tells whether all of the body has been given out by Next.
func (b *Body) Ended() bool {
	c, s := b.x.c, &b.x.down
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.ended && s.err == nil && s.in.size == b.given && b.aheadAt == len(b.ahead)
}

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
	return b.next(math.MaxInt64, b.x.patience(b.x.c.limits.BodyTimeout))
}

// next waits for the next piece, of at most most bytes, for as long as within.
func (b *Body) next(most int64, within time.Duration) ([]byte, error) {
	var by time.Time
	for {
		p, ended, err := b.piece()
		switch {
		case err != nil:
			return nil, err
		case len(p) > 0:
			p = p[:min(int64(len(p)), most)]
			b.give(p)
			return p, nil
		case ended:
			return nil, io.EOF
		}
		if by.IsZero() {
			by = time.Now().Add(within)
		}
		if err := b.x.pause(by); err != nil {
			return nil, err
		}
	}
}

// give notes that p is given out.
func (b *Body) give(p []byte) {
	b.given = len(p)
	b.tap.See(b.size, p)
	b.size += int64(len(p))
}

// piece takes what was given out, and returns what is next in the queue.
func (b *Body) piece() (p []byte, ended bool, err error) {
	c, s := b.x.c, &b.x.down
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.given > 0 {
		s.took(b.given)
		b.given = 0
	}
	if s.err != nil {
		return nil, false, s.err
	}
	return s.in.peek(), s.ended, nil
}

// Peek reads ahead and returns the first n payload bytes, or fewer if there are
// no more, and whether that was all of the body. It may be called again with a
// larger n, but not after Next. Next gives the bytes out again, so that the body
// can still be forwarded. What it returns is valid until the exchange ends, or until
// Peek is called again. The sender of a gRPC call is waited for no longer than that
// of any body: nobody knows of the call meanwhile.
func (b *Body) Peek(n int64) (prefix []byte, complete bool, err error) {
	b.prepare(n)
	for int64(len(b.ahead)) < n {
		p, err := b.next(n-int64(len(b.ahead)), b.x.c.limits.BodyTimeout)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return b.ahead, false, err
		}
		b.ahead = append(b.ahead, p...)
	}
	return b.first(n)
}

// Arrived is Peek that waits for nothing: it returns what is here already.
func (b *Body) Arrived(n int64) (prefix []byte, complete bool, err error) {
	for int64(len(b.ahead)) < n {
		p, _, err := b.piece()
		if err != nil {
			return b.ahead, false, err
		}
		if len(p) == 0 {
			break
		}
		b.prepare(n)
		p = p[:min(int64(len(p)), n-int64(len(b.ahead)))]
		b.give(p)
		b.ahead = append(b.ahead, p...)
	}
	return b.first(n)
}

// first returns what of the first n bytes was read ahead.
func (b *Body) first(n int64) (prefix []byte, complete bool, err error) {
	prefix = b.ahead[:min(n, int64(len(b.ahead)))]
	rest, ended, err := b.piece()
	return prefix, ended && len(rest) == 0 && len(prefix) == len(b.ahead), err
}

// prepare makes room for what is read ahead.
func (b *Body) prepare(n int64) {
	if b.peeked == nil {
		b.peeked = b.x.c.buffers.get(int(b.expected(n)))
		b.ahead = (*b.peeked)[:0]
	}
}

// Tap has the first bytes of the body copied as they pass, most at most. It is called
// before any of it is read.
func (b *Body) Tap(most int64) { b.tap.Open(most, b.x.Request.ContentLength()) }

// Tapped is what was copied, and whether that is all of the body. It is the caller's,
// who asks when the exchange is over.
func (b *Body) Tapped() (prefix []byte, complete bool) {
	prefix = b.tap.Seen()
	c, s := b.x.c, &b.x.down
	c.mu.Lock()
	defer c.mu.Unlock()
	return prefix, s.ended && s.err == nil && s.came == int64(len(prefix))
}

// expected is how much of the first n bytes to make room for at first.
func (b *Body) expected(n int64) int64 {
	if declared := b.x.Request.ContentLength(); declared >= 0 {
		n = min(n, declared)
	}
	return min(n, largeBuffer)
}

// patience is for how long a body may stand still: calls of gRPC and tunnels wait
// for events, whatever is a body otherwise is expected to come.
func (x *Exchange) patience(usually time.Duration) time.Duration {
	if x.Request.IsGRPC() || x.Request.IsTunnel() {
		return x.c.limits.StreamIdleTimeout
	}
	return usually
}
