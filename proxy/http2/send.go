package http2

import (
	"strings"

	wire "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// All of this needs conn.mu.

// put adds a field to the section that is being encoded.
func (c *conn) put(name, value string) { c.putField(name, value, false) }

func (c *conn) putField(name, value string, sensitive bool) {
	// The writer is our own and takes everything.
	_ = c.encode.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: sensitive})
}

// putFields adds those of h that pass this hop. without is a kind that does not.
func (c *conn) putFields(h *head, fromSidecar bool, without message.Kind) {
	for i := range h.fields {
		f := &h.fields[i]
		if (without == message.Plain || f.kind != without) && !dropped(f, fromSidecar) {
			c.putField(f.name, f.value, f.sensitive)
		}
	}
}

// putLines adds complete field lines, but for those that HTTP/2 has no place for.
func (c *conn) putLines(lines []byte) {
	for len(lines) > 0 {
		line, rest, ok := message.CutLine(lines)
		if !ok {
			return
		}
		if name, value, ok := fieldOf(line); ok {
			c.put(name, value)
		}
		lines = rest
	}
}

// fieldOf makes a field of a line. ok is false for what HTTP/2 has no place for.
func fieldOf(line []byte) (name, value string, ok bool) {
	end, from, to, err := message.ScanField(line)
	if err != nil {
		return "", "", false
	}
	switch message.KindOf(line[:end]) {
	case message.Connection, message.HopByHop, message.TE, message.Upgrade, message.TransferEncoding, message.ContentLength, message.Host:
		return "", "", false
	default:
		return strings.ToLower(string(line[:end])), string(line[from:to]), true
	}
}

// endSection frames the section that was encoded.
func (c *conn) endSection(s *stream, end bool) {
	rest := c.section
	c.reserve(len(rest) + frameHeader*(1+len(rest)/mostFrame))
	kind, flags := wire.FrameHeaders, wire.Flags(0)
	if end {
		flags = wire.FlagHeadersEndStream
		s.sent = true
	}
	for {
		part := rest[:min(len(rest), mostFrame)]
		if rest = rest[len(part):]; len(rest) == 0 {
			flags |= wire.FlagHeadersEndHeaders
		}
		c.out = append(appendHeader(c.out, len(part), kind, flags, s.id), part...)
		if len(rest) == 0 {
			break
		}
		kind, flags = wire.FrameContinuation, 0
	}
	c.section = c.section[:0]
	if cap(c.section) > smallBuffer {
		c.section = nil // one head of that size is no reason to hold it for good
	}
}

// sendTrailers ends a stream with a trailer section, or without when all of it was
// dropped. It tells whether there was room.
func (c *conn) sendTrailers(s *stream, h *head) bool {
	if c.full() {
		c.stall(s)
		return false
	}
	if len(h.fields) == 0 {
		c.sendEnd(s)
		return true
	}
	for i := range h.fields {
		c.putField(h.fields[i].name, h.fields[i].value, h.fields[i].sensitive)
	}
	c.endSection(s, true)
	return true
}

// sendData adds one frame with as much of p as there is room for, and tells how
// much that was; if it is not all, s is told when there may be more. end ends the
// stream with the last byte.
func (c *conn) sendData(s *stream, p []byte, end bool) int {
	want := min(len(p), mostFrame)
	n := min(want, s.credit, c.allowed)
	s.starved = s.credit < want
	if n <= 0 || c.full() {
		if s.credit > 0 {
			c.stall(s)
		}
		return 0
	}
	flags := wire.Flags(0)
	if end && n == len(p) {
		flags = wire.FlagDataEndStream
		s.sent = true
	}
	c.reserve(n + frameHeader)
	c.out = append(appendHeader(c.out, n, wire.FrameData, flags, s.id), p[:n]...)
	s.credit -= n
	c.allowed -= n
	if n == want || n >= fairFrame {
		c.earn(frameWorth) // a peer that opens tiny windows gets no thanks for it
	}
	return n
}

const (
	// fairFrame is how many bytes a peer should at least let us send at a time.
	fairFrame = 1 << 10
	// frameWorth is what a frame with a body earns: peers commonly answer one
	// with two window updates and sometimes a ping.
	frameWorth = 8
	// streamWorth is what a request and its answer earn.
	streamWorth = 16
)

// sendEnd ends a stream; an empty frame needs no window.
func (c *conn) sendEnd(s *stream) {
	c.out = appendHeader(c.out, 0, wire.FrameData, wire.FlagDataEndStream, s.id)
	s.sent = true
}

// sendReset ends a stream before its time, unless both of its directions have
// ended.
func (c *conn) sendReset(s *stream, code Code) {
	if s.over || s.sent && s.closed || c.dead != nil || isReset(s.err) {
		return
	}
	s.sent, s.over = true, true
	c.reset(s.id, code)
}

// isReset tells whether err is that the peer has reset the stream: then it is
// closed, and not reset again (RFC 9113 §5.4.2).
func isReset(err error) bool {
	_, is := err.(*ResetError) //nolint:errorlint // it is never wrapped
	return is
}
