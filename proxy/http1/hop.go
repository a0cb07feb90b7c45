package http1

import "github.com/outrider-mesh/outrider/proxy/message"

// noteConnection reads the options of a Connection field.
func (h *head) noteConnection(raw []byte, list span) *message.ProtocolError {
	for list.from <= list.to {
		end := list.from
		for end < list.to && raw[end] != ',' {
			end++
		}
		from, to := list.from, end
		for from < to && (raw[from] == ' ' || raw[from] == '\t') {
			from++
		}
		for to > from && (raw[to-1] == ' ' || raw[to-1] == '\t') {
			to--
		}
		list.from = end + 1
		if from == to {
			continue // an empty element, RFC 9110 §5.6.1
		}
		if err := h.noteOption(raw, span{from, to}); err != nil {
			return err
		}
	}
	return nil
}

// maxNominated bounds the names one head may have removed.
const maxNominated = 16

func (h *head) noteOption(raw []byte, at span) *message.ProtocolError {
	option := cut(raw, at)
	if !message.All(option, message.Token) {
		return message.Violation("a Connection option is not a token")
	}
	switch {
	case message.EqualFold(option, "close"):
		h.closes = true
	case message.EqualFold(option, "keep-alive"):
		h.keeps = true
	case message.EqualFold(option, "upgrade"):
		h.upgrades = true
	default:
		switch message.KindOf(option) {
		case message.Host, message.ContentLength, message.Confusing, message.Expect:
			// To drop these would change what the message means to the
			// next server (RFC 9110 §7.6.1 forbids to list them).
			return message.Violation("Connection lists a field that must not be dropped")
		case message.Plain, message.Traceparent:
			if len(h.nominated) == maxNominated {
				return message.Violation("Connection lists too many fields")
			}
			h.nominated = append(h.nominated, at)
		default: // ends at this hop whether nominated or not
		}
	}
	return nil
}

// dropped tells whether a field ends at this hop.
func dropped[T message.Text](h *head, src T, f *field) bool {
	switch f.kind {
	case message.Connection, message.HopByHop, message.Reserved, message.TE, message.Upgrade, message.TransferEncoding:
		return true
	case message.Decision:
		return !h.fromSidecar
	case message.Plain, message.Traceparent:
		for _, n := range h.nominated {
			if message.SameName(cut(src, n), cut(src, f.name)) {
				return true
			}
		}
	case message.Host, message.ContentLength, message.Expect, message.Confusing:
		// They may not be nominated: see noteOption.
	}
	return false
}

// appendFields copies the fields that pass this hop, in runs, as they came.
func appendFields[T message.Text](dst []byte, h *head, src T) []byte {
	run := span{}
	for i := range h.fields {
		f := &h.fields[i]
		if dropped(h, src, f) {
			dst = append(dst, cut(src, run)...)
			run = span{}
			continue
		}
		if run.to != f.line.from {
			dst = append(dst, cut(src, run)...)
			run.from = f.line.from
		}
		run.to = f.line.to
	}
	return append(dst, cut(src, run)...)
}

// appendWithout is appendFields less the fields of one more kind.
func appendWithout[T message.Text](dst []byte, h *head, src T, kind message.Kind) []byte {
	for i := range h.fields {
		if f := &h.fields[i]; f.kind != kind && !dropped(h, src, f) {
			dst = append(dst, cut(src, f.line)...)
		}
	}
	return dst
}
