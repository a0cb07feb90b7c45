package http1

import (
	"bytes"

	"github.com/outrider-mesh/outrider/proxy/message"
)

func indexLF(b []byte) int { return bytes.IndexByte(b, '\n') }

// span is a piece of a head, as offsets: it holds for the bytes and for their
// string copy alike.
type span struct{ from, to int32 }

func cut[T message.Text](s T, p span) T { return s[p.from:p.to] }

// field is one header field line.
type field struct {
	line, name, value span
	kind              message.Kind
}

// head is what a request and a response head have in common.
type head struct {
	fields []field
	// nominated are the field names that Connection lists, options apart
	// (RFC 9110 §7.6.1). Offsets into the same head.
	nominated []span

	hosts          int
	host           span
	lengths        int
	length         int64 // of Content-Length; valid if lengths is 1
	codings        int   // Transfer-Encoding fields
	chunked        bool
	closes         bool // Connection: close
	keeps          bool // Connection: keep-alive
	upgrades       bool // Connection: upgrade
	upgrade        span // value of the first Upgrade field
	upgradeFields  int
	trailersWanted bool // TE: trailers
	expects        bool // an Expect field, whatever it asks for
	expectsOther   bool // Expect: something other than 100-continue
	fromSidecar    bool // see [Dialed]
	traced         bool
	trace          span
}

func (h *head) reset() { *h = head{fields: h.fields[:0], nominated: h.nominated[:0]} }

// parseFields reads the field lines of raw: those between the first line of a
// head and its empty line. skip is 1 for a head and 0 for a trailer section.
func (h *head) parseFields(raw []byte, ends []int32, skip int) *message.ProtocolError {
	start := int32(0)
	if skip == 1 {
		start = ends[0]
	}
	for _, end := range ends[skip : len(ends)-1] {
		f, err := parseField(raw, span{start, end})
		if err != nil {
			return err
		}
		if err := h.note(raw, &f); err != nil {
			return err
		}
		h.fields = append(h.fields, f)
		start = end
	}
	return nil
}

// parseField reads one line, CRLF included.
func parseField(raw []byte, line span) (field, *message.ProtocolError) {
	b := raw[line.from : line.to-2]
	name, from, to, err := message.ScanField(b)
	if err != nil {
		return field{}, err
	}
	at := func(i int) int32 { return line.from + int32(i) } //nolint:gosec // within the line
	return field{
		line: line, name: span{line.from, at(name)}, value: span{at(from), at(to)},
		kind: message.KindOf(b[:name]),
	}, nil
}

// note keeps what a field means for framing and for the connection.
func (h *head) note(raw []byte, f *field) *message.ProtocolError {
	value := cut(raw, f.value)
	switch f.kind {
	case message.Host:
		h.hosts++
		h.host = f.value
	case message.ContentLength:
		h.lengths++
		n, ok := message.ParseLength(value)
		if !ok {
			return message.Violation("Content-Length is not a number")
		}
		h.length = n
	case message.TransferEncoding:
		h.codings++
		h.chunked = message.EqualFold(value, "chunked")
	case message.Connection:
		return h.noteConnection(raw, f.value)
	case message.Upgrade:
		h.upgradeFields++
		h.upgrade = f.value
	case message.TE:
		h.trailersWanted = h.trailersWanted || message.EqualFold(value, "trailers")
	case message.Expect:
		h.expects = true
		h.expectsOther = h.expectsOther || !message.EqualFold(value, "100-continue")
	case message.Traceparent:
		h.traced = true
		h.trace = f.value
	case message.Confusing:
		return message.Violation("a framing field is spelled with an underscore")
	case message.Plain, message.HopByHop, message.Reserved, message.Decision:
	}
	return nil
}

// framing checks the rules on message length that requests and responses share
// (RFC 9112 §6.1, §6.3).
func (h *head) framing() *message.ProtocolError {
	switch {
	case h.codings > 0 && h.lengths > 0:
		return message.Violation("both Content-Length and Transfer-Encoding")
	case h.lengths > 1:
		return message.Violation("more than one Content-Length")
	case h.codings > 1:
		return message.Violation("more than one Transfer-Encoding")
	case h.codings == 1 && !h.chunked:
		return &message.ProtocolError{Kind: message.UnsupportedCoding, Rule: "a transfer coding other than chunked"}
	}
	return nil
}
