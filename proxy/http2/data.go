package http2

import wire "golang.org/x/net/http2"

// dataFrame reads a DATA frame into its stream, piece by piece as it comes.
func (c *conn) dataFrame(h wire.FrameHeader) error {
	if h.StreamID == 0 {
		return broken(protocolError, "DATA on stream 0")
	}
	left, padding, err := c.unpad(h, wire.FlagDataPadded)
	if err != nil {
		return err
	}
	if err := c.beginData(h, left); err != nil {
		return err
	}
	for left > 0 {
		if err := c.in.need(1); err != nil {
			return err
		}
		piece := c.in.unread()
		piece = piece[:min(len(piece), left)]
		c.piece(h.StreamID, piece, left)
		c.in.r += len(piece)
		left -= len(piece)
	}
	if err := c.in.skip(padding); err != nil {
		return err
	}
	return c.endData(h)
}

// unpad reads the length of the padding, if there is any, and returns the lengths
// of what is before it and of the padding itself.
func (c *conn) unpad(h wire.FrameHeader, padded wire.Flags) (left, padding int, err error) {
	left = int(h.Length)
	if !h.Flags.Has(padded) {
		return left, 0, nil
	}
	if left == 0 {
		return 0, 0, broken(frameSizeError, "a padded frame without a length of its padding")
	}
	if err := c.in.need(1); err != nil {
		return 0, 0, err
	}
	padding = int(c.in.unread()[0])
	c.in.r++
	if left -= 1 + padding; left < 0 {
		return 0, 0, broken(protocolError, "padding that is longer than its frame")
	}
	return left, padding, nil
}

// beginData accounts for a frame of which n bytes are of the body. The windows
// count its padding as well (RFC 9113 §6.9.1).
func (c *conn) beginData(h wire.FrameHeader, n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := int(h.Length)
	if c.window -= size; c.window < 0 {
		return broken(flowControlError, "more bytes than the connection's window allows")
	}
	if c.eager {
		c.owe(size)
	} else {
		c.owe(size - n) // the padding needs no room; the rest may go into a stream
	}
	s := c.streams[h.StreamID]
	if s == nil || s.closed || s.err != nil {
		return c.strayData(h, s, n)
	}
	if n > 0 {
		c.earn(frameWorth)
	} else if err := c.spend(1); err != nil {
		return err
	}
	if s.window -= size; s.window < 0 {
		c.skipData(n)
		return c.streamFault(s.id, broken(flowControlError, "more bytes than the stream's window allows"))
	}
	s.owe(size - n)
	if err := s.receive(n); err != nil {
		s.fail(err)
		c.skipData(n)
	}
	return nil
}

// strayData is DATA that no stream takes.
func (c *conn) strayData(h wire.FrameHeader, s *stream, n int) error {
	c.skipData(n)
	switch {
	case s == nil && c.isNew(h.StreamID):
		return broken(protocolError, "DATA on a stream that was not opened")
	case s == nil && c.wasResetByUs(h.StreamID), s != nil && !s.closed && !isReset(s.err):
		if n >= fairFrame {
			return nil // it was on its way, and no more work than any other
		}
		return c.spend(1)
	}
	return c.streamFault(h.StreamID, broken(streamClosed, "DATA on a stream that was closed"))
}

// skipData grants again what no stream takes.
func (c *conn) skipData(n int) {
	if !c.eager {
		c.owe(n)
	}
}

// piece adds to the stream, if there is still one that takes it.
func (c *conn) piece(id uint32, p []byte, expected int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[id]
	if s == nil || s.closed || s.err != nil {
		return
	}
	s.in.write(p, expected, c.buffers)
	c.tell(s)
}

func (c *conn) endData(h wire.FrameHeader) error {
	if !h.Flags.Has(wire.FlagDataEndStream) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[h.StreamID]; s != nil && !s.closed {
		s.finish()
	}
	return nil
}
