package http1

import (
	"errors"
	"io"
	"strconv"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// sink is where a framer writes to; both roles' connections are one.
type sink interface{ write(b []byte) error }

// framer renders a message into a buffer: the head first, then the body in its
// framing. It writes when the buffer is full and when the sender pauses, so that
// a small message is one write and a stream is never held back.
type framer struct {
	to      sink
	b       []byte // rendered and not written
	chunked bool
	payload int64 // body bytes taken
}

const (
	// chunkRoom is what the size line and the CRLFs of a chunk take at most.
	chunkRoom = 16 + 2 + 2
	// directBytes is from where on a piece is written without a copy.
	directBytes = 8 << 10
)

// body moves pieces of body as long as they are at hand, or, if wait is set,
// until the body ends. ended tells which; what is left in f.b is not flushed
// at the end, so that the caller can still add to it.
func (f *framer) body(body *Body, wait bool) (ended bool, err error) {
	for {
		if body.Ended() {
			return true, f.finish(body)
		}
		if !body.here() {
			if !wait {
				return false, nil
			}
			if err := f.flush(); err != nil {
				return false, err
			}
		}
		p, err := body.Next()
		if errors.Is(err, io.EOF) {
			return true, f.finish(body)
		}
		if err != nil {
			return false, &message.Failure{Err: err} // the caller knows the side
		}
		if err := f.piece(p); err != nil {
			return false, err
		}
	}
}

func (f *framer) piece(p []byte) error {
	f.payload += int64(len(p))
	for len(p) > 0 {
		room := cap(f.b) - len(f.b) - chunkRoom
		if !f.chunked && len(p) > room && len(p) >= directBytes {
			if err := f.flush(); err != nil {
				return err
			}
			return f.to.write(p)
		}
		if len(f.b) > 0 && (room <= 0 || len(p) > room && room < directBytes) {
			if err := f.flush(); err != nil {
				return err
			}
			continue
		}
		part := p[:min(len(p), room)]
		f.append(part)
		p = p[len(part):]
	}
	return nil
}

func (f *framer) append(p []byte) {
	if !f.chunked {
		f.b = append(f.b, p...)
		return
	}
	f.b = strconv.AppendInt(f.b, int64(len(p)), 16)
	f.b = append(f.b, "\r\n"...)
	f.b = append(f.b, p...)
	f.b = append(f.b, "\r\n"...)
}

// finish renders the end of the body.
func (f *framer) finish(body *Body) error {
	if !f.chunked {
		return nil
	}
	if cap(f.b)-len(f.b) < len(body.trailers)+chunkRoom {
		if err := f.flush(); err != nil {
			return err
		}
	}
	f.b = append(f.b, "0\r\n"...)
	f.b = append(f.b, body.trailers...)
	f.b = append(f.b, "\r\n"...)
	return nil
}

func (f *framer) flush() error {
	if len(f.b) == 0 {
		return nil
	}
	err := f.to.write(f.b)
	f.b = f.b[:0]
	return err
}
