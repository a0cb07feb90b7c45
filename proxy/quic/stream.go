package quic

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// A Stream is one hop. It is a net.Conn with a sending side that can be closed alone.
type Stream struct {
	quic *quicgo.Stream
	conn *quicgo.Conn

	// Protocol and Port are what the preface declared.
	Protocol flow.Protocol
	Port     uint16

	// awaiting: the other end's answer to our preface is still to be read. It
	// belongs to the reader.
	awaiting bool
	// stopped: the other end reads no more, and a write was told so. It belongs to
	// the writer.
	stopped bool
	abort   atomic.Bool // Close cuts off
	closed  sync.Once
	// ended is called once when the stream is closed, turnedAway when the other end
	// does not take it because it is shutting down; nil: nobody wants to know.
	ended, turnedAway func()
	// crowded tells whether another connection has more room; nil: there is none. It
	// is asked until it says so, and then moved is true.
	crowded func() bool
	moved   atomic.Bool
}

// Read implements net.Conn. Of a stream that we opened the first byte tells that it
// was accepted, and is not part of the hop.
func (s *Stream) Read(p []byte) (int, error) {
	if s.awaiting {
		if err := s.readAnswer(); err != nil {
			return 0, err
		}
	}
	n, err := s.quic.Read(p)
	return n, mapError(err)
}

func (s *Stream) readAnswer() error {
	var answer [1]byte
	if _, err := io.ReadFull(s.quic, answer[:]); err != nil {
		if notBegun(err) {
			// As good as an end before the first byte: nothing was begun.
			if s.turnedAway != nil {
				s.turnedAway()
			}
			return io.EOF
		}
		return mapError(err)
	}
	s.awaiting = false
	if answer[0] != accepted {
		return fmt.Errorf("a stream was answered with %d", answer[0])
	}
	return nil
}

// notBegun tells whether the other end has refused a stream without looking at it: it
// is shutting down, or did not want the connection, which it may say when our side of
// the handshake is complete and its own is not (RFC 9000 §20.1).
func notBegun(err error) bool {
	if broken, ok := errors.AsType[*quicgo.StreamError](err); ok {
		return broken.Remote && broken.ErrorCode == codeClosing
	}
	if refused, ok := errors.AsType[*quicgo.TransportError](err); ok {
		return refused.Remote && refused.ErrorCode == quicgo.ConnectionRefused
	}
	gone, ok := errors.AsType[*quicgo.ApplicationError](err)
	return ok && gone.Remote && gone.ErrorCode == codeBusy
}

// Accept tells the other end that its stream is taken: it is called once, before
// anything is read from the stream or written to it, by who serves it. A stream that
// is closed instead was never begun, and the other end may use another one.
func (s *Stream) Accept() error {
	if _, err := s.quic.Write([]byte{accepted}); err != nil {
		return fmt.Errorf("accept a stream: %w", mapError(err))
	}
	return nil
}

// cutOff closes the stream as an error does.
func (s *Stream) cutOff() {
	_ = s.SetLinger(0)
	_ = s.Close()
}

// AwaitAccepted returns when the other end has accepted the stream.
func (s *Stream) AwaitAccepted() error {
	if !s.awaiting {
		return nil
	}
	return s.readAnswer()
}

// Write implements net.Conn. When the other end has closed the stream in good order, or
// not begun it, the first write seems to succeed, as on TCP: what is still to be read
// tells whether there is an answer, or the end before one, after which the request may
// be sent again.
func (s *Stream) Write(p []byte) (int, error) {
	n, err := s.quic.Write(p)
	if err != nil && !s.stopped && (closedInOrder(err) || notBegun(err)) {
		s.stopped = true
		return len(p), nil
	}
	return n, mapError(err)
}

func closedInOrder(err error) bool {
	broken, ok := errors.AsType[*quicgo.StreamError](err)
	return ok && broken.Remote && broken.ErrorCode == codeNone
}

// CloseWrite ends our direction in good order.
func (s *Stream) CloseWrite() error {
	if err := s.quic.Close(); err != nil && !errors.As(err, new(*quicgo.StreamError)) {
		return fmt.Errorf("close the sending side of a stream: %w", err)
	}
	return nil
}

// SetLinger makes Close cut the stream off, as it makes TCP reset.
func (s *Stream) SetLinger(seconds int) error {
	s.abort.Store(seconds == 0)
	return nil
}

// Close ends both directions. What was written still arrives, unless SetLinger said
// otherwise.
func (s *Stream) Close() error {
	s.closed.Do(func() {
		code := quicgo.StreamErrorCode(codeNone)
		if s.abort.Load() {
			code = codeAborted
			s.quic.CancelWrite(code)
		}
		s.quic.CancelRead(code)
		_ = s.quic.Close() // after CancelWrite it has nothing to do
		if s.ended != nil {
			s.ended()
		}
	})
	return nil
}

// Usable tells whether the stream can carry another request: the connection is alive,
// and the other end has not closed the stream, which tells us to stop sending. Where
// another connection has more room, a new stream is better. Who is told that it is not
// usable closes it. It is one goroutine at a time that asks.
func (s *Stream) Usable() bool {
	if s.conn.Context().Err() != nil || s.quic.Context().Err() != nil || s.moved.Load() {
		return false
	}
	if s.crowded != nil && s.crowded() {
		s.moved.Store(true)
		return false
	}
	return true
}

// LocalAddr implements net.Conn.
func (s *Stream) LocalAddr() net.Addr { return s.conn.LocalAddr() }

// RemoteAddr implements net.Conn.
func (s *Stream) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }

// SetDeadline implements net.Conn.
func (s *Stream) SetDeadline(t time.Time) error { return s.quic.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.quic.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.quic.SetWriteDeadline(t) }

// mapError makes the errors of a stream those of any connection: what was ended in
// good order is its end, what we closed ourselves is closed.
func mapError(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if broken, ok := errors.AsType[*quicgo.StreamError](err); ok {
		if !broken.Remote {
			return fmt.Errorf("%w: %w", net.ErrClosed, err)
		}
		return fmt.Errorf("the stream was cut off: %w", err)
	}
	return err
}
