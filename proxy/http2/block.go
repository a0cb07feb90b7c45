package http2

import (
	"encoding/binary"

	wire "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// sectionUse is what becomes of a header section.
type sectionUse uint8

const (
	// unused: of a stream that is not, or not any more. It is decoded all the
	// same, as what follows it is compressed with reference to it.
	unused sectionUse = iota
	forRequest
	forResponse
	forTrailers
)

// headBlock is a header section that comes in frames.
type headBlock struct {
	open   bool // more of it is to come
	id     uint32
	ended  bool // END_STREAM
	use    sectionUse
	rules  headRules
	bytes  int // of it so far, compressed
	frames int
}

func (c *conn) headersFrame(h wire.FrameHeader) error {
	if h.StreamID == 0 {
		return broken(protocolError, "HEADERS on stream 0")
	}
	c.inHead()
	left, padding, err := c.unpad(h, wire.FlagHeadersPadded)
	if err != nil {
		return err
	}
	if h.Flags.Has(wire.FlagHeadersPriority) {
		if left -= 5; left < 0 {
			return broken(frameSizeError, "HEADERS without its priority")
		}
		if err := c.dependency(h.StreamID); err != nil {
			return err
		}
	}
	if err := c.beginBlock(h); err != nil {
		return err
	}
	if err := c.fragment(left, h.Flags.Has(wire.FlagHeadersEndHeaders)); err != nil {
		return err
	}
	if err := c.in.skip(padding); err != nil {
		return err
	}
	return c.endBlock()
}

// dependency reads the priority of HEADERS, of which only this is checked.
func (c *conn) dependency(id uint32) error {
	if err := c.in.need(5); err != nil {
		return err
	}
	on := binary.BigEndian.Uint32(c.in.unread()) & mostStream
	c.in.r += 5
	if on == id {
		return broken(protocolError, "a stream that depends on itself")
	}
	return nil
}

func (c *conn) beginBlock(h wire.FrameHeader) error {
	ended := h.Flags.Has(wire.FlagHeadersEndStream)
	use, err := c.role.headBegins(h.StreamID, ended)
	if err != nil {
		return err
	}
	c.block = headBlock{id: h.StreamID, ended: ended, use: use, rules: headRules{count: c.limits.HeaderCount, bytes: c.limits.HeadBytes}}
	switch use {
	case forResponse:
		c.block.rules.of = responseHead
	case forTrailers:
		c.block.rules.of, c.block.rules.bytes = trailerSection, c.limits.TrailerBytes
	case unused, forRequest:
		c.block.rules.of = requestHead
	}
	c.head.reset()
	c.decode.SetEmitEnabled(use != unused)
	return nil
}

func (c *conn) continuation(h wire.FrameHeader) error {
	// That it continues what is open is what the framer has checked.
	if err := c.fragment(int(h.Length), h.Flags.Has(wire.FlagContinuationEndHeaders)); err != nil {
		return err
	}
	return c.endBlock()
}

// fragment decodes the next n bytes of the section. A section that is far over its
// limit is not read to its end: that is work for nobody (CVE-2024-27316).
func (c *conn) fragment(n int, last bool) error {
	b := &c.block
	b.open = !last
	b.frames++
	b.bytes += n
	if b.frames > c.limits.HeadFrames || b.bytes > 2*c.limits.HeadBytes {
		return broken(enhanceYourCalm, "a head in too many frames, or far over its limit")
	}
	for n > 0 {
		if err := c.in.need(1); err != nil {
			return err
		}
		piece := c.in.unread()
		piece = piece[:min(len(piece), n)]
		if _, err := c.decode.Write(piece); err != nil {
			return broken(compressionError, "a header section that cannot be decoded")
		}
		c.in.r += len(piece)
		n -= len(piece)
	}
	return nil
}

// field takes one decoded field.
func (c *conn) field(f hpack.HeaderField) {
	if !c.head.add(f, &c.block.rules) {
		c.decode.SetEmitEnabled(false)
	}
}

// endBlock hands a section over that is complete.
func (c *conn) endBlock() error {
	b := &c.block
	if b.open {
		return nil
	}
	if err := c.decode.Close(); err != nil {
		return broken(compressionError, "a header section that is cut off")
	}
	return c.role.headEnds(b.use, b.id, b.ended)
}
