package http2

import "errors"

// A Stream is the client's end of an exchange, for those who may have to end it from
// outside of its handler. Once the exchange is over it means nothing any more.
type Stream struct {
	c  *conn
	id uint32
}

// Stream is the exchange's own.
func (x *Exchange) Stream() Stream { return Stream{&x.c.conn, x.down.id} }

var errCanceled = errors.New("the stream was canceled by its owner")

// Cancel makes Forward give up: both ends of the exchange are reset. It may be called
// from any goroutine.
func (s Stream) Cancel() {
	s.c.mu.Lock()
	if open := s.c.streams[s.id]; open != nil {
		open.fail(errCanceled)
	}
	s.c.mu.Unlock()
	s.c.push()
}
