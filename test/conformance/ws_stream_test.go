package conformance_test

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/test/rawh2"
)

// A wsStream is stream 1 of a client's connection as a connection of its own: a raw peer
// with just enough of HTTP/2's flow control for that.
type wsStream struct {
	p    *rawh2.Peer
	in   *io.PipeReader
	feed *io.PipeWriter
	over chan struct{} // closed when read has returned

	mu sync.Mutex // of writing
	// Guarded by state.
	state          sync.Mutex
	changed        *sync.Cond
	stream, shared int // what may be sent
	initial        int
	dead           error
}

func newWSStream(p *rawh2.Peer) *wsStream {
	s := &wsStream{p: p, over: make(chan struct{}), shared: 65535, initial: 65535, stream: 65535}
	s.changed = sync.NewCond(&s.state)
	s.in, s.feed = io.Pipe()
	return s
}

// head reads up to the response head.
func (s *wsStream) head() (status string, err error) {
	for {
		f, err := s.p.Framer.ReadFrame()
		if err != nil {
			return "", err
		}
		if err := s.control(f); err != nil {
			return "", err
		}
		if h, ok := f.(*http2.MetaHeadersFrame); ok && h.StreamID == 1 {
			return h.PseudoValue("status"), nil
		}
	}
}

// control does what a connection has to.
func (s *wsStream) control(f http2.Frame) error {
	s.state.Lock()
	defer s.state.Unlock()
	defer s.changed.Broadcast()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		if size, ok := f.Value(http2.SettingInitialWindowSize); ok {
			s.stream += int(size) - s.initial
			s.initial = int(size)
		}
		return s.p.Framer.WriteSettingsAck()
	case *http2.PingFrame:
		if !f.IsAck() {
			return s.p.Framer.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			s.shared += int(f.Increment)
		} else {
			s.stream += int(f.Increment)
		}
	}
	return nil
}

// read passes what comes on to in, until the stream ends.
func (s *wsStream) read() {
	defer close(s.over)
	err := s.readAll()
	s.state.Lock()
	s.dead = errors.Join(err, io.ErrClosedPipe)
	s.changed.Broadcast()
	s.state.Unlock()
	s.feed.CloseWithError(err) // nil is the end in order
}

func (s *wsStream) readAll() error {
	for {
		f, err := s.p.Framer.ReadFrame()
		if err != nil {
			return err
		}
		if err := s.control(f); err != nil {
			return err
		}
		switch f := f.(type) {
		case *http2.RSTStreamFrame:
			return fmt.Errorf("%w: %v", rawh2.ErrReset, f.ErrCode)
		case *http2.DataFrame:
			if err := s.pass(f.Data()); err != nil || f.StreamEnded() {
				return err
			}
		}
	}
}

// pass gives data to whoever reads, and grants as much again.
func (s *wsStream) pass(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if _, err := s.feed.Write(data); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.p.Framer.WriteWindowUpdate(1, uint32(len(data)))
}

// Write implements io.Writer, as the windows allow.
func (s *wsStream) Write(b []byte) (n int, err error) {
	for n < len(b) {
		some, err := s.reserve(len(b) - n)
		if err != nil {
			return n, err
		}
		s.mu.Lock()
		err = s.p.Framer.WriteData(1, false, b[n:n+some])
		s.mu.Unlock()
		if err != nil {
			return n, err
		}
		n += some
	}
	return n, nil
}

func (s *wsStream) reserve(want int) (int, error) {
	s.state.Lock()
	defer s.state.Unlock()
	for s.dead == nil && min(s.stream, s.shared) <= 0 {
		s.changed.Wait()
	}
	if s.dead != nil {
		return 0, s.dead
	}
	n := min(want, 16<<10, s.stream, s.shared)
	s.stream -= n
	s.shared -= n
	return n, nil
}

func (s *wsStream) finish() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.p.Framer.WriteData(1, true, nil)
}
