package http1

import (
	"errors"
	"io"
	"time"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// Bounds of the chunked coding. Extensions are dropped, but reading them costs.
const (
	// maxChunkLine bounds one chunk-size line, in bytes.
	maxChunkLine = 256
	// maxChunkDigits keeps the size within an int64.
	maxChunkDigits = 15
	// maxChunkExtensions bounds the extensions of one body together, in bytes.
	maxChunkExtensions = 8 << 10
)

// chunkPiece returns payload of the current or the next chunk.
func (b *Body) chunkPiece(most int64) ([]byte, error) {
	if b.left == 0 {
		if err := b.nextChunk(); err != nil {
			return nil, err
		}
		if b.left == 0 {
			return nil, b.readTrailers()
		}
	}
	p, err := b.take(b.left, most)
	b.left -= int64(len(p))
	return p, err
}

// nextChunk reads the end of the current chunk and the size line of the next.
func (b *Body) nextChunk() error {
	if b.inside {
		for len(b.c.unread()) < 2 {
			if err := b.fill(2); err != nil {
				return err
			}
		}
		if p := b.c.unread(); p[0] != '\r' || p[1] != '\n' {
			return message.Violation("a chunk is not followed by CRLF")
		}
		b.c.use(2)
		b.inside = false
	}
	line, err := b.chunkLine()
	if err != nil {
		return err
	}
	size, extension, perr := parseChunkLine(line)
	if perr != nil {
		return perr
	}
	if b.extra += extension; b.extra > maxChunkExtensions {
		return message.Violation("chunk extensions over their limit")
	}
	b.left, b.inside = size, size > 0
	return nil
}

// chunkLine reads one chunk-size line and returns it without its CRLF.
func (b *Body) chunkLine() ([]byte, error) {
	for {
		p := b.c.unread()
		if i := indexLF(p[:min(len(p), maxChunkLine+1)]); i >= 0 {
			if i == 0 || p[i-1] != '\r' {
				return nil, message.Violation("a chunk size line ends in LF without CR")
			}
			b.c.use(i + 1)
			return p[:i-1], nil
		}
		if len(p) > maxChunkLine {
			break
		}
		if err := b.fill(maxChunkLine); err != nil {
			return nil, err
		}
	}
	return nil, message.Violation("a chunk size line is too long")
}

// parseChunkLine reads chunk-size [ chunk-ext ] (RFC 9112 §7.1), without the bad
// white space that it lets servers tolerate.
func parseChunkLine(line []byte) (size int64, extension int, err *message.ProtocolError) {
	digits := 0
	for digits < len(line) {
		d, ok := message.HexDigit(line[digits])
		if !ok {
			break
		}
		if digits == maxChunkDigits {
			return 0, 0, message.Violation("a chunk size has too many digits")
		}
		size = size<<4 | int64(d)
		digits++
	}
	if digits == 0 {
		return 0, 0, message.Violation("a chunk size is not hexadecimal")
	}
	ext := line[digits:]
	if len(ext) > 0 && (ext[0] != ';' || !message.All(ext, message.Value)) {
		return 0, 0, message.Violation("a chunk size is followed by something other than an extension")
	}
	return size, len(ext), nil
}

// readTrailers reads the trailer section, keeps what may be forwarded, and
// returns io.EOF.
func (b *Body) readTrailers() error {
	now := time.Now()
	if err := b.c.expect(now, b.patience); err != nil {
		return err
	}
	raw, err := b.c.section(b.limits.trailerBytes, b.limits.headerCount, b.limits.within)
	switch {
	case errors.Is(err, errSectionFull):
		return &message.ProtocolError{Kind: message.HeadTooLarge, Rule: "the trailer section is over its limit"}
	case errors.Is(err, io.EOF):
		return message.ErrUnexpectedEnd
	case err != nil:
		return err
	}
	b.tail.reset()
	if perr := b.tail.parseFields(raw, b.c.scan.ends, 0); perr != nil {
		return perr
	}
	for i := range b.tail.fields {
		f := &b.tail.fields[i]
		if f.kind == message.Plain && !message.ForbiddenTrailer(cut(raw, f.name)) {
			b.trailers = append(b.trailers, cut(raw, f.line)...)
		}
	}
	b.ended = true
	return io.EOF
}
