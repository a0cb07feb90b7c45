package http2

import (
	"errors"

	wire "golang.org/x/net/http2"
)

// readFrames reads until the connection ends, and returns why.
func (c *conn) readFrames() error {
	for {
		if err := c.in.need(frameHeader); err != nil {
			return err
		}
		h, err := c.framer.ReadFrameHeader()
		if err != nil {
			return c.refused(err)
		}
		if !c.peer.known && h.Type != wire.FrameSettings {
			return broken(protocolError, "the first frame is not SETTINGS") // RFC 9113 §3.4
		}
		c.in.inFrame = true
		if err := c.frame(h); err != nil {
			return err
		}
		c.in.endFrame(c.block.open)
	}
}

// frame reads the payload of a frame. Heads and bodies are read in place; what is
// rare and small is the framer's to parse.
func (c *conn) frame(h wire.FrameHeader) error {
	switch h.Type {
	case wire.FrameData:
		return c.dataFrame(h)
	case wire.FrameHeaders:
		return c.headersFrame(h)
	case wire.FrameContinuation:
		return c.continuation(h)
	case wire.FramePushPromise:
		return broken(protocolError, "a PUSH_PROMISE that nobody asked for") // RFC 9113 §8.4
	case wire.FramePriority, wire.FrameRSTStream, wire.FrameSettings, wire.FramePing, wire.FrameGoAway, wire.FrameWindowUpdate:
		return c.controlFrame(h)
	default: // a type that we do not know is to be ignored (RFC 9113 §5.5)
		return c.ignore(h)
	}
}

// refused is what an error of the framer means for the connection.
func (c *conn) refused(err error) error {
	var conn wire.ConnectionError
	switch {
	case errors.Is(err, wire.ErrFrameTooLarge):
		return broken(frameSizeError, "a frame is over the size that we announced")
	case errors.As(err, &conn) && conn == wire.ConnectionError(wire.ErrCodeFrameSize):
		return broken(frameSizeError, "a frame has the wrong size for its type")
	case errors.As(err, &conn):
		rule := "a frame is malformed"
		if detail := c.framer.ErrorDetail(); detail != nil {
			rule = detail.Error()
		}
		return broken(Code(conn), rule)
	}
	return err
}

func (c *conn) ignore(h wire.FrameHeader) error {
	c.mu.Lock()
	err := c.spend(1)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.in.skip(int(h.Length))
}

// inHead puts the deadline of a head in force, unless it is.
func (c *conn) inHead() {
	if c.in.headBy.IsZero() {
		c.in.headBy = c.in.now.Add(c.limits.HeadTimeout)
	}
}

func (c *conn) controlFrame(h wire.FrameHeader) error {
	c.inHead()
	f, err := c.framer.ReadFrameForHeader(h)
	if err != nil {
		return c.badControl(h, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f := f.(type) {
	case *wire.SettingsFrame:
		return c.settings(f)
	case *wire.WindowUpdateFrame:
		return c.windowUpdate(f)
	case *wire.RSTStreamFrame:
		return c.resetFrame(f)
	case *wire.PingFrame:
		return c.ping(f)
	case *wire.PriorityFrame:
		return c.priority(f.StreamID, f.PriorityParam)
	case *wire.GoAwayFrame:
		c.role.goAway(f.LastStreamID, Code(f.ErrCode))
		return c.spend(1)
	}
	return nil
}

// badControl treats what concerns a single stream as such.
func (c *conn) badControl(h wire.FrameHeader, err error) error {
	var one wire.StreamError
	if !errors.As(err, &one) {
		return c.refused(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isNew(h.StreamID) {
		return broken(protocolError, "a frame on a stream that was not opened")
	}
	return c.streamFault(one.StreamID, broken(Code(one.Code), "a control frame is malformed"))
}
